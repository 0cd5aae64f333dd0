//! A large document done by two worker programs: one result, one progress, whoever dies.

use anyhow::{Context as _, ensure};
use courant_proto::v1::job_event::Change;
use courant_proto::v1::{Job, JobEvent, JobState, ResultFormat};
use courant_tests::grpc::{Jobs, accepted};
use courant_tests::pdf_worker::PdfWorker;
use courant_tests::{Up, documents};
use serde_json::Value;

use crate::progress::finished_pages;

const FLAGS: [&str; 6] = ["--slots", "1", "--split-pages", "100", "--part-pages", "40"];
const FORMATS: [ResultFormat; 4] = [ResultFormat::Json, ResultFormat::Markdown, ResultFormat::Text, ResultFormat::Html];

/// A document of some hundred pages.
fn large() -> anyhow::Result<Vec<u8>> {
    Ok(documents::manual()?.unwrap_or_else(|| documents::pages(300)))
}

fn page(event: &JobEvent) -> Option<i32> {
    match &event.change {
        Some(Change::PageFinished(finished)) => finished.page.as_ref().map(|page| page.number),
        _ => None,
    }
}

/// The results, without what was measured.
async fn results(jobs: &Jobs, job_id: &str) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    for format in FORMATS {
        let result = jobs.result(job_id, format).await?;
        all.push(if format == ResultFormat::Json {
            timeless(serde_json::from_str(&result)?).to_string()
        } else {
            result
        });
    }
    Ok(all)
}

fn timeless(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(name, _)| name != "duration_ms");
            Value::Object(kept.map(|(name, value)| (name, timeless(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(timeless).collect()),
        other => other,
    }
}

fn ended_well(job: &Job) -> anyhow::Result<()> {
    let whole = job.pages_done == job.pages_total && job.pages_total >= 300;
    ensure!(job.state() == JobState::Succeeded && whole, "{:?} {:?}", job.progress, job.error);
    ensure!(job.attempt == 1, "it took {} attempts", job.attempt);
    Ok(())
}

#[tokio::test]
async fn two_workers_make_what_one_makes_with_one_progress() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let _lead = PdfWorker::start(&up, "lead", &FLAGS).await?;
    let jobs = up.jobs("alice").await?;
    let (alone, _) = accepted(jobs.submit("large.pdf", large()?).await?)?;
    ended_well(&jobs.ended(&alone.job_id).await?)?;

    let _helper = PdfWorker::start(&up, "helper", &FLAGS).await?;
    let (job, start) = accepted(jobs.submit("large.pdf", large()?).await?)?;
    let mut watch = jobs.watch(&job.job_id, &start).await?;
    watch.to_end().await?;
    let job = jobs.get(&job.job_id).await?;
    ended_well(&job)?;
    let pages = finished_pages(&watch);
    let at = |wanted: i32| pages.iter().position(|page| *page == wanted).context("a page was not told");
    // One goes from the front, the other from the back.
    ensure!(at(job.pages_total)? < at(150)?, "nobody helped: {pages:?}");
    let mut sorted = pages.clone();
    sorted.sort_unstable();
    ensure!(sorted == (1..=job.pages_total).collect::<Vec<_>>(), "each page once: {pages:?}");
    ensure!(results(&jobs, &job.job_id).await? == results(&jobs, &alone.job_id).await?, "the results differ");
    Ok(())
}

#[tokio::test]
async fn a_helper_that_dies_costs_nothing_but_time() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0", "--lease", "2s"]).await?;
    let _lead = PdfWorker::start(&up, "lead", &FLAGS).await?;
    let jobs = up.jobs("alice").await?;
    let (job, start) = accepted(jobs.submit("large.pdf", documents::pages(3000)).await?)?;
    let mut watch = jobs.watch(&job.job_id, &start).await?;
    watch.until(|event| matches!(event.change, Some(Change::Started(_)))).await?;
    let helper = PdfWorker::start(&up, "helper", &FLAGS).await?;
    watch.until(|event| page(event).is_some_and(|page| page > 2960)).await?;
    drop(helper);
    watch.to_end().await?;
    ended_well(&jobs.get(&job.job_id).await?)?;
    let text = jobs.result(&job.job_id, ResultFormat::Text).await?;
    for page in [1, 1500, 2959, 2961, 2980, 3000] {
        ensure!(text.matches(&format!("This is page {page}.")).count() == 1, "page {page} is not there once");
    }
    Ok(())
}

#[tokio::test]
async fn when_the_lead_dies_the_helper_goes_on_as_the_next_attempt() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0", "--lease", "2s"]).await?;
    let lead = PdfWorker::start(&up, "lead", &FLAGS).await?;
    let jobs = up.jobs("alice").await?;
    let (job, start) = accepted(jobs.submit("large.pdf", documents::pages(3000)).await?)?;
    let mut watch = jobs.watch(&job.job_id, &start).await?;
    watch.until(|event| matches!(event.change, Some(Change::Started(_)))).await?;
    let _helper = PdfWorker::start(&up, "helper", &FLAGS).await?;
    watch.until(|event| page(event).is_some_and(|page| page > 2960)).await?;
    drop(lead);
    watch.to_end().await?;
    let job = jobs.get(&job.job_id).await?;
    ensure!(job.state() == JobState::Succeeded && job.attempt == 2, "{:?} {:?}", job.progress, job.error);
    let mut pages = finished_pages(&watch);
    pages.sort_unstable();
    ensure!(pages == (1..=3000).collect::<Vec<_>>(), "what was done was not done again");
    let text = jobs.result(&job.job_id, ResultFormat::Text).await?;
    ensure!(text.matches("This is page ").count() == 3000, "the result is not whole");
    Ok(())
}
