//! The PDF worker as a program of its own: its health, its end, and the end of what it runs.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use courant_auth::Role;
use courant_proto::v1::job_event::Change;
use courant_proto::v1::{CancelJobRequest, DrainWorkerRequest, JobState, ResumeWorkerRequest};
use courant_tests::grpc::{self, Jobs, Watch, accepted, becomes};
use courant_tests::pdf_worker::PdfWorker;
use courant_tests::up::HOUR;
use courant_tests::{Up, documents};

/// Long enough to be met in the middle, by any machine.
const PAGES: usize = 3000;

async fn in_the_middle(jobs: &Jobs) -> anyhow::Result<(String, Watch)> {
    let (job, cursor) = accepted(jobs.submit("long.pdf", documents::pages(PAGES)).await?)?;
    let mut watch = jobs.watch(&job.job_id, &cursor).await?;
    watch.until(|event| event.job.as_ref().is_some_and(|job| job.pages_done >= 3)).await?;
    Ok((job.job_id, watch))
}

#[tokio::test]
async fn its_health_follows_its_server_and_its_operators() -> anyhow::Result<()> {
    // Silence of two thirds of the lease is too long.
    let up = Up::with(&["--workers", "0", "--lease", "900ms"]).await?;
    let worker = PdfWorker::start(&up, "probed", &[]).await?;
    let mut health = worker.health().await?;
    health.becomes(true).await?;
    up.pause();
    health.becomes(false).await?;
    up.resume();
    health.becomes(true).await?;

    let mut admin = grpc::admin(&up.grpc, &up.token("root", &[Role::Admin], HOUR)?).await?;
    let worker_id = "probed".to_owned();
    admin.drain_worker(DrainWorkerRequest { worker_id: worker_id.clone() }).await?;
    health.becomes(false).await?;
    admin.resume_worker(ResumeWorkerRequest { worker_id }).await?;
    health.becomes(true).await?;
    ensure!(worker.stop().await? == Some(0), "it did not end well");
    Ok(())
}

#[tokio::test]
async fn a_cancel_reaches_the_process_that_parses() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let worker = PdfWorker::start(&up, "w", &["--slots", "1"]).await?;
    let jobs = up.jobs("alice").await?;
    let (job_id, mut watch) = in_the_middle(&jobs).await?;
    let parsers = worker.parsers()?;
    ensure!(!parsers.is_empty(), "where are the parsers?");
    let asked = Instant::now();
    jobs.client.clone().cancel_job(CancelJobRequest { job_id: job_id.clone() }).await?;
    for parser in &parsers {
        parser.gone().await?;
    }
    println!("the parsers were gone {:?} after the cancel was asked for", asked.elapsed());
    watch.until(|event| becomes(event, JobState::Cancelling)).await?;
    watch.until(|event| becomes(event, JobState::Cancelled)).await?;
    println!("the job was cancelled after {:?}", asked.elapsed());
    let job = jobs.get(&job_id).await?;
    ensure!(job.state() == JobState::Cancelled && (job.pages_done as usize) < PAGES, "{:?}", job.progress);
    let (next, _) = accepted(jobs.submit("short.pdf", documents::pages(1)).await?)?;
    ensure!(jobs.ended(&next.job_id).await?.state() == JobState::Succeeded, "the worker is stuck");
    Ok(())
}

#[tokio::test]
async fn a_stopped_worker_hands_its_job_back_at_no_cost() -> anyhow::Result<()> {
    // With a lease this long nothing but the hand-back itself brings the job back.
    let up = Up::with(&["--workers", "0", "--max-attempts", "1", "--lease", "10m"]).await?;
    let worker = PdfWorker::start(&up, "first", &["--grace-seconds", "0"]).await?;
    let jobs = up.jobs("alice").await?;
    let (job_id, mut watch) = in_the_middle(&jobs).await?;
    let parsers = worker.parsers()?;
    ensure!(!parsers.is_empty(), "where are the parsers?");
    ensure!(worker.stop().await? == Some(0), "it did not end well");
    for parser in &parsers {
        parser.gone().await?;
    }
    let retrying = watch.until(|event| matches!(event.change, Some(Change::Retrying(_)))).await?;
    let attempt = retrying.job.as_ref().and_then(|job| job.attempts.first()).context("no history")?;
    let code = attempt.error.as_ref().map(|error| error.code.as_str());
    ensure!(code == Some("HANDED_BACK") && attempt.pages_done >= 3, "{attempt:?}");

    let _second = PdfWorker::start(&up, "second", &[]).await?;
    let job = jobs.ended(&job_id).await?;
    ensure!(job.state() == JobState::Succeeded && job.attempt == 2, "{:?} {:?}", job.state(), job.error);
    Ok(())
}
