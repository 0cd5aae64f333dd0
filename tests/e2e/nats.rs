//! A server whose log is on NATS: one that takes over from another, and a NATS that is away.

use anyhow::ensure;
use courant_auth::Role;
use courant_natslog::testing::{Cluster, Sync};
use courant_proto::v1::job_event::Change;
use courant_proto::v1::{JobState, ResultFormat};
use courant_tests::grpc::{becomes, reason};
use courant_tests::health::Health;
use courant_tests::server::{Server, Shared};
use courant_tests::within;
use courant_tests::worker::Worker;
use tonic::Code;

fn worker(server: &Server, shared: &Shared) -> anyhow::Result<Worker> {
    Worker::connect(&server.grpc, &|name| shared.token(name, &[Role::Worker]), "test", 1)
}

#[tokio::test]
async fn a_job_goes_on_at_the_server_that_takes_over() -> anyhow::Result<()> {
    let (nats, shared) = (Cluster::single(Sync::Always), Shared::new()?);
    let first = Server::start(&nats, &shared, "first", &[]).await?;
    let mut working = worker(&first, &shared)?;
    let jobs = first.jobs("alice").await?;
    let (job, cursor) = jobs.submit_kind("test", "a document").await?;
    let mut watch = jobs.watch(&job.job_id, &cursor).await?;
    let work = working.next().await?;
    work.task.plan(1).await?;
    work.page(1).await?;
    watch.until(|event| matches!(event.change, Some(Change::PageFinished(_)))).await?;
    let revisions = watch.revisions();
    first.kill().await?;
    drop(work);
    drop(working);

    let second = Server::start(&nats, &shared, "second", &["--lease", "1s"]).await?;
    let jobs = second.jobs("alice").await?;
    ensure!(jobs.get(&job.job_id).await?.pages_done == 1, "the page is lost");
    let mut resumed = jobs.watch(&job.job_id, &watch.cursor).await?;
    let mut working = worker(&second, &shared)?;
    let work = working.next().await?;
    work.export("the text").await?;
    work.succeed();
    resumed.until(|event| becomes(event, JobState::Succeeded)).await?;
    let after = resumed.revisions();
    ensure!(after.first() > revisions.last(), "told again: {revisions:?}, then {after:?}");
    ensure!(resumed.events().all(|event| event.job.is_some()), "the watch had a gap");
    ensure!(jobs.result(&job.job_id, ResultFormat::Text).await? == "the text", "the result is another");
    ensure!(second.stop().await?.success(), "it did not end well");
    Ok(())
}

#[tokio::test]
async fn while_nats_is_away_the_server_is_not_ready_and_answers_what_it_knows() -> anyhow::Result<()> {
    let (nats, shared) = (Cluster::single(Sync::Always), Shared::new()?);
    let server = Server::start(&nats, &shared, "server", &[]).await?;
    let jobs = server.jobs("alice").await?;
    let (job, _) = jobs.submit_kind("test", "before").await?;
    let mut health = Health::follow(&server.grpc).await?;
    health.becomes(true).await?;

    nats.nodes[0].kill();
    health.becomes(false).await?;
    ensure!(jobs.get(&job.job_id).await?.state() == JobState::Queued, "the job is another");
    nats.nodes[0].start();
    health.becomes(true).await?;
    let (job, cursor) = jobs.submit_kind("test", "after").await?;
    let mut watch = jobs.watch(&job.job_id, &cursor).await?;
    let mut working = worker(&server, &shared)?;
    for _ in 0..2 {
        let work = working.next().await?;
        work.export("the text").await?;
        work.succeed();
    }
    watch.until(|event| becomes(event, JobState::Succeeded)).await?;
    Ok(())
}

#[tokio::test]
async fn a_submit_while_nats_is_away_is_refused_as_what_may_be_tried_again() -> anyhow::Result<()> {
    let (nats, shared) = (Cluster::single(Sync::Always), Shared::new()?);
    let server = Server::start(&nats, &shared, "server", &[]).await?;
    let jobs = server.jobs("alice").await?;
    nats.nodes[0].kill();
    let refused = within("the submit to be refused", async { Ok(jobs.submit("a.pdf", b"%PDF-1.4".to_vec()).await) });
    let refused = refused.await?.err();
    ensure!(refused.as_ref().is_some_and(|status| status.code() == Code::Unavailable), "{refused:?}");
    ensure!(refused.as_ref().is_some_and(|status| !reason(status).is_empty()), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_server_waits_for_a_nats_that_is_not_there_yet() -> anyhow::Result<()> {
    let (nats, shared) = (Cluster::single(Sync::Always), Shared::new()?);
    nats.nodes[0].kill();
    let mut impatient = Server::launch(&nats, &shared, "impatient", &[])?;
    impatient.says("waiting for NATS").await?;
    ensure!(impatient.stop().await?.success(), "who is stopped while waiting ends well");

    let mut server = Server::launch(&nats, &shared, "server", &[])?;
    server.says("waiting for NATS").await?;
    nats.nodes[0].start();
    server.serves().await?;
    server.jobs("alice").await?.submit("a.pdf", b"%PDF-1.4".to_vec()).await?;
    Ok(())
}

#[tokio::test]
async fn what_cannot_work_ends_the_server_with_what_to_do() -> anyhow::Result<()> {
    let (nats, shared) = (Cluster::single(Sync::Lazy), Shared::new()?);
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("wrong"), "wrong\n")?;
    let wrong = folder.path().join("wrong");
    let wrong = wrong.to_str().unwrap_or_default();
    let cases: [(&[&str], &str); 6] = [
        (&[], "--allow-lossy"),
        (&["--log-password-file", wrong], "check the credentials"),
        (&["--log-password-file", "/nowhere/password"], "--log-password-file /nowhere/password"),
        (&["--log-replicas", "2"], "1, 3 or 5"),
        (&["--log", "http://127.0.0.1:4222"], "nats://"),
        (&["--log-stream", "two words"], "letters"),
    ];
    for (flags, advice) in cases {
        let ended = within("the server to end", async {
            Ok(shared.command(&nats, &folder.path().join("data"), flags)?.output().await?)
        });
        let ended = ended.await?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        ensure!(!ended.status.success() && said.contains(advice), "{flags:?}: {said}");
        ensure!(!said.contains("secret"), "a password was logged: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_data_folder_is_one_servers() -> anyhow::Result<()> {
    let (nats, shared) = (Cluster::single(Sync::Always), Shared::new()?);
    let _first = Server::start(&nats, &shared, "same", &[]).await?;
    let mut second = Server::launch(&nats, &shared, "same", &[])?;
    second.says("is in use by another process").await?;
    Ok(())
}
