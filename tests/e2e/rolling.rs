//! `make rolling`: every server, bridge and worker is restarted, one after another, while clients work behind a real ingress.

use std::process::Stdio;
use std::time::Duration;

use anyhow::ensure;
use courant_tests::program;
use tokio::process::Command;

/// Some forty seconds where there is nothing else to do.
const PATIENCE: Duration = Duration::from_secs(300);

async fn restart_all(flags: &[&str]) -> anyhow::Result<()> {
    let few = ["--http-clients", "1", "--grpc-clients", "1", "--browsers", "3"];
    let mut command = Command::new(program::courant()?.with_file_name("rolling"));
    let ran = command.args(few).args(flags).stdin(Stdio::null()).kill_on_drop(true).output();
    let ran = tokio::time::timeout(PATIENCE, ran).await??;
    let said = String::from_utf8_lossy(&ran.stdout);
    ensure!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    ensure!(said.contains("bridge 2 was restarted") && said.contains("worker 2 was restarted"), "{said}");
    ensure!(said.contains("Nothing was lost, and no answer was an error."), "{said}");
    Ok(())
}

#[tokio::test]
async fn three_servers_on_nats_behind_nginx() -> anyhow::Result<()> {
    restart_all(&["--ingress", "nginx"]).await
}

#[tokio::test]
async fn one_server_behind_haproxy() -> anyhow::Result<()> {
    restart_all(&["--ingress", "haproxy", "--embedded"]).await
}
