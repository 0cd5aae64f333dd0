//! Following over gRPC and WebSocket at once.

use anyhow::ensure;
use courant_proto::v1::watch_job_response::Step;
use courant_tests::Up;
use courant_tests::worker::Worker;
use serde_json::Value;

#[tokio::test]
async fn both_faces_tell_the_same_story() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let jobs = up.jobs("alice").await?;
    let mut worker = Worker::start(&up, "test", 1)?;
    let (job, cursor) = jobs.submit_kind("test", "story").await?;
    let mut socket = up.socket("alice").await?;
    socket.subscribe(&format!("job/{}", job.job_id), Some(&cursor)).await?;
    let mut watch = jobs.watch(&job.job_id, &cursor).await?;

    let work = worker.next().await?;
    work.task.plan(2).await?;
    work.page(1).await?;
    work.progress(50.0);
    work.page(2).await?;
    work.export("the end").await?;
    work.succeed();
    watch.to_end().await?;
    socket.until(|message| message["type"] == "job-completed").await?;

    ensure!(watch.revisions() == socket.revisions(&job.job_id), "the faces differ");
    let durable = |message: &&Value| message["cursor"].is_string() && message["jobId"].is_string();
    let types: Vec<_> = socket.heard.iter().filter(durable).filter_map(|message| message["type"].as_str()).collect();
    let begin = ["job-queued", "job-started", "job-planned", "page-completed", "page-completed"];
    let exports = ["export-started", "export-completed"].repeat(4);
    ensure!(types == [&begin[..], &exports, &["job-completed"]].concat(), "{types:?}");
    Ok(())
}

#[tokio::test]
async fn who_comes_late_begins_with_a_snapshot() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let jobs = up.jobs("alice").await?;
    let mut worker = Worker::start(&up, "test", 1)?;
    let (job, _) = jobs.submit_kind("test", "late").await?;
    let work = worker.next().await?;
    work.task.plan(3).await?;
    work.page(1).await?;
    let mut watch = jobs.watch(&job.job_id, "").await?;
    let first = watch.next().await?.and_then(|message| message.step);
    let Some(Step::Snapshot(snapshot)) = first else { anyhow::bail!("began with {first:?}") };
    ensure!(snapshot.job.is_some_and(|job| job.pages_total == 3), "the snapshot knows nothing");
    ensure!(matches!(watch.next().await?.and_then(|message| message.step), Some(Step::Live(_))), "not live");
    work.succeed();
    watch.to_end().await?;
    Ok(())
}
