//! Standing in line: places, waits, shares, and the queue as a whole.

use std::time::{Duration, SystemTime};

use courant_proto::v1::queue_service_client::QueueServiceClient;
use courant_proto::v1::watch_job_response::Step;
use courant_proto::v1::watch_jobs_response::Step as Many;
use courant_proto::v1::work_request::Message as Report;
use courant_proto::v1::*;
use tokio::time::Instant;

use crate::support::*;

async fn submit_to(world: &World, lane: Lane, pages: i32) -> String {
    let header = SubmitJobHeader { lane: lane.into(), pages, ..markdown_only() };
    world.submit_with("alice", header, b"x").await.unwrap().job.unwrap().job_id
}

async fn place(world: &World, id: &str) -> Option<QueuePosition> {
    world.job("alice", id).await.queue_position
}

fn queue(world: &World) -> QueueServiceClient<Authed> {
    QueueServiceClient::with_interceptor(world.channel.clone(), Bearer(world.token("carol", &[])))
}

async fn queue_now(world: &World) -> Queue {
    queue(world).get_queue(GetQueueRequest {}).await.unwrap().into_inner().queue.unwrap()
}

#[tokio::test]

async fn a_place_is_exact_whatever_happens_ahead() {
    let world = World::new().await;
    let mut normal = Vec::new();
    for pages in [10, 20, 30, 40] {
        normal.push(submit_to(&world, Lane::Normal, pages).await);
    }
    let last = place(&world, &normal[3]).await.unwrap();
    assert_eq!((last.position, last.pages_ahead), (4, 60));
    world.cancel("alice", &normal[1]).await.unwrap();
    let last = place(&world, &normal[3]).await.unwrap();
    assert_eq!((last.position, last.pages_ahead), (3, 40), "one ahead was cancelled");
    let paid = submit_to(&world, Lane::Premium, 5).await;
    assert_eq!(place(&world, &paid).await.unwrap().position, 1, "premium has a line of its own");
    assert_eq!(place(&world, &normal[3]).await.unwrap().position, 3, "and takes nobody's place in another");
    let mut worker = world.worker("w").await;
    let first = worker.take().await.attempt.unwrap();
    assert_eq!(first.job_id, paid, "but is served first");
    worker.work_off(&first, 1).await;
    let second = worker.take().await.attempt.unwrap();
    assert_eq!(second.job_id, normal[0]);
    assert_eq!(place(&world, &second.job_id).await, None, "who is served stands nowhere");
    let last = place(&world, &normal[3]).await.unwrap();
    assert_eq!((last.position, last.pages_ahead), (2, 30));
}

#[tokio::test]
async fn a_job_that_is_handed_back_stands_where_it_stood() {
    let world = World::new().await;
    let first = submit_to(&world, Lane::Normal, 10).await;
    // Of two jobs of one millisecond the one that is handed back is the last.
    let created = SystemTime::try_from(world.job("alice", &first).await.create_time.unwrap()).unwrap();
    while SystemTime::now() < created + Duration::from_millis(1) {
        tokio::task::yield_now().await;
    }
    let later = submit_to(&world, Lane::Normal, 10).await;
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    assert_eq!(at.job_id, first);
    let idle = world.worker_with("w", 0, vec![at.clone()]).await;
    idle.send(Report::Released(ReportReleased { attempt: Some(at) })).await;
    let mut events = world.watch("alice", &first, "").await;
    loop {
        let Some(Step::Event(event)) = events.next().await.unwrap().step else { continue };
        if name(&event) == "position" {
            assert_eq!(event.job.unwrap().queue_position.unwrap().position, 1);
            break;
        }
    }
    assert_eq!(place(&world, &later).await.unwrap().position, 2);
}

#[tokio::test]
async fn places_are_told_as_they_change_and_at_most_once_a_second() {
    let world = World::new().await;
    let mut ahead = Vec::new();
    for _ in 0..20 {
        ahead.push(submit_to(&world, Lane::Normal, 10).await);
    }
    let id = submit_to(&world, Lane::Normal, 10).await;
    let mut watcher = world.watch("alice", &id, "").await;
    let canceller = {
        let jobs = world.jobs("alice");
        tokio::spawn(async move {
            for job_id in ahead {
                jobs.clone().cancel_job(CancelJobRequest { job_id }).await.unwrap();
            }
        })
    };
    let mut received: Vec<(Instant, i32)> = Vec::new();
    while received.last().is_none_or(|(_, position)| *position > 1) {
        let Some(Step::Event(event)) = watcher.next().await.unwrap().step else { continue };
        assert_eq!(name(&event), "position");
        received.push((Instant::now(), event.job.unwrap().queue_position.unwrap().position));
    }
    canceller.await.unwrap();
    let positions: Vec<i32> = received.iter().map(|(_, position)| *position).collect();
    assert!(positions.windows(2).all(|pair| pair[0] > pair[1]), "only what is new: {positions:?}");
    // The server waits a whole second between two rounds; what arrives may have been held up on the way.
    let (first, last) = (received[0].0, received[received.len() - 1].0);
    assert!(received.len() <= (last - first).as_secs() as usize + 2, "{received:?}");
}

#[tokio::test]
async fn a_watch_of_many_jobs_hears_of_those_that_are_next() {
    let world = World::tuned(|config| config.watch_positions = 2).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(submit_to(&world, Lane::Normal, 10).await);
    }
    let mut steps = world.jobs("alice").watch_jobs(WatchJobsRequest::default()).await.unwrap().into_inner();
    let mut received = Vec::new();
    world.cancel("alice", &ids[0]).await.unwrap();
    while received.len() < 2 {
        let step = tokio::time::timeout(PATIENCE, steps.message()).await.expect("no step").unwrap().unwrap();
        if let Some(Many::Event(event)) = step.step
            && name(&event) == "position"
        {
            let job = event.job.unwrap();
            received.push((job.job_id, job.queue_position.unwrap().position));
        }
    }
    // Before or after the cancel was seen, never the third or fourth of those that wait.
    let near = [(&ids[0], 1), (&ids[1], 2), (&ids[1], 1), (&ids[2], 2)];
    assert!(received.iter().all(|(id, position)| near.contains(&(id, *position))), "{received:?}");
}

#[tokio::test]
async fn owners_take_turns_and_places_say_so() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for owner in ["alice", "alice", "alice", "bob", "bob", "carol"] {
        let header = SubmitJobHeader { pages: 10, ..markdown_only() };
        ids.push((owner, world.submit_with(owner, header, b"x").await.unwrap().job.unwrap().job_id));
    }
    let mut received = Vec::new();
    for (owner, id) in &ids {
        let place = world.job(owner, id).await.queue_position.unwrap();
        assert_eq!(place.pages_ahead, i64::from(place.position - 1) * 10);
        received.push((place.position, id.clone()));
    }
    assert_eq!(received.iter().map(|(position, _)| *position).collect::<Vec<_>>(), [1, 4, 6, 2, 5, 3]);
    received.sort();
    let mut worker = world.worker("w").await;
    for (position, id) in received {
        let at = worker.take().await.attempt.unwrap();
        assert_eq!(at.job_id, id, "{position}");
        worker.work_off(&at, 1).await;
    }
}

#[tokio::test]
async fn an_owner_fills_all_slots_only_while_nobody_else_waits() {
    let world = World::new().await;
    let submit = async |owner| world.submit_with(owner, markdown_only(), b"x").await.unwrap().job.unwrap().job_id;
    let alices = [submit("alice").await, submit("alice").await, submit("alice").await, submit("alice").await];
    let mut worker = world.worker_with("w", 2, vec![]).await;
    let mut running = [worker.take().await.attempt.unwrap(), worker.take().await.attempt.unwrap()];
    assert!(running.iter().all(|at| alices.contains(&at.job_id)), "alone she has both");
    let bobs = [submit("bob").await, submit("bob").await, submit("bob").await];
    for bob in bobs {
        let done = running[1].clone();
        worker.work_off(&done, 1).await;
        running[1] = worker.take().await.attempt.unwrap();
        assert_eq!(running[1].job_id, bob, "alice has one already");
    }
    let done = running[1].clone();
    worker.work_off(&done, 1).await;
    assert!(alices.contains(&worker.take().await.attempt.unwrap().job_id), "nobody else waits");
}

#[tokio::test]
async fn an_owner_has_no_more_running_than_it_may() {
    let world = World::tuned(|config| config.fairness.owner_running = 1).await;
    let submit = async |owner| world.submit_with(owner, markdown_only(), b"x").await.unwrap().job.unwrap().job_id;
    let alices = [submit("alice").await, submit("alice").await];
    let mut worker = world.worker_with("w", 3, vec![]).await;
    let first = worker.take().await.attempt.unwrap();
    assert_eq!(first.job_id, alices[0]);
    let bob = submit("bob").await;
    assert_eq!(worker.take().await.attempt.unwrap().job_id, bob, "not the second one of alice");
    worker.work_off(&first, 1).await;
    assert_eq!(worker.take().await.attempt.unwrap().job_id, alices[1]);
}

#[tokio::test]
async fn an_owner_with_a_weight_has_so_many_jobs_a_turn() {
    let world = World::tuned(|config| config.fairness.owner_weights = vec![("alice".into(), 3)]).await;
    let submit = async |owner| world.submit_with(owner, markdown_only(), b"x").await.unwrap().job.unwrap();
    let mut owners = std::collections::HashMap::new();
    for owner in ["alice", "bob"] {
        for _ in 0..6 {
            owners.insert(submit(owner).await.job_id, owner);
        }
    }
    let last = submit("carol").await;
    assert_eq!(last.queue_position.unwrap().position, 5, "three of alice and one of bob are before it");
    owners.insert(last.job_id, "carol");
    let mut worker = world.worker("w").await;
    let mut served = Vec::new();
    for _ in 0..9 {
        let at = worker.take().await.attempt.unwrap();
        served.push(owners[&at.job_id]);
        worker.fail(&at, false).await;
    }
    assert_eq!(served, ["alice", "alice", "alice", "bob", "carol", "alice", "alice", "alice", "bob"]);
}

#[tokio::test]
async fn of_a_limited_kind_no_more_run_than_may_whoever_owns_them() {
    let world = World::tuned(|config| config.fairness.kind_running = vec![("pdf".into(), 2)]).await;
    let submit = async |owner| world.submit_with(owner, markdown_only(), b"x").await.unwrap().job.unwrap().job_id;
    let mut worker = world.worker_with("w", 4, vec![]).await;
    let (alices, bobs) = (submit("alice").await, submit("bob").await);
    let mut running = [worker.take().await.attempt.unwrap(), worker.take().await.attempt.unwrap()];
    running.sort_by_key(|at| at.job_id != alices);
    assert_eq!(running.each_ref().map(|at| at.job_id.as_str()), [&*alices, &*bobs]);
    let third = submit("carol").await;
    worker.sync().await;
    let waits = world.job("carol", &third).await.queue_position;
    assert!(waits.is_some(), "it waits although the worker has two slots free");
    worker.work_off(&running[0], 1).await;
    assert_eq!(worker.take().await.attempt.unwrap().job_id, third);
}

#[tokio::test]
async fn premium_goes_first_and_the_large_lane_moves_all_the_same() {
    let world = World::tuned(|config| (config.fairness.premium_weight, config.fairness.normal_weight) = (4, 2)).await;
    for lane in [Lane::Premium, Lane::Normal, Lane::Large] {
        for _ in 0..14 {
            submit_to(&world, lane, 1).await;
        }
    }
    let mut worker = world.worker("w").await;
    let mut served = Vec::new();
    for _ in 0..14 {
        let at = worker.take().await.attempt.unwrap();
        served.push(world.job("alice", &at.job_id).await.lane());
        worker.fail(&at, false).await;
    }
    let count = |lane| served.iter().filter(|served| **served == lane).count();
    assert_eq!((count(Lane::Premium), count(Lane::Normal), count(Lane::Large)), (8, 4, 2), "{served:?}");
    assert_eq!(served[0], Lane::Premium);
    let share = queue_now(&world).await.lanes.iter().find(|lane| lane.lane() == Lane::Large).unwrap().share;
    assert!((share - 1.0 / 7.0).abs() < 1e-9, "{share}");
}

#[tokio::test]

async fn waits_are_estimated_once_something_was_measured() {
    let world = World::new().await;
    let early = submit_to(&world, Lane::Normal, 3).await;
    assert_eq!(place(&world, &early).await.unwrap().estimated_wait, None, "nobody knows yet");
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    worker.work_off(&at, 3).await;
    worker.sync().await;
    let running = submit_to(&world, Lane::Normal, 300).await;
    let at = worker.take().await.attempt.unwrap();
    assert_eq!(at.job_id, running);
    worker.plan(&at, 300).await;
    worker.page(&at, 1).await;
    worker.sync().await;
    let progress = world.job("alice", &running).await.progress.unwrap();
    let band = progress.estimated_remaining_band.unwrap();
    let ms =
        |span: Option<prost_types::Duration>| span.map(|span| span.seconds * 1000 + i64::from(span.nanos) / 1_000_000);
    assert!(ms(band.low) <= ms(progress.estimated_remaining) && ms(progress.estimated_remaining) <= ms(band.high));
    let near = submit_to(&world, Lane::Normal, 100).await;
    let far = submit_to(&world, Lane::Normal, 100).await;
    let mut watcher = world.watch("alice", &far, "").await;
    // A worker that gives no sign for much longer than a page takes ends nobody knows when.
    let (mut pages, mut number) = (tokio::time::interval(Duration::from_millis(100)), 1);
    let received = loop {
        let step = tokio::select! {
            step = watcher.next() => step.unwrap().step,
            _ = pages.tick() => {
                number += 1;
                worker.page(&at, number).await;
                continue;
            }
        };
        let place = match step {
            Some(Step::Event(event)) => event.job.unwrap().queue_position,
            Some(Step::Snapshot(snapshot)) => snapshot.job.unwrap().queue_position,
            _ => None,
        };
        if let Some(place) = place.filter(|place| place.estimated_wait.is_some()) {
            break place;
        }
    };
    assert_eq!((received.position, received.pages_ahead), (2, 100));
    assert!(received.estimated_wait_band.is_some());
    let near = place(&world, &near).await.unwrap();
    assert!(ms(near.estimated_wait).unwrap() <= ms(received.estimated_wait).unwrap());
}

#[tokio::test]

async fn the_queue_shows_lanes_workers_and_what_nobody_takes() {
    let world = World::new().await;
    submit_to(&world, Lane::Normal, 10).await;
    submit_to(&world, Lane::Large, 500).await;
    let other = SubmitJobHeader { kind: "scan".into(), ..SubmitJobHeader::default() };
    world.submit_with("bob", other, b"x").await.unwrap();
    let empty = queue_now(&world).await;
    assert_eq!(
        (empty.workers_total, empty.slots_total, empty.unserved_kinds),
        (0, 0, vec!["pdf".into(), "scan".into()])
    );
    let mut worker = world.worker("w").await;
    worker.take().await;
    let now = queue_now(&world).await;
    assert_eq!((now.workers_total, now.workers_active, now.slots_total, now.slots_used), (1, 1, 1, 1));
    assert_eq!(now.unserved_kinds, ["scan"]);
    let shown: Vec<_> = now
        .lanes
        .iter()
        .map(|lane| (lane.kind.as_str(), lane.lane(), lane.waiting, lane.active, lane.pages_waiting))
        .collect();
    let expected = [
        ("pdf", Lane::Premium, 0, 0, 0),
        ("pdf", Lane::Normal, 0, 1, 0),
        ("pdf", Lane::Large, 1, 0, 500),
        ("scan", Lane::Normal, 1, 0, 1),
    ];
    assert_eq!(shown, expected);
    let waits = |lane: usize| (now.lanes[lane].oldest_wait.is_some(), now.lanes[lane].average_wait.is_some());
    assert_eq!((waits(1), waits(2)), ((false, true), (true, false)));
}

#[tokio::test]
async fn the_queue_is_followed_and_repeated_when_nothing_happens() {
    let world = World::tuned(|config| config.bookmark_interval = Duration::from_millis(300)).await;
    let min_interval = Some(prost_types::Duration { seconds: 0, nanos: 1_000_000 });
    let mut stream = queue(&world).watch_queue(WatchQueueRequest { min_interval }).await.unwrap().into_inner();
    let mut next = async || {
        let state = tokio::time::timeout(PATIENCE, stream.message()).await.expect("silence").unwrap().unwrap();
        state.queue.unwrap()
    };
    let first = next().await;
    assert!(first.lanes.is_empty());
    assert_eq!(next().await, first, "a sign of life");
    submit_to(&world, Lane::Normal, 10).await;
    while next().await.lanes.iter().map(|lane| lane.waiting).sum::<i32>() != 1 {}
    let too_long = Some(prost_types::Duration { seconds: 61, nanos: 0 });
    let refused = queue(&world).watch_queue(WatchQueueRequest { min_interval: too_long }).await.unwrap_err();
    assert_eq!(reason(&refused), "INVALID_FIELD");
    let nobody = QueueServiceClient::new(world.channel.clone()).get_queue(GetQueueRequest {}).await.unwrap_err();
    assert_eq!(reason(&nobody), "TOKEN_MISSING");
}
