//! The laws of who is free, who is late and who is lost.

use std::sync::Arc;

use courant_joblog::ids::JobId;

use super::confirmed::REMEMBERED;
use super::*;

const WITHIN: Duration = Duration::from_secs(5);

fn attempt(number: u32) -> AttemptId {
    AttemptId { job: JobId::new("J"), number }
}

fn free(registry: &Registry, held: u32) -> Vec<FreeWorker> {
    registry.free(&["pdf".into()], |_| held)
}

fn assignment() -> Message {
    Message::Assignment(courant_proto::v1::Assignment::default())
}

/// A registry with the worker `w`, and what is sent to it.
fn registry(room: usize) -> (Registry, WorkerId, Session, mpsc::Receiver<Result<WorkResponse, Status>>) {
    let (registry, worker) = (Registry::default(), WorkerId::new("w"));
    let (outbox, sent) = mpsc::channel(room);
    let capabilities =
        WorkerCapabilities { kinds: ["pdf".into()].into(), slots: 2, software: "test".into(), ..Default::default() };
    let session = registry.attach(worker.clone(), "worker", capabilities, outbox).unwrap();
    (registry, worker, session, sent)
}

#[tokio::test]
async fn nothing_goes_out_before_the_welcome() {
    let (registry, worker, session, mut sent) = registry(1);
    assert!(free(&registry, 0).is_empty() && registry.slots() == 0);
    assert!(!registry.assign(&worker, attempt(1), assignment()));
    registry.welcomed(&session);
    assert_eq!(free(&registry, 0)[0].slots, 2);
    assert!(registry.assign(&worker, attempt(1), assignment()));
    assert!(sent.recv().await.is_some());
}

#[tokio::test]
async fn a_worker_with_no_room_for_a_message_is_not_free() {
    let (registry, worker, session, mut sent) = registry(1);
    registry.welcomed(&session);
    registry.send(&worker, assignment());
    assert!(free(&registry, 0).is_empty());
    sent.recv().await.unwrap().unwrap();
    assert_eq!(free(&registry, 0).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_gets_nothing_more_until_it_is_heard() {
    let (registry, worker, session, _sent) = registry(8);
    registry.welcomed(&session);
    registry.assign(&worker, attempt(1), assignment());
    tokio::time::advance(WITHIN).await;
    assert!(registry.overdue(WITHIN).is_empty() && free(&registry, 1).len() == 1);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(registry.overdue(WITHIN), [(worker.clone(), attempt(1))]);
    assert_eq!(registry.overdue(WITHIN).len(), 1, "it stays late until it is dealt with");
    assert!(registry.answered(&worker, &attempt(1)) && registry.overdue(WITHIN).is_empty());
    assert!(free(&registry, 0).is_empty());
    assert!(registry.renew_lease(&worker) && !registry.renew_lease(&worker));
    assert_eq!(free(&registry, 0).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_holds_without_knowing_is_found() {
    let (registry, worker, session, _sent) = registry(8);
    let held: HashSet<_> = [attempt(1), attempt(2), attempt(3)].into();
    registry.expect(&worker, &held);
    tokio::time::advance(WITHIN * 2).await;
    assert!(registry.overdue(WITHIN).is_empty(), "it may still be telling what it has");
    registry.confirm(&worker, &attempt(1));
    assert!(registry.begin_claim(&worker, &attempt(2), 0));
    registry.welcomed(&session);
    registry.expect(&worker, &held);
    tokio::time::advance(WITHIN * 2).await;
    assert_eq!(registry.overdue(WITHIN), [(worker.clone(), attempt(3))]);
    registry.answered(&worker, &attempt(3));
    // What ended is not remembered for ever.
    tokio::time::advance(REMEMBERED).await;
    registry.expect(&worker, &HashSet::new());
    assert!(registry.inner.lock().workers[&worker].confirmed.is_empty());
}

#[tokio::test(start_paused = true)]
async fn leases_hang_on_signs_of_life_alone() {
    let lease = Duration::from_secs(30);
    let (registry, worker, session, _sent) = registry(1);
    registry.detach(&session);
    tokio::time::advance(lease).await;
    assert!(!registry.is_lost(&worker, None), "a lease outlives its stream");
    registry.renew_lease(&worker);
    tokio::time::advance(lease).await;
    assert!(!registry.is_lost(&worker, None));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(registry.is_lost(&worker, None));
    registry.renew_all_leases();
    assert!(!registry.is_lost(&worker, None) && !registry.is_lost(&WorkerId::new("unknown"), None));
    tokio::time::advance(lease + Duration::from_millis(1)).await;
    assert!(registry.is_lost(&worker, None) && registry.is_lost(&WorkerId::new("unknown"), None));
}

#[tokio::test(start_paused = true)]
async fn a_silent_worker_gets_nothing_before_it_speaks_again() {
    let (registry, worker, session, _sent) = registry(8);
    registry.welcomed(&session);
    tokio::time::advance(LEASE * 2 / 3).await;
    assert_eq!(free(&registry, 0).len(), 1, "two heartbeats are not overdue yet");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(free(&registry, 0).is_empty(), "though its stream is open");
    assert!(registry.renew_lease(&worker), "whoever gives out jobs has to know");
    assert_eq!(free(&registry, 0).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_begins_with_a_whole_lease() {
    let (registry, worker, session, _sent) = registry(8);
    registry.welcomed(&session);
    tokio::time::advance(LEASE * 2 / 3).await;
    registry.assign(&worker, attempt(1), assignment());
    tokio::time::advance(LEASE * 2 / 3).await;
    assert!(registry.is_lost(&worker, None) && !registry.is_lost(&worker, Some(&attempt(1))));
    tokio::time::advance(LEASE / 2).await;
    assert!(registry.is_lost(&worker, Some(&attempt(1))));
}

#[tokio::test(start_paused = true)]
async fn a_worker_id_belongs_to_its_user_for_as_long_as_the_worker_is_there() {
    let (registry, worker, session, _sent) = registry(8);
    let come = |subject| {
        let capabilities = WorkerCapabilities { kinds: ["scan".into()].into(), ..WorkerCapabilities::default() };
        registry.attach(worker.clone(), subject, capabilities, mpsc::channel(1).0)
    };
    assert!(matches!(come("mallory"), Err(Error::WorkerIdTaken(_))));
    registry.detach(&session);
    assert!(come("mallory").is_err(), "it may come back and go on");
    tokio::time::advance(LEASE + Duration::from_millis(1)).await;
    assert!(come("mallory").is_ok());
    registry.kinds(|kinds| assert_eq!(kinds.keys().map(|kind| &**kind).collect::<Vec<_>>(), ["scan"]));
}

#[tokio::test]
async fn who_has_no_free_slot_is_asked_again_only_after_a_change() {
    let (registry, worker, session, _sent) = registry(8);
    registry.welcomed(&session);
    let asked = std::cell::Cell::new(0);
    let ask = |held: u32| {
        let free = registry.free(&["pdf".into()], |_| {
            asked.set(asked.get() + 1);
            held
        });
        (free.len(), asked.replace(0))
    };
    assert_eq!(ask(2), (0, 1));
    assert_eq!(ask(2), (0, 0));
    let changes: [&dyn Fn(); 6] = [
        &|| registry.reopen(&[worker.clone()].into()),
        &|| registry.change_slots(&worker, 2),
        &|| registry.end_claim(&worker, &attempt(1)),
        &|| assert!(registry.set_drained(&worker, true) && registry.set_drained(&worker, false)),
        &|| registry.welcomed(&session),
        &|| registry.detach(&session),
    ];
    for change in changes {
        change();
        assert_eq!(ask(2), (0, 1));
        assert_eq!(ask(0), (0, 0));
    }
}

#[tokio::test]
async fn the_slots_of_a_kind_are_those_of_workers_that_may_get_jobs() {
    let (registry, worker, session, _sent) = registry(8);
    let slots = || registry.slots_of(&["pdf".into(), "scan".into()]).into_values().collect::<Vec<_>>();
    assert_eq!(slots(), [0, 0], "before the welcome");
    registry.welcomed(&session);
    registry.welcomed(&session);
    assert_eq!(slots(), [2, 0]);
    registry.change_slots(&worker, 5);
    assert_eq!(slots(), [5, 0]);
    registry.set_drained(&worker, true);
    assert_eq!(slots(), [0, 0]);
    registry.set_drained(&worker, false);
    let (outbox, _sent) = mpsc::channel(8);
    let kinds: Arc<[Box<str>]> = ["scan".into()].into();
    let again = WorkerCapabilities { kinds, slots: 3, ..WorkerCapabilities::default() };
    let again = registry.attach(worker.clone(), "worker", again, outbox).unwrap();
    assert_eq!(slots(), [0, 0], "another stream, not welcomed yet");
    registry.welcomed(&again);
    registry.detach(&session);
    assert_eq!(slots(), [0, 3]);
    registry.detach(&again);
    assert_eq!(slots(), [0, 0]);
}

#[tokio::test]
async fn workers_are_looked_at_some_at_a_time_and_all_in_the_end() {
    let (registry, mut sent) = (Registry::default(), Vec::new());
    let all: Vec<WorkerId> = (0..5).map(|number| WorkerId::new(format!("w{number}"))).collect();
    for (number, worker) in all.iter().enumerate() {
        let (outbox, inbox) = mpsc::channel(8);
        // Every other takes a kind more.
        let kinds: &[Box<str>] = if number % 2 == 0 { &["pdf".into(), "scan".into()] } else { &["pdf".into()] };
        let capabilities = WorkerCapabilities { kinds: kinds.into(), slots: 1, ..WorkerCapabilities::default() };
        let session = registry.attach(worker.clone(), "worker", capabilities, outbox).unwrap();
        registry.welcomed(&session);
        sent.push(inbox);
    }
    let kinds = ["pdf".into(), "scan".into()];
    let slice = || {
        let slice = registry.next_free(&kinds, |worker| u32::from(worker.as_str() == "w3"));
        let workers: Vec<String> = slice.workers.iter().map(|free| free.worker.to_string()).collect();
        (workers.join(" "), slice.is_first, slice.is_last)
    };
    let first_round = [slice(), slice(), slice()];
    assert_eq!(first_round, [("w0 w1".into(), true, false), ("w2".into(), false, false), ("w4".into(), false, true)]);
    // The one without a free slot is not looked at again.
    let second_round = [slice(), slice(), slice()];
    assert_eq!(
        second_round,
        [("w0 w1".into(), true, false), ("w2 w4".into(), false, false), (String::new(), false, true)]
    );
}
