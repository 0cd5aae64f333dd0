//! A worker program that stands still while another one is idle.

use anyhow::ensure;
use courant_proto::v1::JobState;
use courant_tests::grpc::accepted;
use courant_tests::pdf_worker::PdfWorker;
use courant_tests::{Up, documents};

#[tokio::test]
async fn its_job_goes_to_the_idle_one_and_does_not_fail() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0", "--lease", "3s"]).await?;
    let jobs = up.jobs("alice").await?;
    let frozen = PdfWorker::start(&up, "frozen", &["--slots", "1"]).await?;
    let (job, cursor) = accepted(jobs.submit("long.pdf", documents::pages(3000)).await?)?;
    let mut watch = jobs.watch(&job.job_id, &cursor).await?;
    watch.until(|event| event.job.as_ref().is_some_and(|job| job.pages_done >= 3)).await?;
    frozen.pause();
    let _idle = PdfWorker::start(&up, "idle", &["--slots", "2"]).await?;
    let (next, _) = accepted(jobs.submit("next.pdf", documents::pages(1)).await?)?;
    ensure!(jobs.ended(&next.job_id).await?.state() == JobState::Succeeded, "a new job waits for the frozen worker");
    let job = jobs.ended(&job.job_id).await?;
    ensure!(job.state() == JobState::Succeeded && job.attempts.len() == 1, "{:?} {:?}", job.state(), job.attempts);
    // It wakes, learns that the job is not its own any more, and works again.
    frozen.resume();
    let (last, _) = accepted(jobs.submit("last.pdf", documents::pages(1)).await?)?;
    ensure!(jobs.ended(&last.job_id).await?.state() == JobState::Succeeded);
    Ok(())
}
