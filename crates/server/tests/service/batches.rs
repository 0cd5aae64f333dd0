//! Several jobs as one thing.

use std::time::Duration;

use courant_auth::Role;
use courant_proto::v1::*;
use tonic::{Code, Streaming};

use crate::support::*;

fn batched(size: i32) -> SubmitJobHeader {
    SubmitJobHeader { batch_id: "b".into(), batch_size: size, ..markdown_only() }
}

fn get(owner: &str) -> GetBatchRequest {
    GetBatchRequest { batch_id: "b".into(), owner: owner.into() }
}

async fn batch(world: &World) -> Batch {
    world.jobs("alice").get_batch(get("")).await.unwrap().into_inner().batch.unwrap()
}

async fn next(states: &mut Streaming<WatchBatchResponse>) -> Option<Batch> {
    let next = tokio::time::timeout(PATIENCE, states.message()).await.expect("no state came").unwrap();
    next.map(|state| state.batch.unwrap())
}

#[tokio::test]
async fn a_batch_is_followed_to_its_one_completion() {
    let world = World::new().await;
    let first = world.submit_with("alice", batched(2), b"x").await.unwrap();
    let watch =
        WatchBatchRequest { batch_id: "b".into(), min_interval: Some(Default::default()), ..Default::default() };
    let mut states = world.jobs("alice").watch_batch(watch).await.unwrap().into_inner();
    let now = next(&mut states).await.unwrap();
    assert_eq!((now.jobs_total, now.jobs_queued, now.percent, now.complete), (2, 1, 0.0, false));
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    worker.work_off(&at, 3).await;
    worker.sync().await;
    let half = batch(&world).await;
    assert_eq!((half.jobs_succeeded, half.percent, half.complete, half.pages_done), (1, 50.0, false, 3));
    world.submit_with("alice", batched(0), b"x").await.unwrap();
    let at = worker.take().await.attempt.unwrap();
    worker.fail(&at, false).await;
    let mut last = now;
    while let Some(state) = next(&mut states).await {
        assert!(!last.complete, "nothing comes after completion");
        assert!(state.percent >= last.percent && state.revision >= last.revision, "{last:?} then {state:?}");
        last = state;
    }
    assert_eq!((last.complete, last.percent, last.jobs_succeeded, last.jobs_failed), (true, 100.0, 1, 1));
    assert!(last.end_time.is_some() && last.create_time == first.job.unwrap().create_time);
    assert_eq!(batch(&world).await, last);
    let world = world.restart().await;
    assert_eq!(batch(&world).await, last, "counted again from the log");
}

#[tokio::test]
async fn a_running_job_counts_with_its_live_percent() {
    let world = World::new().await;
    world.submit_with("alice", batched(0), b"x").await.unwrap();
    world.submit_with("alice", batched(0), b"x").await.unwrap();
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    let report =
        ReportProgress { attempt: Some(at), percent: 60.0, stage: Stage::Extract.into(), ..Default::default() };
    worker.send(work_request::Message::Progress(report)).await;
    worker.sync().await;
    assert_eq!(batch(&world).await.percent, 30.0);
}

#[tokio::test]
async fn a_batch_is_cancelled_as_one() {
    let world = World::new().await;
    for _ in 0..3 {
        world.submit_with("alice", batched(0), b"x").await.unwrap();
    }
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    worker.sync().await;
    let cancel = |owner: &str| CancelBatchRequest { batch_id: "b".into(), owner: owner.into() };
    let answer = world.jobs("alice").cancel_batch(cancel("")).await.unwrap().into_inner();
    assert_eq!(answer.jobs_cancelled, 3);
    let now = answer.batch.unwrap();
    assert_eq!((now.jobs_cancelled, now.jobs_cancelling, now.complete), (2, 1, false));
    worker.succeed(&at).await;
    worker.sync().await;
    assert_eq!(batch(&world).await.jobs_cancelled, 3);
    let again = world.jobs("alice").cancel_batch(cancel("")).await.unwrap().into_inner();
    assert_eq!((again.jobs_cancelled, again.batch.unwrap().complete), (0, true));
    let mut bridge = world.jobs_as("bridge", &[Role::Bridge]);
    assert_eq!(bridge.cancel_batch(cancel("alice")).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_batch_is_its_owners() {
    let world = World::new().await;
    world.submit_with("alice", batched(0), b"x").await.unwrap();
    let mut bob = world.jobs("bob");
    let missing = bob.get_batch(get("")).await.unwrap_err();
    assert_eq!((missing.code(), reason(&missing).as_str()), (Code::NotFound, "BATCH_NOT_FOUND"));
    assert_eq!(reason(&bob.get_batch(get("alice")).await.unwrap_err()), "ROLE_REQUIRED");
    assert_eq!(
        reason(&bob.watch_batch(WatchBatchRequest { batch_id: "b".into(), ..Default::default() }).await.unwrap_err()),
        "BATCH_NOT_FOUND"
    );
    let mut root = world.jobs_as("root", &[Role::Admin]);
    assert_eq!(root.get_batch(get("alice")).await.unwrap().into_inner().batch.unwrap().jobs_total, 1);
    assert_eq!(reason(&root.get_batch(get("-")).await.unwrap_err()), "INVALID_FIELD");
    let unnamed = bob.get_batch(GetBatchRequest::default()).await.unwrap_err();
    assert_eq!(reason(&unnamed), "INVALID_FIELD");
}

#[tokio::test]
async fn the_cursor_of_a_batch_leads_into_a_watch_of_its_jobs() {
    let world = World::new().await;
    let id = world.submit_with("alice", batched(0), b"x").await.unwrap().job.unwrap().job_id;
    let cursor = world.jobs("alice").get_batch(get("")).await.unwrap().into_inner().cursor;
    world.cancel("alice", &id).await.unwrap();
    let watch = WatchJobsRequest { batch_id: "b".into(), after_cursor: cursor, ..Default::default() };
    let mut steps = world.jobs("alice").watch_jobs(watch).await.unwrap().into_inner();
    let step = tokio::time::timeout(PATIENCE, steps.message()).await.unwrap().unwrap().unwrap();
    let Some(watch_jobs_response::Step::Event(event)) = step.step else { panic!("no event") };
    assert_eq!(name(&event), "cancelled");
}

#[tokio::test]
async fn a_quiet_batch_shows_that_it_is_alive() {
    let world = World::tuned(|config| config.bookmark_interval = Duration::from_millis(100)).await;
    world.submit_with("alice", batched(2), b"x").await.unwrap();
    let watch =
        WatchBatchRequest { batch_id: "b".into(), min_interval: Some(Default::default()), ..Default::default() };
    let mut states = world.jobs("alice").watch_batch(watch).await.unwrap().into_inner();
    let first = next(&mut states).await.unwrap();
    assert_eq!(next(&mut states).await.unwrap(), first, "the same again");
}
