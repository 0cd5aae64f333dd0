//! `kill -9` of everything in the middle of a job. Nothing is lost, nothing comes twice, the job goes on.

use anyhow::{Context as _, ensure};
use courant_proto::v1::{JobState, ResultFormat};
use courant_tests::grpc::{Watch, accepted};
use courant_tests::worker::Worker;
use courant_tests::{Up, documents};

use crate::progress::finished_pages;

const PAGES: i32 = 400;

#[tokio::test]
async fn a_job_goes_on_from_its_last_page_and_watchers_miss_nothing() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let jobs = up.jobs("alice").await?;
    let (job, start) = accepted(jobs.submit("long.pdf", documents::pages(PAGES as usize)).await?)?;
    let id = job.job_id.as_str();
    let mut watch = jobs.watch(id, &start).await?;
    let mut socket = up.socket("alice").await?;
    let topic = format!("job/{id}");
    socket.subscribe(&topic, Some(&start)).await?;
    watch.until(|event| event.job.as_ref().is_some_and(|job| job.pages_done >= 20)).await?;
    socket.until(|message| message["type"] == "page-completed").await?;

    let up = up.kill_and_restart().await?;
    while let Ok(Some(_)) = watch.next().await {}
    while let Ok(Some(_)) = socket.next().await {}

    // Both resume with the cursor they have.
    let jobs = up.jobs("alice").await?;
    let mut resumed = jobs.watch(id, &watch.cursor).await?;
    let mut again = up.socket("alice").await?;
    let answer = again.subscribe(&topic, socket.cursor().as_deref()).await?;
    ensure!(answer["mode"] == "resumed", "{answer}");
    resumed.to_end().await?;
    again.until(|message| message["type"] == "job-completed").await?;

    let job = jobs.get(id).await?;
    ensure!(job.state() == JobState::Succeeded && job.pages_done == PAGES, "{:?} {:?}", job.state(), job.error);
    ensure!(job.attempt >= 2, "it was not interrupted");
    // Several processes read pages: each comes once, in whatever order.
    let mut pages: Vec<i32> = [finished_pages(&watch), finished_pages(&resumed)].concat();
    pages.sort_unstable();
    ensure!(pages == (1..=PAGES).collect::<Vec<_>>(), "pages came as {pages:?}");

    // What each has heard in two parts is what the log says in one.
    let whole = whole_story(&up, id, &start).await?;
    ensure!([watch.revisions(), resumed.revisions()].concat() == whole, "the gRPC watcher missed or doubled something");
    let heard = [socket.revisions(id), again.revisions(id)].concat();
    ensure!(heard == whole, "the WebSocket client missed or doubled something: {heard:?} is not {whole:?}");
    let text = jobs.result(id, ResultFormat::Text).await?;
    for page in [1, 20, 21, PAGES] {
        ensure!(text.matches(&format!("This is page {page}.")).count() == 1, "page {page} is not there once");
    }
    Ok(())
}

/// What the log says of a job, in one go.
pub(crate) async fn whole_story(up: &Up, id: &str, start: &str) -> anyhow::Result<Vec<i64>> {
    let mut watch: Watch = up.jobs("alice").await?.watch(id, start).await?;
    watch.to_end().await?;
    let revisions = watch.revisions();
    ensure!(revisions.windows(2).all(|pair| pair[0] < pair[1]), "not in order: {revisions:?}");
    Ok(revisions)
}

#[tokio::test]
async fn no_parser_is_left_behind() -> anyhow::Result<()> {
    let mut up = Up::start().await?;
    let jobs = up.jobs("alice").await?;
    let (job, start) = accepted(jobs.submit("long.pdf", documents::pages(3000)).await?)?;
    let mut watch = jobs.watch(&job.job_id, &start).await?;
    watch.until(|event| event.job.as_ref().is_some_and(|job| job.pages_done >= 2)).await?;
    let parsers = up.parsers()?;
    ensure!(!parsers.is_empty(), "where are the parsers?");
    up.kill().await?;
    for parser in parsers {
        parser.gone().await?;
    }
    Ok(())
}

#[tokio::test]
async fn waiting_jobs_and_their_order_survive() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let jobs = up.jobs("alice").await?;
    for name in ["first", "second", "third"] {
        jobs.submit_kind("test", name).await?;
    }
    let up = up.kill_and_restart().await?;
    let mut worker = Worker::start(&up, "test", 1)?;
    for name in ["first", "second", "third"] {
        let work = worker.next().await?;
        ensure!(work.task.filename() == name, "{} came instead of {name}", work.task.filename());
        work.succeed();
    }
    Ok(())
}

#[tokio::test]
async fn a_cursor_of_all_jobs_survives_too() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let jobs = up.jobs("alice").await?;
    let mut socket = up.socket("alice").await?;
    socket.subscribe("mine", None).await?;
    socket.until(|message| message["type"] == "live").await?;
    let (first, _) = jobs.submit_kind("test", "first").await?;
    socket.until(|message| message["type"] == "job-queued").await?;
    let cursor = socket.cursor().context("a durable event has a cursor")?;
    let (second, _) = jobs.submit_kind("test", "second").await?;
    let up = up.kill_and_restart().await?;
    let mut socket = up.socket("alice").await?;
    socket.subscribe("mine", Some(&cursor)).await?;
    let missed = socket.until(|message| message["type"] == "job-queued").await?;
    ensure!(missed["jobId"] == second.job_id.as_str(), "{missed}");
    socket.until(|message| message["type"] == "live").await?;
    ensure!(socket.revisions(&first.job_id).is_empty(), "the first job came twice");
    Ok(())
}
