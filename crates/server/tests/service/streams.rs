//! Streams of workers that come, race, repeat themselves and lie about what they hold.

use std::time::Duration;

use courant_proto::v1::work_request::Message as Report;
use courant_proto::v1::work_response::Message as Order;
use courant_proto::v1::*;
use tonic::{Code, Status};

use crate::support::*;

fn ended_by(status: &Status, code: Code, expected: &str) {
    assert_eq!((status.code(), reason(status).as_str()), (code, expected), "{status}");
}

#[tokio::test]
async fn a_second_hello_ends_the_stream_and_costs_nothing() {
    let world = World::new().await;
    let id = world.submit("alice").await.job.unwrap().job_id;
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    worker.send(hello("w", 1, vec![])).await;
    ended_by(&worker.end().await, Code::InvalidArgument, "WRONG_ORDER");
    // The lease outlives the stream.
    let back = world.worker_with("w", 1, vec![at.clone()]).await;
    assert_eq!((back.welcome.in_flight.as_slice(), world.job("alice", &id).await.attempt), (&[at][..], 1));
}

#[tokio::test]
async fn of_racing_streams_with_one_id_exactly_one_stays_and_the_job_with_it() {
    let world = World::new().await;
    let id = world.submit("alice").await.job.unwrap().job_id;
    let at = world.worker("w").await.take().await.attempt.unwrap();
    let racers = (0..8).map(|_| async {
        let racer = world.stream().await;
        racer.send(hello("w", 1, vec![at.clone()])).await;
        racer
    });
    let racers = futures::future::join_all(racers).await;
    // Each is welcomed or replaced first; in the end all but one are replaced.
    let (done, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let watched = racers.into_iter().map(|mut racer| {
        let done = done.clone();
        tokio::spawn(async move {
            loop {
                match racer.next_for_long().await {
                    Ok(_) => racer.send(Report::Heartbeat(Heartbeat::default())).await,
                    Err(status) => break done.send(status).unwrap(),
                }
            }
        })
    });
    let watched: Vec<_> = watched.collect();
    for _ in 0..7 {
        let status = tokio::time::timeout(PATIENCE, ends.recv()).await.expect("too many stay").unwrap();
        ended_by(&status, Code::Aborted, "WORKER_REPLACED");
    }
    let job = world.job("alice", &id).await;
    assert_eq!((job.state(), job.attempt), (JobState::Running, 1));
    assert!(ends.try_recv().is_err(), "the last one stays");
    watched.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_new_stream_begins_with_the_welcome_however_many_jobs_wait() {
    let world = World::new().await;
    for _ in 0..8 {
        world.submit("alice").await;
    }
    for _ in 0..20 {
        // The harness insists on the welcome.
        world.worker_with("w", 2, vec![]).await;
    }
    let jobs = world.jobs("alice").list_jobs(ListJobsRequest::default()).await.unwrap().into_inner().jobs;
    assert!(jobs.iter().all(|job| job.state() != JobState::Failed), "{jobs:?}");
}

#[tokio::test]
async fn what_is_in_flight_elsewhere_is_not_had_by_naming_it() {
    let world = World::new().await;
    let id = world.submit("alice").await.job.unwrap().job_id;
    let mut owner = world.worker("owner").await;
    let at = owner.take().await.attempt.unwrap();
    let next = AttemptRef { attempt: 2, ..at.clone() };
    let unknown = AttemptRef { job_id: "01UNKNOWN".into(), attempt: 1, ..Default::default() };
    let claims = vec![at.clone(), at.clone(), next, unknown, at.clone()];
    let thief = world.worker_with("thief", 0, claims).await;
    assert!(thief.welcome.in_flight.is_empty(), "{:?}", thief.welcome);
    owner.succeed(&at).await;
    owner.sync().await;
    assert_eq!(world.job("alice", &id).await.state(), JobState::Succeeded);
}

#[tokio::test]
async fn what_is_named_twice_is_kept_once() {
    let world = World::new().await;
    world.submit("alice").await;
    let at = world.worker("w").await.take().await.attempt.unwrap();
    let back = world.worker_with("w", 1, vec![at.clone(); 5]).await;
    assert_eq!(back.welcome.in_flight, [at]);
}

#[tokio::test]
async fn hellos_out_of_range_are_refused_by_field() {
    let world = World::new().await;
    let at = |job_id: &str, attempt| AttemptRef { job_id: job_id.into(), attempt, ..Default::default() };
    let good = || Hello { worker_id: "w".into(), kinds: vec!["pdf".into()], slots: 1, ..Hello::default() };
    let bad = [
        Hello { worker_id: String::new(), ..good() },
        Hello { worker_id: "x".repeat(65), ..good() },
        Hello { worker_id: "w/../x".into(), ..good() },
        Hello { worker_id: "w\u{202e}".into(), ..good() },
        Hello { worker_id: "w\0".into(), ..good() },
        Hello { kinds: vec![], ..good() },
        Hello { kinds: vec!["pdf".into(); 65], ..good() },
        Hello { kinds: vec!["PDF".into()], ..good() },
        Hello { slots: -1, ..good() },
        Hello { slots: 1025, ..good() },
        Hello { in_flight: vec![at("J", 1); 10_000], ..good() },
        Hello { in_flight: vec![at("J", 0)], ..good() },
        Hello { in_flight: vec![at("J", i32::MIN)], ..good() },
        Hello { in_flight: vec![at("", 1)], ..good() },
        Hello { in_flight: vec![at(&"J".repeat(129), 1)], ..good() },
    ];
    for hello in bad {
        let mut stream = world.stream().await;
        stream.send(Report::Hello(hello)).await;
        ended_by(&stream.end().await, Code::InvalidArgument, "INVALID_FIELD");
    }
    let workers = world.admin(&[courant_auth::Role::Admin]).list_workers(ListWorkersRequest {}).await.unwrap();
    assert!(workers.into_inner().workers.is_empty(), "nobody of these was let in");
}

#[tokio::test]
async fn nothing_is_taken_before_the_hello() {
    let world = World::new().await;
    let at = Some(AttemptRef { job_id: "J".into(), attempt: 1, ..Default::default() });
    for early in [Report::Heartbeat(Heartbeat::default()), Report::Accepted(Accepted { attempt: at })] {
        let mut stream = world.stream().await;
        stream.send(early).await;
        ended_by(&stream.end().await, Code::InvalidArgument, "WRONG_ORDER");
    }
}

#[tokio::test]
async fn accepting_what_was_never_given_is_answered_and_harms_nobody() {
    let world = World::new().await;
    let mut worker = world.worker("w").await;
    let at = AttemptRef { job_id: "01UNKNOWN".into(), attempt: 1, ..Default::default() };
    worker.send(Report::Accepted(Accepted { attempt: Some(at.clone()) })).await;
    let sent = worker.sync().await;
    assert!(matches!(&sent[0], Order::LeaseLost(lost) if lost.attempt.as_ref() == Some(&at)), "{sent:?}");
}

#[tokio::test]
async fn nothing_is_reported_before_it_is_accepted() {
    let world = World::tuned(|config| config.accept_within = Duration::from_millis(100)).await;
    let id = world.submit("alice").await.job.unwrap().job_id;
    let mut hasty = world.worker("hasty").await;
    let at = hasty.assigned().await.attempt.unwrap();
    hasty.plan(&at, 3).await;
    ended_by(&hasty.end().await, Code::InvalidArgument, "WRONG_ORDER");
    // Nothing was changed by it; the job goes to somebody else.
    let mut other = world.worker("other").await;
    assert_eq!(other.take().await.attempt.unwrap().attempt, 2);
    let job = world.job("alice", &id).await;
    assert_eq!((job.pages_total, job.attempts[0].error.as_ref().unwrap().code.as_str()), (0, "NOT_ACCEPTED"));
}

#[tokio::test]
async fn an_assignment_may_be_declined_at_no_cost() {
    let world = World::tuned(|config| config.max_attempts = 1).await;
    world.submit("alice").await;
    let mut busy = world.worker("busy").await;
    let at = busy.assigned().await.attempt;
    busy.send(Report::Released(ReportReleased { attempt: at })).await;
    assert_eq!(busy.take().await.attempt.unwrap().attempt, 2);
}

#[tokio::test]
async fn a_stream_that_ends_after_the_hello_leaves_no_job_behind() {
    let world = World::tuned(|config| {
        config.lease = Duration::from_millis(300);
        config.max_attempts = 1;
    })
    .await;
    for n in 0..5 {
        let stream = world.stream().await;
        stream.send(hello(&format!("gone-{n}"), 1, vec![])).await;
        drop(stream);
    }
    let id = world.submit("alice").await.job.unwrap().job_id;
    let mut worker = world.worker("here").await;
    let at = worker.take().await.attempt.unwrap();
    assert_eq!(at.job_id, id, "not lost with one of the others, and not for lack of attempts");
}

#[tokio::test]
async fn a_worker_takes_as_many_as_it_says_from_now_on() {
    let world = World::new().await;
    for _ in 0..3 {
        world.submit("alice").await;
    }
    let slots = |slots| Report::Slots(ChangeSlots { slots });
    let mut worker = world.worker("w").await;
    let first = worker.take().await.attempt.unwrap();
    worker.send(slots(2)).await;
    let second = worker.take().await.attempt.unwrap();
    worker.send(slots(0)).await;
    worker.send(Report::Released(ReportReleased { attempt: Some(first) })).await;
    worker.fail(&second, false).await;
    assert_eq!(worker.sync().await.len(), 1, "nothing comes back to who takes nothing");
    worker.send(slots(1)).await;
    worker.take().await;
    for odd in [-1, 1025] {
        let mut stream = world.worker_with("odd", 0, vec![]).await;
        stream.send(slots(odd)).await;
        ended_by(&stream.end().await, Code::InvalidArgument, "INVALID_FIELD");
    }
}
