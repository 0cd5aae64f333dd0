//! From `courant up` to NATS, with the real programs: what was there is there, clients resync, and half a copy is no log.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use courant_auth::Role;
use courant_joblog::log::{Append, Log as _};
use courant_joblog::sqlite::{Options, SqliteLog};
use courant_joblog::{ids::Revision, samples};
use courant_natslog::testing::{Cluster, Sync};
use courant_proto::v1::watch_job_response::Step;
use courant_proto::v1::{GapReason, JobEvent, JobState, ResultFormat, SubmitJobHeader};
use courant_server::cursor::Cursor;
use courant_tests::bridge::Bridge;
use courant_tests::grpc::{Jobs, Watch, accepted};
use courant_tests::program::{self, Ran};
use courant_tests::server::{Server, Shared};
use courant_tests::worker::{Work, Worker};
use courant_tests::{Up, within};
use serde_json::Value;
use tempfile::TempDir;

/// Too large for the log.
pub(crate) const LARGE: usize = 200_000;

/// A `courant up` with a job that has ended, one under way and one that waits.
pub(crate) struct Busy {
    pub(crate) up: Up,
    pub(crate) done: String,
    pub(crate) running: String,
    pub(crate) waiting: String,
    /// Of the job under way, since it was submitted.
    pub(crate) watch: Watch,
    pub(crate) worker: Worker,
    pub(crate) work: Work,
}

impl Busy {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let up = Up::with(&["--workers", "0"]).await?;
        let jobs = up.jobs("alice").await?;
        let mut worker = Worker::start(&up, "test", 1)?;
        let header = |name: &str| SubmitJobHeader { kind: "test".into(), filename: name.into(), ..Default::default() };
        let (done, _) = accepted(jobs.submit_with(header("done"), vec![b'd'; LARGE]).await?)?;
        let work = worker.next().await?;
        work.task.plan(1).await?;
        work.page(1).await?;
        work.export(&"a long text ".repeat(LARGE / 10)).await?;
        work.succeed();
        jobs.ended(&done.job_id).await?;
        let (running, start) = accepted(jobs.submit_with(header("running"), vec![b'r'; LARGE]).await?)?;
        let mut watch = jobs.watch(&running.job_id, &start).await?;
        let work = worker.next().await?;
        work.task.plan(3).await?;
        work.page(1).await?;
        watch.until(|event| event.job.as_ref().is_some_and(|job| job.pages_done == 1)).await?;
        let (waiting, _) = jobs.submit_kind("test", "waiting").await?;
        let (running, waiting) = (running.job_id, waiting.job_id);
        Ok(Self { up, done: done.job_id, running, waiting, watch, worker, work })
    }
}

/// What happened to a job, without what another log numbers anew.
fn history(watch: &Watch) -> Vec<JobEvent> {
    let durable = watch.events().filter(|event| event.revision > 0);
    durable.map(|event| JobEvent { revision: 0, job: None, coalesced: 0, ..event.clone() }).collect()
}

/// All that happened to a job, from its first event.
pub(crate) async fn whole_history(jobs: &Jobs, id: &str) -> anyhow::Result<Vec<JobEvent>> {
    let mut now = jobs.watch(id, "").await?;
    now.next().await?;
    let here = Cursor::decode(&now.cursor)?;
    let mut watch = jobs.watch(id, &Cursor { revision: Revision(0), ..here }.encode()).await?;
    loop {
        match watch.next().await?.context("the watch ended")?.step {
            Some(Step::Live(_)) => return Ok(history(&watch)),
            Some(Step::Gap(gap)) => anyhow::bail!("a gap: {gap:?}"),
            _ => {}
        }
    }
}

/// A watch with a cursor of another log is told so, and then of the job as it is.
pub(crate) async fn resyncs(jobs: &Jobs, id: &str, cursor: &str) -> anyhow::Result<()> {
    let mut watch = jobs.watch(id, cursor).await?;
    let first = watch.next().await?.and_then(|message| message.step);
    let Some(Step::Gap(gap)) = &first else { anyhow::bail!("no gap, but {first:?}") };
    ensure!(gap.reason() == GapReason::LogReplaced, "{gap:?}");
    let second = watch.next().await?.and_then(|message| message.step);
    ensure!(matches!(second, Some(Step::Snapshot(_))), "{second:?}");
    Ok(())
}

/// The same for a browser.
pub(crate) async fn browser_resyncs(bridge: &Bridge, id: &str, cursor: &str) -> anyhow::Result<()> {
    let mut socket = bridge.socket("alice").await?;
    let answer = socket.subscribe(&format!("job/{id}"), Some(cursor)).await?;
    ensure!(answer["mode"] == "snapshot" && answer["reason"] == "LOG_REPLACED", "{answer}");
    socket.until(|message| message["type"] == "snapshot").await?;
    socket.until(|message| message["type"] == "live").await?;
    Ok(())
}

pub(crate) async fn migrate(shared: &Shared, nats: &Cluster, data: &Path, flags: &[&str]) -> anyhow::Result<Ran> {
    let data = data.to_str().context("temporary folders have plain names")?;
    let arguments = [&["migrate", "--data-dir", data], flags].concat();
    program::ran(shared.courant(nats, &arguments)?).await
}

pub(crate) fn report(ran: &Ran) -> anyhow::Result<Value> {
    ensure!(ran.code == 0, "it ended with {}: {}", ran.code, ran.err);
    Ok(serde_json::from_str(&ran.out)?)
}

fn refused(ran: &Ran, why: &str) -> anyhow::Result<()> {
    ensure!(ran.code == 1 && ran.err.contains(why), "it ended with {}: {}{}", ran.code, ran.err, ran.out);
    Ok(())
}

#[tokio::test]
async fn jobs_move_to_nats_with_their_history_and_clients_resync() -> anyhow::Result<()> {
    let nats = Cluster::single(Sync::Always);
    let mut busy = Busy::start().await?;
    let shared = Shared::with_keys_of(&busy.up.data())?;
    let (data, objects) = (busy.up.data(), shared.objects());
    refused(&migrate(&shared, &nats, &data, &[]).await?, "in use by process")?;
    let jobs = busy.up.jobs("alice").await?;
    let before = (whole_history(&jobs, &busy.done).await?, whole_history(&jobs, &busy.waiting).await?);
    drop((busy.work, busy.worker));
    busy.up.stop().await?;

    let would = report(&migrate(&shared, &nats, &data, &["--objects", &objects, "--dry-run", "--json"]).await?)?;
    ensure!(would["jobs"] == 3 && would["dryRun"] == true && would["files"]["counted"]["files"] == 6, "{would}");
    ensure!(nats.client().await.get_stream("courant").await.is_err(), "a dry run made the stream");
    let done = report(&migrate(&shared, &nats, &data, &["--objects", &objects, "--json"]).await?)?;
    ensure!(done["verified"] == true && done["events"] == done["copiedEvents"], "{done}");
    ensure!(done["files"]["outcome"] == "copied" && done["files"]["counted"]["files"] == 6, "{done}");
    refused(&migrate(&shared, &nats, &data, &[]).await?, "has been copied into the stream courant before")?;

    let server = Server::start(&nats, &shared, "server", &["--lease", "1s"]).await?;
    let jobs = server.jobs("alice").await?;
    ensure!(whole_history(&jobs, &busy.done).await? == before.0, "the history of an ended job is another");
    ensure!(whole_history(&jobs, &busy.waiting).await? == before.1, "the history of a waiting job is another");
    ensure!(jobs.result(&busy.done, ResultFormat::Text).await?.len() == 12 * (LARGE / 10), "the result is another");
    resyncs(&jobs, &busy.running, &busy.watch.cursor).await?;
    let bridge = Bridge::start(&shared, &server.grpc, &[]).await?;
    browser_resyncs(&bridge, &busy.running, &busy.watch.cursor).await?;

    let mut worker = Worker::connect(&server.grpc, &|name| shared.token(name, &[Role::Worker]), "test", 1)?;
    let worked_off = work_off(&mut worker, 2).await?;
    ensure!(worked_off == BTreeSet::from([busy.running.clone(), busy.waiting.clone()]), "{worked_off:?}");
    for id in &worked_off {
        let job = jobs.ended(id).await?;
        ensure!(job.state() == JobState::Succeeded, "{job:?}");
    }
    ensure!(jobs.get(&busy.running).await?.pages_done == 1, "the page is lost");
    Ok(())
}

/// A data folder with a log of so many jobs, the entries of which are mixed.
async fn with_jobs(count: usize) -> anyhow::Result<TempDir> {
    let home = TempDir::with_prefix("courant-migrate-")?;
    let log = SqliteLog::open(home.path(), Options::default())?;
    let firsts: Vec<Append> = (0..count).map(|number| samples::create(&format!("J{number}"), "alice")).collect();
    let mut revisions = Vec::new();
    for outcome in log.append_all(firsts.clone()).await {
        revisions.push(outcome?);
    }
    for round in 1..4 {
        let job = |(first, revision): (&Append, &Revision)| samples::update(samples::job_of(first), *revision, round);
        let appends = firsts.iter().zip(&revisions).map(job).collect();
        for (revision, outcome) in revisions.iter_mut().zip(log.append_all(appends).await) {
            *revision = outcome?;
        }
    }
    Ok(home)
}

#[tokio::test]
async fn a_migration_that_is_killed_goes_on_and_no_server_starts_on_half_of_it() -> anyhow::Result<()> {
    let (nats, shared, home) = (Cluster::single(Sync::Always), Shared::new()?, with_jobs(1_500).await?);
    let data = home.path().to_str().context("temporary folders have plain names")?;
    let context = nats.client().await;
    for reached in [500, 2_500] {
        let mut killed = shared.courant(&nats, &["migrate", "--data-dir", data])?.spawn()?;
        within("a part of the log to be copied", async {
            loop {
                if let Ok(stream) = context.get_stream("courant").await
                    && stream.cached_info().state.messages >= reached
                {
                    return Ok(());
                }
                ensure!(killed.try_wait()?.is_none(), "it ended before");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await?;
        killed.kill().await?;
    }
    let half = Server::launch(&nats, &shared, "half", &[])?.says("is being copied into it").await;
    ensure!(half.is_ok(), "a server starts on half a log: {half:?}");
    let done = report(&migrate(&shared, &nats, home.path(), &["--json"]).await?)?;
    ensure!(done["resumed"] == true && done["verified"] == true && done["events"] == 6_000, "{done}");
    ensure!(done["copiedEvents"].as_u64().is_some_and(|events| (1..=3_500).contains(&events)), "{done}");
    let server = Server::start(&nats, &shared, "server", &[]).await?;
    let jobs = server.jobs("alice").await?;
    ensure!(jobs.get("J0").await?.attempt == 3 && jobs.get("J1499").await?.attempt == 3, "jobs are others");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_migrated_is_said_with_what_to_do() -> anyhow::Result<()> {
    let (nats, shared, home) = (Cluster::single(Sync::Always), Shared::new()?, with_jobs(3).await?);
    let server = Server::start(&nats, &shared, "server", &[]).await?;
    server.jobs("alice").await?.submit_kind("test", "a document").await?;
    refused(&migrate(&shared, &nats, home.path(), &[]).await?, "choose another name for the stream with --log-stream")?;
    let nothing = TempDir::new()?;
    refused(&migrate(&shared, &nats, nothing.path(), &[]).await?, "there is no log in")?;
    ensure!(std::fs::read_dir(nothing.path())?.next().is_none(), "something was made there");
    let other = ["--log-stream", "other", "--log-max-bytes", "4000"];
    refused(&migrate(&shared, &nats, home.path(), &other).await?, "no space left")?;
    nats.nodes[0].kill();
    refused(&migrate(&shared, &nats, home.path(), &["--log-stream", "third"]).await?, "can be reached")?;
    Ok(())
}

/// Works off so many jobs, in whatever order they come: one that a worker had before waits for the end of its lease. Their ids.
pub(crate) async fn work_off(worker: &mut Worker, count: usize) -> anyhow::Result<BTreeSet<String>> {
    let mut ids = BTreeSet::new();
    for _ in 0..count {
        let work = worker.next().await?;
        ids.insert(work.task.job_id().to_owned());
        let (folder, bytes) = (TempDir::new()?, work.task.document_bytes());
        let document = folder.path().join("document");
        work.task.read_document(&document).await?;
        ensure!(std::fs::metadata(&document)?.len() == bytes, "the document is another");
        work.export("the text").await?;
        work.succeed();
    }
    Ok(ids)
}
