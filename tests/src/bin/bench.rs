//! First figures, in one table: jobs and events a second through the real binaries on this machine.
//!
//! Everything runs on the same machine, so the figures are a floor and not a promise.

use std::time::{Duration, Instant};

use anyhow::ensure;
use courant_proto::v1::{JobState, WatchJobsRequest, watch_jobs_response::Step};
use courant_tests::grpc::Jobs;
use courant_tests::worker::Worker;
use courant_tests::{Up, documents, grpc};
use tokio::task::JoinSet;

const JOBS: usize = 2_000;
const CLIENTS: usize = 32;
const SLOTS: u32 = 64;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0", "--log", "warn"]).await?;
    println!("| what | figure |");
    println!("| --- | --- |");
    println!("| ready after the start of the process | {:.0} ms |", up.ready_after.as_secs_f64() * 1e3);
    let submitted = submit_all(&up).await?;
    println!("| submits a second ({JOBS} small documents, {CLIENTS} clients) | {:.0} |", rate(JOBS, submitted));
    let done = work_all(&up).await?;
    println!(
        "| jobs a second from waiting to done (a worker with {SLOTS} slots that does nothing) | {:.0} |",
        rate(JOBS, done)
    );
    drop(up);
    let up = Up::with(&["--workers", "1", "--log", "warn"]).await?;
    let pages = 500;
    let (first, whole) = one_document(&up, pages).await?;
    println!("| submit to first finished page | {:.0} ms |", first.as_secs_f64() * 1e3);
    println!("| pages a second ({pages} small pages, one worker) | {:.0} |", rate(pages, whole));
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "small counts")]
fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

async fn submit_all(up: &Up) -> anyhow::Result<Duration> {
    let jobs = up.jobs("alice").await?;
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let jobs = jobs.clone();
        clients.spawn(async move {
            for number in (client..JOBS).step_by(CLIENTS) {
                jobs.submit_kind("bench", &format!("{number}")).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok(begun.elapsed())
}

async fn work_all(up: &Up) -> anyhow::Result<Duration> {
    let jobs = up.jobs("alice").await?;
    let begun = Instant::now();
    let mut worker = Worker::start(up, "bench", SLOTS)?;
    let done = tokio::spawn(all_done(jobs));
    for _ in 0..JOBS {
        worker.next().await?.succeed();
    }
    done.await??;
    Ok(begun.elapsed())
}

/// Waits until every job has ended.
async fn all_done(jobs: Jobs) -> anyhow::Result<()> {
    let mut stream = jobs.client.clone().watch_jobs(WatchJobsRequest::default()).await?.into_inner();
    let mut ended = std::collections::HashSet::new();
    while ended.len() < JOBS {
        let Some(message) = stream.message().await? else { anyhow::bail!("the watch ended") };
        let job = match message.step {
            Some(Step::Snapshot(snapshot)) => snapshot.job,
            Some(Step::Event(event)) => event.job,
            _ => None,
        };
        if let Some(job) = job.filter(|job| job.state() == JobState::Succeeded) {
            ended.insert(job.job_id);
        }
    }
    Ok(())
}

async fn one_document(up: &Up, pages: usize) -> anyhow::Result<(Duration, Duration)> {
    let jobs = up.jobs("alice").await?;
    let begun = Instant::now();
    let (job, cursor) = grpc::accepted(jobs.submit("bench.pdf", documents::pages(pages)).await?)?;
    let mut watch = jobs.watch(&job.job_id, &cursor).await?;
    watch.until(|event| event.job.as_ref().is_some_and(|job| job.pages_done > 0)).await?;
    let first = begun.elapsed();
    watch.to_end().await?;
    ensure!(jobs.get(&job.job_id).await?.state() == JobState::Succeeded, "the document failed");
    Ok((first, begun.elapsed()))
}
