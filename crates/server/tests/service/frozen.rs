//! Workers that stop in the middle, and what becomes of their jobs while a healthy worker is there.

use std::time::Duration;

use courant_proto::v1::*;

use crate::support::{self, PATIENCE, World, markdown_only};

/// The server of a short lease, and a job of alice that a worker accepted before it fell silent.
async fn frozen() -> (World, String, support::Worker) {
    let world = World::tuned(|config| {
        config.lease = Duration::from_millis(900);
        config.max_attempts = 2;
    })
    .await;
    let id = world.submit_with("alice", markdown_only(), b"x").await.unwrap().job.unwrap().job_id;
    let mut frozen = world.worker("frozen").await;
    frozen.take().await;
    (world, id, frozen)
}

#[tokio::test]
async fn the_job_of_a_frozen_worker_goes_to_a_healthy_one_and_costs_one_attempt() {
    let (world, id, _frozen) = frozen().await;
    let mut healthy = world.worker("healthy").await;
    let at = healthy.take_while_alive().await.attempt.unwrap();
    assert_eq!((at.job_id.as_str(), at.attempt), (id.as_str(), 2));
    healthy.work_off(&at, 1).await;
    healthy.sync().await;
    let job = world.job("alice", &id).await;
    assert_eq!((job.state(), job.attempts.len()), (JobState::Succeeded, 1), "{job:?}");
}

#[tokio::test]
async fn new_jobs_do_not_go_to_a_frozen_worker() {
    let (world, _, mut frozen) = frozen().await;
    let mut healthy = world.worker_with("healthy", 4, vec![]).await;
    healthy.take_while_alive().await;
    for _ in 0..3 {
        let new = world.submit("bob").await.job.unwrap().job_id;
        assert_eq!(healthy.take_while_alive().await.attempt.unwrap().job_id, new);
    }
    // All that the frozen one finds when it wakes is that its attempt is over.
    let found = frozen.sync().await;
    assert!(found.iter().all(|order| !matches!(order, work_response::Message::Assignment(_))), "{found:?}");
}

#[tokio::test]
async fn alone_a_worker_that_wakes_gets_the_job_again_with_a_whole_lease() {
    let (world, id, mut frozen) = frozen().await;
    let mut alice = world.jobs("alice");
    let waits = async {
        loop {
            let job = alice.get_job(GetJobRequest { job_id: id.clone() }).await.unwrap().into_inner().job.unwrap();
            if job.state() == JobState::Queued {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waits).await.expect("the lease did not run out");
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(world.job("alice", &id).await.attempt, 1, "nobody who could do it was there");
    frozen.sync().await;
    let at = frozen.take_while_alive().await.attempt.unwrap();
    assert_eq!(at.attempt, 2);
    // Half a lease without a word, and it is still the worker's.
    tokio::time::sleep(Duration::from_millis(450)).await;
    frozen.work_off(&at, 1).await;
    frozen.sync().await;
    assert_eq!(world.job("alice", &id).await.state(), JobState::Succeeded);
}

#[tokio::test]
async fn a_job_that_failed_on_a_worker_is_tried_on_another_if_there_is_one() {
    let world = World::new().await;
    let (mut first, mut second) = (world.worker_with("a", 4, vec![]).await, world.worker("z").await);
    let id = world.submit_with("alice", markdown_only(), b"x").await.unwrap().job.unwrap().job_id;
    // The one with more room has its turn first.
    let at = first.take_while_alive().await.attempt.unwrap();
    first.fail(&at, true).await;
    let again = second.take_while_alive().await.attempt.unwrap();
    assert_eq!((again.job_id.as_str(), again.attempt), (id.as_str(), 2));
}
