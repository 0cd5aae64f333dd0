//! Documents that turn out to be large when they are opened.

use courant_proto::v1::work_response::Message as Order;
use courant_proto::v1::*;

use crate::support::{Worker, *};

async fn world() -> World {
    World::tuned(|config| config.large_document_pages = 4).await
}

async fn submit(world: &World) -> String {
    world.submit_with("alice", markdown_only(), b"x").await.unwrap().job.unwrap().job_id
}

/// The attempt at a document that has just told its pages, and what the server said to that.
async fn planned(worker: &mut Worker, pages: i32) -> (AttemptRef, Vec<Order>) {
    let at = worker.take().await.attempt.unwrap();
    worker.plan(&at, pages).await;
    (at, worker.sync().await)
}

#[tokio::test]
async fn a_large_document_makes_room_for_smaller_ones_once() {
    let world = world().await;
    let large = submit(&world).await;
    let mut worker = world.worker("w").await;
    let first = worker.take().await.attempt.unwrap();
    let small = submit(&world).await;
    worker.plan(&first, 5).await;
    let Order::LeaseLost(lost) = worker.order().await else { panic!("it was not handed back") };
    assert_eq!(lost.attempt, Some(first));
    // The slot goes to the smaller one.
    let at = worker.take().await.attempt.unwrap();
    assert_eq!(at.job_id, small);
    let job = world.job("alice", &large).await;
    assert_eq!((job.state(), job.lane(), job.pages_total), (JobState::Queued, Lane::Large, 5));
    assert_eq!(job.attempts[0].error.as_ref().unwrap().code, "LARGE_DOCUMENT");
    worker.work_off(&at, 1).await;

    // Another small one waits, but now it stays.
    let again = worker.take().await;
    assert_eq!((again.attempt.as_ref().unwrap().job_id.as_str(), again.pages_total), (large.as_str(), 5));
    submit(&world).await;
    worker.work_off(&again.attempt.unwrap(), 5).await;
    let rest = worker.take().await.attempt.unwrap();
    worker.work_off(&rest, 1).await;
    worker.sync().await;
    let job = world.job("alice", &large).await;
    assert_eq!((job.state(), job.attempt), (JobState::Succeeded, 2));
}

#[tokio::test]
async fn it_costs_no_attempt() {
    let world = World::tuned(|config| (config.large_document_pages, config.max_attempts) = (4, 1)).await;
    let large = submit(&world).await;
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    submit(&world).await;
    worker.plan(&at, 5).await;
    while !matches!(worker.order().await, Order::LeaseLost(_)) {}
    assert_eq!(world.job("alice", &large).await.state(), JobState::Queued);
}

#[tokio::test]
async fn where_nothing_smaller_waits_it_goes_on_in_the_large_lane() {
    let world = world().await;
    let large = submit(&world).await;
    let mut worker = world.worker("w").await;
    let (at, sent) = planned(&mut worker, 5).await;
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(world.job("alice", &large).await.lane(), Lane::Large);
    worker.work_off(&at, 5).await;
    worker.sync().await;
    assert_eq!(world.job("alice", &large).await.state(), JobState::Succeeded);
}

#[tokio::test]
async fn a_document_at_the_limit_stays_in_its_lane() {
    let world = world().await;
    let job = submit(&world).await;
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    submit(&world).await;
    worker.plan(&at, 4).await;
    assert_eq!(worker.sync().await.len(), 1);
    assert_eq!(world.job("alice", &job).await.lane(), Lane::Normal);
}

#[tokio::test]
async fn smaller_ones_of_another_kind_are_not_held_up_by_it() {
    let world = world().await;
    let large = submit(&world).await;
    let other = SubmitJobHeader { kind: "other".into(), ..SubmitJobHeader::default() };
    world.submit_with("alice", other, b"x").await.unwrap();
    let mut worker = world.worker("w").await;
    let (_, sent) = planned(&mut worker, 5).await;
    assert_eq!(sent.len(), 1, "{sent:?}");
    let job = world.job("alice", &large).await;
    assert_eq!((job.lane(), job.state()), (Lane::Large, JobState::Running));
}

#[tokio::test]
async fn smaller_ones_whose_owner_may_not_have_more_running_are_not_held_up_by_it() {
    let world = World::tuned(|config| {
        config.large_document_pages = 4;
        config.fairness.owner_running = 1;
    })
    .await;
    let submit_for = async |who| world.submit_with(who, markdown_only(), b"x").await.unwrap().job.unwrap().job_id;
    let mut worker = world.worker_with("w", 2, vec![]).await;
    let bobs = submit_for("bob").await;
    let running = worker.take().await.attempt.unwrap();
    assert_eq!(running.job_id, bobs);
    let large = submit_for("alice").await;
    let at = worker.take().await.attempt.unwrap();
    // Bob has one running, so this one waits for that, whoever has the other slot.
    let waiting = submit_for("bob").await;
    worker.plan(&at, 5).await;
    let sent = worker.sync().await;
    assert!(matches!(sent[..], [Order::HeartbeatAck(_)]), "{sent:?}");
    let job = world.job("alice", &large).await;
    assert_eq!((job.lane(), job.state(), job.attempt), (Lane::Large, JobState::Running, 1));
    assert_eq!(world.job("bob", &waiting).await.state(), JobState::Queued);
}

#[tokio::test]
async fn a_smaller_one_of_the_same_owner_can_have_the_place_of_the_large_one() {
    let world = World::tuned(|config| {
        config.large_document_pages = 4;
        config.fairness.owner_running = 1;
    })
    .await;
    submit(&world).await;
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    let small = submit(&world).await;
    worker.plan(&at, 5).await;
    assert!(matches!(worker.order().await, Order::LeaseLost(_)));
    assert_eq!(worker.take().await.attempt.unwrap().job_id, small);
}
