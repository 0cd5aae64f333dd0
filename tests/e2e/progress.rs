//! Long documents show steady progress: in order, never back, page by page.

use anyhow::{Context as _, ensure};
use courant_proto::v1::JobState;
use courant_proto::v1::job_event::Change;
use courant_tests::grpc::{Watch, accepted};
use courant_tests::{Up, documents};

#[tokio::test]
async fn a_hundred_and_twenty_pages_go_by_one_after_the_other() -> anyhow::Result<()> {
    let up = Up::start().await?;
    steady(&up, documents::fixture_bytes("cc-by-sa-4.0/pages-120.pdf")?, 120, 50).await
}

#[tokio::test]
async fn the_manual_with_311_pages_too() -> anyhow::Result<()> {
    let Some(manual) = documents::manual()? else {
        println!("left out on purpose (COURANT_SKIP_MANUAL)");
        return Ok(());
    };
    let up = Up::start().await?;
    steady(&up, manual, 311, 60).await
}

async fn steady(up: &Up, document: Vec<u8>, pages: i32, distinct: usize) -> anyhow::Result<()> {
    let jobs = up.jobs("alice").await?;
    let (job, cursor) = accepted(jobs.submit("long.pdf", document).await?)?;
    let mut watch = jobs.watch(&job.job_id, &cursor).await?;
    watch.to_end().await?;

    let mut finished = finished_pages(&watch);
    finished.sort_unstable();
    ensure!(finished == (1..=pages).collect::<Vec<_>>(), "pages came as {finished:?}");
    let percents = percents(&watch)?;
    ensure!(percents.windows(2).all(|pair| pair[0] <= pair[1]), "percent went back: {percents:?}");
    let mut steps: Vec<i64> = percents.iter().map(|percent| percent.round() as i64).collect();
    steps.dedup();
    ensure!(steps.len() >= distinct, "only {} different percents: {steps:?}", steps.len());
    ensure!(percents.last() == Some(&100.0), "ended at {:?}", percents.last());
    let revisions = watch.revisions();
    ensure!(revisions.windows(2).all(|pair| pair[0] < pair[1]), "revisions: {revisions:?}");
    let job = jobs.get(&job.job_id).await?;
    ensure!(job.state() == JobState::Succeeded && job.pages_total == pages, "{:?} {}", job.state(), job.pages_total);
    Ok(())
}

/// The numbers of the finished pages, in the order they were announced.
pub fn finished_pages(watch: &Watch) -> Vec<i32> {
    let number = |change: &Option<Change>| match change {
        Some(Change::PageFinished(finished)) => finished.page.as_ref().map(|page| page.number),
        _ => None,
    };
    watch.events().filter_map(|event| number(&event.change)).collect()
}

fn percents(watch: &Watch) -> anyhow::Result<Vec<f64>> {
    let percent = |event: &courant_proto::v1::JobEvent| Some(event.job.as_ref()?.progress.as_ref()?.percent);
    watch.events().map(|event| percent(event).context("an event without progress")).collect()
}
