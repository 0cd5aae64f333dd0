//! `make cluster`, to its end: a server and the leader of the NATS stream are killed while documents are processed.

use std::process::Stdio;
use std::time::Duration;

use anyhow::ensure;
use courant_tests::program;
use tokio::process::Command;

/// NATS takes some ten seconds to elect a leader, and all of it has two cores here.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn a_cluster_loses_nothing_when_a_server_and_the_leader_of_the_log_are_killed() -> anyhow::Result<()> {
    let program = program::courant()?.with_file_name("cluster");
    let sample = courant_tests::documents::fixture("cc-by-sa-4.0/pages-120.pdf");
    let mut command = Command::new(program);
    command.args(["--exit", "--port", "0", "--jobs", "4", "--sample"]).arg(sample);
    let ran = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let ran = tokio::time::timeout(PATIENCE, ran).await??;
    let said = String::from_utf8_lossy(&ran.stdout);
    ensure!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    ensure!(said.contains("kill -9 of server-2") && said.contains("which led the stream"), "{said}");
    ensure!(said.contains("Nothing was lost"), "{said}");
    Ok(())
}
