//! What an operator does at the terminal.

use anyhow::ensure;
use courant_proto::v1::JobState;
use courant_tests::grpc::accepted;
use courant_tests::{Up, documents, program, within};
use serde_json::Value;

async fn must(up: &Up, arguments: &[&str]) -> anyhow::Result<String> {
    let data = up.data_arg()?;
    let all: Vec<&str> = arguments.iter().copied().chain(["--data-dir", &data]).collect();
    program::must(&all).await
}

async fn json(up: &Up, arguments: &[&str]) -> anyhow::Result<Value> {
    let all: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
    Ok(serde_json::from_str(must(up, &all).await?.trim())?)
}

#[tokio::test]
async fn a_worker_is_drained_and_resumed() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let listed = within("the worker to connect", async {
        loop {
            let listed = must(&up, &["workers"]).await?;
            if listed.contains("local-1") {
                return Ok(listed);
            }
        }
    });
    let listed = listed.await?;
    ensure!(listed.contains("local-1") && listed.contains("connected") && listed.contains("pdf"), "{listed}");
    let drained = json(&up, &["drain", "local-1"]).await?;
    ensure!(drained["workerId"] == "local-1" && drained["state"] == "drained", "{drained}");

    let jobs = up.jobs("alice").await?;
    let (job, _) = accepted(jobs.submit("one.pdf", documents::pages(1)).await?)?;
    let metrics = json(&up, &["metrics"]).await?;
    ensure!(metrics["jobs"]["queued"] == 1 && metrics["slotsTotal"] == 0, "{metrics}");
    ensure!(json(&up, &["resume", "local-1"]).await?["state"] == "connected", "not resumed");
    ensure!(jobs.ended(&job.job_id).await?.state() == JobState::Succeeded, "the worker is stuck");

    let metrics = json(&up, &["metrics"]).await?;
    ensure!(metrics["jobsSucceeded"] == 1 && metrics["pagesPerHour"] == 1, "{metrics}");
    ensure!(metrics["memoryBytes"].as_i64() > Some(1 << 20), "{metrics}");
    ensure!(must(&up, &["metrics"]).await?.contains("1 succeeded"), "no metrics for people");
    Ok(())
}

#[tokio::test]
async fn a_worker_that_is_not_there_and_a_user_who_may_not_are_told_so() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let data = up.data_arg()?;
    let ran = program::run(&["drain", "ghost", "--data-dir", &data]).await?;
    ensure!(ran.code == 1 && ran.err.contains("ghost") && ran.err.contains("WORKER_NOT_FOUND"), "{ran:?}");
    let token = up.token("alice", &[], courant_tests::up::HOUR)?;
    let ran = program::run(&["workers", "--data-dir", &data, "--token", &token]).await?;
    ensure!(ran.code == 1 && ran.err.contains("ROLE_REQUIRED"), "{ran:?}");
    Ok(())
}
