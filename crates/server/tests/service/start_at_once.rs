//! A job for which a worker waits starts with its first entry.

use courant_proto::v1::*;

use crate::support::*;

#[tokio::test]
async fn a_job_starts_in_the_commit_that_makes_it_and_its_cursor_lies_before_both() {
    let world = World::new().await;
    let mut worker = world.worker("w").await;
    let submitted = world.submit("alice").await;
    let job = submitted.job.unwrap();
    assert_eq!((job.state(), job.attempt), (JobState::Running, 1));
    let at = worker.take().await.attempt.unwrap();
    assert_eq!((at.job_id.as_str(), at.attempt), (job.job_id.as_str(), 1));
    let mut watcher = world.watch("alice", &job.job_id, &submitted.cursor).await;
    watcher.until("queued").await;
    watcher.until("started").await;
}

/// Who waits goes first, whoever comes.
#[tokio::test]
async fn nobody_overtakes_who_waits() {
    let world = World::new().await;
    let first = world.submit("alice").await.job.unwrap().job_id;
    let second = world.submit("bob").await.job.unwrap().job_id;
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    assert_eq!(at.job_id, first);
    let third = world.submit("carol").await.job.unwrap();
    assert_eq!(third.state(), JobState::Queued);
    worker.succeed(&at).await;
    let at = worker.take().await.attempt.unwrap();
    assert_eq!(at.job_id, second);
}

#[tokio::test]
async fn a_worker_never_gets_more_than_its_slots() {
    let world = World::new().await;
    let mut worker = world.worker_with("w", 3, vec![]).await;
    let submits = (0..20).map(|_| world.submit("alice"));
    let jobs = futures::future::join_all(submits).await;
    let running = jobs.iter().filter(|submitted| submitted.job.as_ref().unwrap().state() == JobState::Running).count();
    assert!(running <= 3, "{running} run");
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(worker.take().await.attempt.unwrap());
    }
    let assigned =
        worker.sync().await.into_iter().filter(|order| matches!(order, work_response::Message::Assignment(_)));
    assert_eq!(assigned.count(), 0, "it has three slots");
    for at in held {
        worker.succeed(&at).await;
    }
    for _ in 0..17 {
        let at = worker.take().await.attempt.unwrap();
        worker.succeed(&at).await;
    }
}

/// A request that is repeated makes one job and keeps no slot.
#[tokio::test]
async fn a_repeated_request_keeps_no_slot() {
    let world = World::new().await;
    let header = SubmitJobHeader { request_id: "r".into(), ..Default::default() };
    let mut worker = world.worker_with("w", 2, vec![]).await;
    let submits = (0..8).map(|_| world.submit_with("alice", header.clone(), b"x"));
    let jobs = futures::future::join_all(submits).await;
    assert!(jobs.iter().all(|job| job.as_ref().unwrap().job.as_ref().unwrap().job_id
        == jobs[0].as_ref().unwrap().job.as_ref().unwrap().job_id));
    let first = worker.take().await.attempt.unwrap();
    world.submit("alice").await;
    let second = worker.take().await.attempt.unwrap();
    assert_ne!(first.job_id, second.job_id);
}
