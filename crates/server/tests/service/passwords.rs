//! Passwords of documents: for the worker that holds the job, and for nobody and nothing else.

use courant_proto::v1::{
    AttemptRef, Password, ReadPasswordRequest, ResultFormat, RetryJobRequest, SubmitJobHeader, worker_service_client,
};
use tonic::Code;

use crate::support::*;

const PASSWORD: &str = "correct-horse-battery";

fn with(password: &str) -> SubmitJobHeader {
    let formats = vec![ResultFormat::Markdown.into()];
    SubmitJobHeader { password: Some(Password { text: password.into() }), formats, ..SubmitJobHeader::default() }
}

async fn read(worker: &mut Worker, at: &AttemptRef) -> Result<String, tonic::Status> {
    let request = ReadPasswordRequest { attempt: Some(at.clone()) };
    Ok(worker.client.read_password(request).await?.into_inner().password.unwrap().text)
}

/// The files below the data folder in which these bytes are.
fn holding(world: &World, text: &str) -> Vec<String> {
    let (mut folders, mut found) = (vec![world.folder.path().to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match std::fs::read(entry.path()) {
                Ok(bytes) if bytes.windows(text.len()).any(|window| window == text.as_bytes()) => {
                    found.push(entry.path().display().to_string());
                }
                Ok(_) => {}
                Err(_) => folders.push(entry.path()),
            }
        }
    }
    found
}

fn sealed(world: &World) -> usize {
    world.files().iter().filter(|file| file.contains("/password-")).count()
}

#[tokio::test]
async fn the_worker_that_holds_the_job_reads_it_and_nobody_else() {
    let world = World::new().await;
    let submitted = world.submit_with("alice", with(PASSWORD), b"x").await.unwrap();
    let mut worker = world.worker("w1").await;
    let assignment = worker.take().await;
    let at = assignment.attempt.unwrap();
    assert!(assignment.has_password);
    assert_eq!(read(&mut worker, &at).await.unwrap(), PASSWORD);
    let old = AttemptRef { attempt: at.attempt + 1, ..at.clone() };
    assert_eq!(reason(&read(&mut worker, &old).await.unwrap_err()), "LEASE_LOST");
    let request = ReadPasswordRequest { attempt: Some(at.clone()) };
    let token = Bearer(world.token("alice", &[]));
    let mut alice = worker_service_client::WorkerServiceClient::with_interceptor(world.channel.clone(), token);
    assert_eq!(reason(&alice.read_password(request).await.unwrap_err()), "ROLE_REQUIRED");
    assert_eq!((sealed(&world), holding(&world, PASSWORD)), (1, vec![]), "sealed, and nowhere in the open");
    worker.work_off(&at, 2).await;
    worker.sync().await;
    let received = world.watch("alice", &at.job_id, &submitted.cursor).await.durable().await;
    assert!(!format!("{received:?}").contains(PASSWORD), "no event has it");
}

#[tokio::test]
async fn it_is_gone_when_the_job_has_ended_and_a_retry_brings_it_again() {
    let world = World::new().await;
    world.submit_with("alice", with("wrong"), b"x").await.unwrap();
    let mut worker = world.worker("w1").await;
    let at = worker.take().await.attempt.unwrap();
    worker.fail(&at, false).await;
    worker.sync().await;
    until(|| sealed(&world) == 0).await;

    let job_id = at.job_id.clone();
    let bare = RetryJobRequest { job_id: job_id.clone(), password: None };
    world.jobs("alice").retry_job(bare).await.unwrap();
    let assignment = worker.take().await;
    assert!(!assignment.has_password);
    let at = assignment.attempt.unwrap();
    let none = read(&mut worker, &at).await.unwrap_err();
    assert_eq!((none.code(), reason(&none).as_str()), (Code::FailedPrecondition, "PASSWORD_UNREADABLE"));
    worker.fail(&at, false).await;
    worker.sync().await;

    let right = RetryJobRequest { job_id: job_id.clone(), password: Some(Password { text: PASSWORD.into() }) };
    world.jobs("alice").retry_job(right.clone()).await.unwrap();
    let at = worker.take().await.attempt.unwrap();
    assert_eq!(read(&mut worker, &at).await.unwrap(), PASSWORD);
    let early = world.jobs("alice").retry_job(right).await.unwrap_err();
    assert_eq!(reason(&early), "JOB_STATE");
    assert_eq!(sealed(&world), 1, "a retry that is refused leaves nothing");
    worker.work_off(&at, 1).await;
    worker.sync().await;
    until(|| sealed(&world) == 0).await;
}

#[tokio::test]
async fn it_outlives_a_restart_and_a_lost_attempt() {
    let world = World::new().await;
    world.submit_with("alice", with(PASSWORD), b"x").await.unwrap();
    let mut worker = world.worker("w1").await;
    worker.take().await;
    worker.sync().await;
    drop(worker);
    let world = world.restart().await;
    let mut worker = world.worker("w1").await;
    let at = worker.take().await.attempt.unwrap();
    assert_eq!((at.attempt, read(&mut worker, &at).await.unwrap().as_str()), (2, PASSWORD));
}

#[tokio::test]
async fn under_another_key_it_cannot_be_read_and_the_reason_is_said() {
    let world = World::new().await;
    world.submit_with("alice", with(PASSWORD), b"x").await.unwrap();
    std::fs::remove_file(world.folder.path().join("password.key")).unwrap();
    let world = world.restart().await;
    let mut worker = world.worker("w1").await;
    let at = worker.take().await.attempt.unwrap();
    assert_eq!(reason(&read(&mut worker, &at).await.unwrap_err()), "PASSWORD_UNREADABLE");
}

#[tokio::test]
async fn a_password_has_bounds_and_a_repeat_of_a_request_keeps_the_first() {
    let world = World::new().await;
    for text in [String::new(), "x".repeat(1025)] {
        let refused = world.submit_with("alice", with(&text), b"x").await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_FIELD");
        assert!(!refused.message().contains("xxx"));
    }
    for password in [PASSWORD, "another"] {
        let header = SubmitJobHeader { request_id: "r".into(), ..with(password) };
        world.submit_with("alice", header, b"x").await.unwrap();
    }
    assert_eq!(sealed(&world), 1);
    let mut worker = world.worker("w1").await;
    let at = worker.take().await.attempt.unwrap();
    assert_eq!(read(&mut worker, &at).await.unwrap(), PASSWORD);
}
