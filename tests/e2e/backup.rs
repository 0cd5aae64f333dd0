//! Backups that are made while servers run, and what is there when they are put back.

use std::path::Path;

use anyhow::{Context as _, ensure};
use courant_auth::Role;
use courant_natslog::testing::{Cluster, Sync};
use courant_proto::v1::watch_job_response::Step;
use courant_proto::v1::{JobState, ResultFormat};
use courant_tests::Up;
use courant_tests::bridge::Bridge;
use courant_tests::grpc::becomes;
use courant_tests::program;
use courant_tests::server::{Server, Shared};
use courant_tests::worker::Worker;
use serde_json::Value;
use tempfile::TempDir;

use crate::migrate::{Busy, LARGE, browser_resyncs, report, resyncs, work_off};

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("temporary folders have plain names")
}

#[tokio::test]
async fn a_backup_of_a_running_server_is_put_back_and_cursors_beyond_it_resync() -> anyhow::Result<()> {
    let Busy { mut up, done, running, waiting, mut watch, worker, work } = Busy::start().await?;
    let early = watch.cursor.clone();
    let home = TempDir::with_prefix("courant-restored-")?;
    let to = home.path().join("data");
    let arguments = ["backup", "--data-dir", &up.data_arg()?, "--to", text(&to)?, "--json"];
    let made: Value = report(&program::run(&arguments).await?)?;
    ensure!(made["jobs"] == 3 && made["files"]["files"] == 6, "{made}");
    ensure!(made["copied"] == serde_json::json!(["notices.db", "webhooks.db", "secret", "password.key"]), "{made}");
    let again = program::run(&arguments).await?;
    ensure!(again.code == 1 && again.err.contains("is there already"), "{again:?}");
    // What comes after it is lost with the server.
    work.page(2).await?;
    watch.until(|event| event.job.as_ref().is_some_and(|job| job.pages_done == 2)).await?;
    let (late, lost) = (watch.cursor.clone(), up.jobs("alice").await?.submit_kind("test", "lost").await?.0);
    up.kill().await?;
    drop((work, worker, up));

    let up = Up::restored(home, &["--workers", "0", "--lease", "1s"]).await?;
    let jobs = up.jobs("alice").await?;
    ensure!(jobs.get(&lost.job_id).await.is_err(), "where does it come from?");
    ensure!(jobs.get(&running).await?.pages_done == 1, "the page that was done is not there");
    ensure!(jobs.result(&done, ResultFormat::Text).await?.len() == 12 * (LARGE / 10), "the result is another");
    resyncs(&jobs, &running, &late).await?;
    let mut socket = up.socket("alice").await?;
    let answer = socket.subscribe(&format!("job/{running}"), Some(&late)).await?;
    ensure!(answer["mode"] == "snapshot" && answer["reason"] == "LOG_REPLACED", "{answer}");
    // Who had heard no more than the backup has goes on.
    let mut worker = Worker::start(&up, "test", 1)?;
    let mut resumed = jobs.watch(&running, &early).await?;
    ensure!(work_off(&mut worker, 2).await?.contains(&waiting), "the job that waited is lost");
    resumed.until(|event| becomes(event, JobState::Succeeded)).await?;
    ensure!(!resumed.seen.iter().any(|message| matches!(message.step, Some(Step::Gap(_)))), "a gap for nothing");
    // The numbers of what was lost are given again by now: still nobody is misled.
    resyncs(&jobs, &running, &late).await?;
    let answer = up.socket("alice").await?.subscribe(&format!("job/{running}"), Some(&late)).await?;
    ensure!(answer["reason"] == "LOG_REPLACED", "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_backup_of_a_log_on_nats_is_put_back_on_nats_and_runs_alone_as_well() -> anyhow::Result<()> {
    let (nats, shared) = (Cluster::single(Sync::Always), Shared::new()?);
    let server = Server::start(&nats, &shared, "server", &[]).await?;
    let jobs = server.jobs("alice").await?;
    let mut worker = Worker::connect(&server.grpc, &|name| shared.token(name, &[Role::Worker]), "test", 1)?;
    let (done, _) = jobs.submit_kind("test", "done").await?;
    let work = worker.next().await?;
    work.export(&"a long text ".repeat(LARGE / 10)).await?;
    work.succeed();
    jobs.ended(&done.job_id).await?;
    let (waiting, cursor) = jobs.submit_kind("test", "waiting").await?;
    let work = worker.next().await?;

    let home = TempDir::with_prefix("courant-restored-")?;
    let to = home.path().join("data");
    let (data, objects) = (shared.path("server"), shared.objects());
    let arguments = ["backup", "--data-dir", text(&data)?, "--to", text(&to)?, "--objects", &objects, "--json"];
    let made = report(&program::ran(shared.courant(&nats, &arguments)?).await?)?;
    ensure!(made["jobs"] == 2 && made["files"]["files"] == 4 && made["smallFiles"] == 2, "{made}");
    work.task.plan(5).await?;
    drop((work, worker, server, nats));

    let (nats, data) = (Cluster::single(Sync::Always), text(&to)?);
    let lost = Shared::with_keys_of(&shared.path(""))?;
    let restore = ["migrate", "--data-dir", data, "--objects", &lost.objects(), "--json"];
    let restored = report(&program::ran(lost.courant(&nats, &restore)?).await?)?;
    ensure!(restored["verified"] == true && restored["jobs"] == 2, "{restored}");
    let server = Server::start(&nats, &lost, "server", &["--lease", "1s"]).await?;
    let jobs = server.jobs("alice").await?;
    resyncs(&jobs, &waiting.job_id, &cursor).await?;
    let bridge = Bridge::start(&lost, &server.grpc, &[]).await?;
    browser_resyncs(&bridge, &waiting.job_id, &cursor).await?;
    ensure!(jobs.result(&done.job_id, ResultFormat::Text).await?.len() == 12 * (LARGE / 10), "the result is another");
    let mut worker = Worker::connect(&server.grpc, &|name| lost.token(name, &[Role::Worker]), "test", 1)?;
    work_off(&mut worker, 1).await?;
    ensure!(jobs.ended(&waiting.job_id).await?.state() == JobState::Succeeded, "it did not go on");

    // The very folder is a data folder.
    let up = Up::restored(home, &["--workers", "0", "--lease", "1s"]).await?;
    let jobs = up.jobs("alice").await?;
    ensure!(jobs.get(&done.job_id).await?.state() == JobState::Succeeded, "the job is another");
    resyncs(&jobs, &waiting.job_id, &cursor).await?;
    Ok(())
}
