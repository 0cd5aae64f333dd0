//! Cancelling: a waiting job at once, a running one as soon as its worker has stopped.

use std::time::Instant;

use anyhow::ensure;
use courant_proto::v1::{CancelJobRequest, Job, JobState};
use courant_tests::grpc::{Jobs, accepted, becomes, reason};
use courant_tests::worker::Worker;
use courant_tests::{Up, documents};
use tonic::{Code, Status};

async fn cancel(jobs: &Jobs, job_id: &str) -> Result<Job, Status> {
    let request = CancelJobRequest { job_id: job_id.to_owned() };
    Ok(jobs.client.clone().cancel_job(request).await?.into_inner().job.unwrap_or_default())
}

#[tokio::test]
async fn a_waiting_job_leaves_at_once_and_the_others_move_up() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let jobs = up.jobs("alice").await?;
    let (first, _) = jobs.submit_kind("test", "first").await?;
    let (second, _) = jobs.submit_kind("test", "second").await?;
    ensure!(cancel(&jobs, &first.job_id).await?.state() == JobState::Cancelled, "not cancelled");
    let place = jobs.get(&second.job_id).await?.queue_position.map(|place| place.position);
    ensure!(place == Some(1), "the second has place {place:?}");
    // Again changes nothing.
    ensure!(cancel(&jobs, &first.job_id).await?.state() == JobState::Cancelled, "not idempotent");
    Ok(())
}

#[tokio::test]
async fn a_running_job_is_stopped_and_its_worker_goes_on() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let jobs = up.jobs("alice").await?;
    let mut worker = Worker::start(&up, "test", 1)?;
    let (job, cursor) = jobs.submit_kind("test", "doomed").await?;
    let work = worker.next().await?;
    let mut watch = jobs.watch(&job.job_id, &cursor).await?;
    watch.until(|event| becomes(event, JobState::Running)).await?;
    ensure!(cancel(&jobs, &job.job_id).await?.state() == JobState::Cancelling, "not cancelling");
    work.stopped().await?;
    watch.until(|event| becomes(event, JobState::Cancelled)).await?;
    let (next, _) = jobs.submit_kind("test", "next").await?;
    worker.next().await?.succeed();
    ensure!(jobs.ended(&next.job_id).await?.state() == JobState::Succeeded, "the worker is stuck");
    Ok(())
}

#[tokio::test]
async fn a_pdf_in_the_middle_of_its_pages_is_stopped() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let jobs = up.jobs("alice").await?;
    let (job, cursor) = accepted(jobs.submit("long.pdf", documents::pages(3000)).await?)?;
    let mut watch = jobs.watch(&job.job_id, &cursor).await?;
    watch.until(|event| event.job.as_ref().is_some_and(|job| job.pages_done >= 3)).await?;
    ensure!(!up.parsers()?.is_empty(), "where is the parser?");
    let asked = Instant::now();
    cancel(&jobs, &job.job_id).await?;
    watch.to_end().await?;
    println!("cancelled after {:?}", asked.elapsed());
    // Promised in docs/guarantees.md: told as cancelled by its worker, so the worker has collected its children.
    ensure!(up.parsers()?.is_empty(), "a parser is still there");
    let job = jobs.get(&job.job_id).await?;
    ensure!(job.state() == JobState::Cancelled && job.pages_done < 3000, "{:?} {}", job.state(), job.pages_done);
    // The one worker is free again.
    let (next, _) = accepted(jobs.submit("short.pdf", documents::pages(1)).await?)?;
    ensure!(jobs.ended(&next.job_id).await?.state() == JobState::Succeeded, "the worker is stuck");
    Ok(())
}

#[tokio::test]
async fn a_finished_job_cannot_be_cancelled() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let jobs = up.jobs("alice").await?;
    let (job, _) = accepted(jobs.submit("short.pdf", documents::pages(1)).await?)?;
    jobs.ended(&job.job_id).await?;
    let refused = cancel(&jobs, &job.job_id).await.unwrap_err();
    ensure!(refused.code() == Code::FailedPrecondition && reason(&refused) == "JOB_STATE", "{refused}");
    Ok(())
}
