//! Several servers with one log and one bucket.

use anyhow::{Context as _, ensure};
use courant_auth::Role;
use courant_natslog::testing::{Cluster, Sync};
use courant_proto::v1::write_upload_request::Part;
use courant_proto::v1::{
    CreateUploadRequest, JobState, ResultFormat, SubmitJobHeader, WriteUploadHeader, WriteUploadRequest,
};
use courant_tests::grpc::accepted;
use courant_tests::s3::S3;
use courant_tests::server::{Server, Shared};
use courant_tests::worker::Worker;

use crate::migrate::{Busy, LARGE as LARGE_TO_MIGRATE, migrate, report, whole_history, work_off};

/// Below 5 MiB: uploads in parts of one server might be aborted by the other one when it starts, for this S3 server says of all
/// that they were begun in 2010.
const LARGE: usize = 4 << 20;

/// Variables and flags with which servers reach this store.
fn reached(s3: &S3, shared: Shared) -> anyhow::Result<(Shared, Vec<String>)> {
    let settings = [("AWS_ENDPOINT", s3.endpoint.as_str()), ("AWS_ALLOW_HTTP", "true"), ("AWS_REGION", "us-east-1")];
    let shared = shared.with_environment(&settings);
    let file = shared.write("credentials", "[default]\naws_access_key_id = key\naws_secret_access_key = secret\n")?;
    let flags = ["--objects", "s3://documents/courant", "--objects-credentials-file", &file];
    Ok((shared, flags.map(String::from).to_vec()))
}

struct Two {
    _nats: Cluster,
    _s3: S3,
    shared: Shared,
    servers: [Server; 2],
}

impl Two {
    async fn start() -> anyhow::Result<Self> {
        let (nats, s3) = (Cluster::single(Sync::Always), S3::with_bucket("documents").await?);
        let (shared, objects) = reached(&s3, Shared::new()?)?;
        let flags = |name: &'static str| {
            let pieces = ["--small-file-bytes", "0", "--upload-piece-bytes", "1048576", "--server-name", name];
            objects.iter().map(String::as_str).chain(pieces).collect::<Vec<_>>()
        };
        let first = Server::start(&nats, &shared, "first", &flags("first")).await?;
        let second = Server::start(&nats, &shared, "second", &flags("second")).await?;
        Ok(Self { _nats: nats, _s3: s3, shared, servers: [first, second] })
    }
}

/// Bytes that tell where they are.
fn document(mark: u8) -> Vec<u8> {
    (0..LARGE).map(|at| (at / 997) as u8 ^ mark).collect()
}

#[tokio::test]
async fn a_document_submitted_at_one_server_is_worked_on_and_read_at_another() -> anyhow::Result<()> {
    let two = Two::start().await?;
    let [here, there] = [two.servers[0].jobs("alice").await?, two.servers[1].jobs("alice").await?];
    let header = SubmitJobHeader { kind: "test".into(), ..SubmitJobHeader::default() };
    let (job, _) = accepted(here.submit_with(header, document(0)).await?)?;
    let worker_token = |name: &str| two.shared.token(name, &[Role::Worker]);
    let mut worker = Worker::connect(&two.servers[1].grpc, &worker_token, "test", 1)?;
    let work = worker.next().await?;
    let copy = tempfile::NamedTempFile::new()?;
    work.task.read_document(copy.path()).await?;
    ensure!(std::fs::read(copy.path())? == document(0), "the worker got another document");
    work.task.plan(1).await?;
    work.page(1).await?;
    work.export("the text").await?;
    work.succeed();
    ensure!(here.ended(&job.job_id).await?.state() == JobState::Succeeded);
    ensure!(here.result(&job.job_id, ResultFormat::Text).await? == "the text");
    let (offset, limit) = (LARGE - 3_000_000, 2_000_000);
    let part = there.document(&job.job_id, offset as i64, limit as i64).await?;
    ensure!(part == document(0)[offset..offset + limit], "another part");
    Ok(())
}

#[tokio::test]
async fn of_an_upload_that_two_servers_take_at_once_each_piece_is_written_by_one() -> anyhow::Result<()> {
    let two = Two::start().await?;
    let [mut one, mut other] = [two.servers[0].uploads("alice").await?, two.servers[1].uploads("alice").await?];
    let header = SubmitJobHeader { document_bytes: LARGE as i64, kind: "test".into(), ..SubmitJobHeader::default() };
    let begun = one.create_upload(CreateUploadRequest { header: Some(header) }).await?.into_inner();
    let id = begun.upload.context("an upload")?.upload_id;
    let write = |from: usize, mark: u8| {
        let header = WriteUploadHeader { upload_id: id.clone(), offset_bytes: from as i64, ..Default::default() };
        let chunks = document(mark)[from..].chunks(1 << 20).map(|chunk| Part::Chunk(chunk.to_vec().into())).collect();
        let parts: Vec<Part> = [vec![Part::Header(header)], chunks].concat();
        tokio_stream::iter(parts.into_iter().map(|part| WriteUploadRequest { part: Some(part) }))
    };
    // Two tabs of a user, with different files under one name.
    let (mine, yours) = tokio::join!(one.write_upload(write(0, 1)), other.write_upload(write(0, 2)));
    let won = mine.or(yours)?.into_inner();
    let job = won.job.context("whoever was first has a job")?;
    let read = two.servers[1].jobs("alice").await?.document(&job.job_id, 0, 0).await?;
    ensure!(read == document(1) || read == document(2), "the bytes of two documents are mixed");
    Ok(())
}

#[tokio::test]
async fn documents_and_results_move_from_one_machine_to_a_bucket() -> anyhow::Result<()> {
    let (nats, s3) = (Cluster::single(Sync::Always), S3::with_bucket("documents").await?);
    let mut busy = Busy::start().await?;
    let (shared, objects) = reached(&s3, Shared::with_keys_of(&busy.up.data())?)?;
    let history = whole_history(&busy.up.jobs("alice").await?, &busy.done).await?;
    let data = busy.up.data();
    drop((busy.work, busy.worker));
    busy.up.stop().await?;
    let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
    let done = report(&migrate(&shared, &nats, &data, &[&objects[..], &["--json"]].concat()).await?)?;
    ensure!(done["verified"] == true && done["files"]["outcome"] == "copied", "{done}");
    ensure!(done["files"]["counted"]["files"] == 6, "{done}");

    let flags = [&objects[..], &["--lease", "1s"]].concat();
    let server = Server::start(&nats, &shared, "server", &flags).await?;
    let jobs = server.jobs("alice").await?;
    ensure!(whole_history(&jobs, &busy.done).await? == history, "the history is another");
    ensure!(jobs.document(&busy.done, 0, 0).await? == vec![b'd'; LARGE_TO_MIGRATE], "the document is another");
    ensure!(
        jobs.result(&busy.done, ResultFormat::Text).await?.len() == 12 * (LARGE_TO_MIGRATE / 10),
        "the result is another"
    );
    let mut worker = Worker::connect(&server.grpc, &|name| shared.token(name, &[Role::Worker]), "test", 1)?;
    work_off(&mut worker, 2).await?;
    ensure!(jobs.ended(&busy.running).await?.state() == JobState::Succeeded);
    Ok(())
}
