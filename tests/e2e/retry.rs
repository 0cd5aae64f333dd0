//! Retrying: by itself when that can help, by hand when a person thinks so.

use anyhow::{Context as _, ensure};
use courant_proto::v1::job_event::Change;
use courant_proto::v1::{JobState, RetryJobRequest};
use courant_tests::Up;
use courant_tests::grpc::{becomes, reason};
use courant_tests::worker::Worker;
use courant_worker::TaskError;
use tonic::Code;

#[tokio::test]
async fn a_passing_failure_is_tried_again_and_the_reason_is_kept() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0", "--retry-base", "1ms"]).await?;
    let jobs = up.jobs("alice").await?;
    let mut worker = Worker::start(&up, "test", 1)?;
    let (job, cursor) = jobs.submit_kind("test", "again").await?;
    worker.next().await?.fail(TaskError::transient("FLAKY", "it may work next time"));
    worker.next().await?.succeed();
    let mut watch = jobs.watch(&job.job_id, &cursor).await?;
    watch.until(|event| matches!(event.change, Some(Change::Retrying(_)))).await?;
    watch.to_end().await?;
    let job = jobs.get(&job.job_id).await?;
    ensure!(job.state() == JobState::Succeeded && job.attempt == 2, "{:?} {}", job.state(), job.attempt);
    let error = job.attempts.first().and_then(|attempt| attempt.error.as_ref()).context("no history")?;
    ensure!(error.code == "FLAKY", "{error:?}");
    Ok(())
}

#[tokio::test]
async fn attempts_are_limited() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0", "--retry-base", "1ms", "--max-attempts", "2"]).await?;
    let jobs = up.jobs("alice").await?;
    let mut worker = Worker::start(&up, "test", 1)?;
    let (job, _) = jobs.submit_kind("test", "hopeless").await?;
    for _ in 0..2 {
        worker.next().await?.fail(TaskError::transient("FLAKY", "it may work next time"));
    }
    let job = jobs.ended(&job.job_id).await?;
    ensure!(job.state() == JobState::Failed && job.error.is_some_and(|error| error.code == "FLAKY"), "{:?}", job.state);
    Ok(())
}

#[tokio::test]
async fn a_person_retries_and_finished_pages_are_kept() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let jobs = up.jobs("alice").await?;
    let mut worker = Worker::start(&up, "test", 1)?;
    let (job, cursor) = jobs.submit_kind("test", "half").await?;
    let work = worker.next().await?;
    work.task.plan(2).await?;
    work.page(1).await?;
    work.fail(TaskError::permanent("BROKEN", "page 2 cannot be read"));
    let mut watch = jobs.watch(&job.job_id, &cursor).await?;
    watch.until(|event| becomes(event, JobState::Failed)).await?;

    jobs.client.clone().retry_job(RetryJobRequest { job_id: job.job_id.clone(), password: None }).await?;
    let work = worker.next().await?;
    let kept: Vec<_> = work.task.finished_pages().map(|page| page.number).collect();
    ensure!(kept == [1], "the worker was told of {kept:?}");
    work.page(2).await?;
    work.export("both pages").await?;
    work.succeed();
    let job = jobs.ended(&job.job_id).await?;
    ensure!(job.state() == JobState::Succeeded && job.pages_done == 2, "{:?} {}", job.state(), job.pages_done);

    let refused =
        jobs.client.clone().retry_job(RetryJobRequest { job_id: job.job_id, password: None }).await.unwrap_err();
    ensure!(refused.code() == Code::FailedPrecondition && reason(&refused) == "JOB_STATE", "{refused}");
    Ok(())
}
