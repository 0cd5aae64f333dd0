//! What operators see and do.

use std::time::Duration;

use courant_auth::Role;
use courant_proto::v1::work_response::Message as Order;
use courant_proto::v1::*;
use tonic::{Code, Status, Streaming};

use crate::support::*;

const ADMIN: &[Role] = &[Role::Admin];

#[tokio::test]
async fn only_admins_get_in() {
    let world = World::new().await;
    // A bridge reads, and changes nothing.
    for (roles, calls) in [(&[][..], 16), (&[Role::Worker], 16), (&[Role::Service], 16), (&[Role::Bridge], 8)] {
        let refusals = every_call(&world, roles).await;
        assert_eq!(refusals.len(), calls, "{roles:?}");
        for refused in refusals {
            assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "ROLE_REQUIRED"));
        }
    }
    assert!(every_call(&world, ADMIN).await.iter().all(|status| status.code() == Code::NotFound));
}

async fn every_call(world: &World, roles: &[Role]) -> Vec<Status> {
    let mut admin = world.admin(roles);
    let worker_id = "nobody".to_owned();
    let answers = [
        admin.get_system_metrics(GetSystemMetricsRequest {}).await.err(),
        admin.watch_system_metrics(WatchSystemMetricsRequest::default()).await.err(),
        admin.list_workers(ListWorkersRequest {}).await.err(),
        admin.watch_workers(WatchWorkersRequest::default()).await.err(),
        admin.drain_worker(DrainWorkerRequest { worker_id: worker_id.clone() }).await.err(),
        admin.resume_worker(ResumeWorkerRequest { worker_id }).await.err(),
        admin.list_audit_events(ListAuditEventsRequest::default()).await.err(),
        admin.record_audit_events(RecordAuditEventsRequest::default()).await.err(),
        admin.list_lanes(ListLanesRequest {}).await.err(),
        admin.pause_lane(PauseLaneRequest { lane: Lane::Premium.into(), reason: String::new() }).await.err(),
        admin.resume_lane(ResumeLaneRequest { lane: Lane::Premium.into() }).await.err(),
        admin.set_lane_weight(SetLaneWeightRequest { lane: Lane::Premium.into(), weight: 6 }).await.err(),
        admin.explain_job(ExplainJobRequest { job_id: "nobody".into() }).await.err(),
        admin.get_log_info(GetLogInfoRequest {}).await.err(),
        admin.verify_integrity(VerifyIntegrityRequest::default()).await.err(),
        admin.close_connections(CloseConnectionsRequest { user: "alice".into() }).await.err(),
    ];
    answers.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_worker_that_nobody_knows_is_not_found() {
    let world = World::new().await;
    let refused = world.admin(ADMIN).drain_worker(DrainWorkerRequest { worker_id: "ghost".into() }).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "WORKER_NOT_FOUND"));
}

async fn drain(world: &World, id: &str) -> courant_proto::v1::Worker {
    let request = DrainWorkerRequest { worker_id: id.into() };
    world.admin(ADMIN).drain_worker(request).await.unwrap().into_inner().worker.unwrap()
}

async fn resume(world: &World, id: &str) -> courant_proto::v1::Worker {
    let request = ResumeWorkerRequest { worker_id: id.into() };
    world.admin(ADMIN).resume_worker(request).await.unwrap().into_inner().worker.unwrap()
}

fn is_operators_drain(order: &Order) -> bool {
    matches!(order, Order::Drain(drain) if drain.reason() == DrainReason::Operator)
}

#[tokio::test]
async fn a_drained_worker_finishes_what_it_has_and_gets_nothing_new_until_resumed() {
    let world = World::new().await;
    let first = world.submit_with("alice", markdown_only(), b"x").await.unwrap().job.unwrap().job_id;
    let mut worker = world.worker_with("w", 2, vec![]).await;
    let at = worker.take().await.attempt.unwrap();
    worker.sync().await;
    let drained = drain(&world, "w").await;
    assert!(drained.draining && drained.connected && drained.jobs[0].job_id == first);
    assert!(is_operators_drain(&worker.order().await));

    let second = world.submit("alice").await.job.unwrap().job_id;
    worker.work_off(&at, 1).await;
    assert_eq!(worker.sync().await.len(), 1, "nothing new, although both slots are free");
    assert_eq!(world.job("alice", &first).await.state(), JobState::Succeeded);

    // It is told so again on a new stream, and still gets nothing.
    let mut worker = world.worker_with("w", 2, vec![]).await;
    assert!(is_operators_drain(&worker.order().await));
    assert_eq!(worker.sync().await.len(), 1);
    assert!(!resume(&world, "w").await.draining);
    assert!(matches!(worker.order().await, Order::Resume(_)));
    assert_eq!(worker.take().await.attempt.unwrap().job_id, second);
}

#[tokio::test]
async fn a_drained_worker_that_left_is_not_forgotten() {
    let world = World::tuned(|config| config.lease = Duration::from_millis(300)).await;
    drop(world.worker("kept").await);
    drop(world.worker("left").await);
    drain(&world, "kept").await;
    let mut lists = watch(&world, Duration::from_millis(100)).await;
    loop {
        let workers = next(&mut lists).await;
        if let [kept] = workers.as_slice() {
            assert!(kept.worker_id == "kept" && kept.draining && !kept.connected);
            return;
        }
        assert!(workers.iter().any(|worker| worker.worker_id == "kept"), "the drained one was forgotten");
    }
}

async fn watch(world: &World, interval: Duration) -> Streaming<WatchWorkersResponse> {
    let request = WatchWorkersRequest { min_interval: prost_types::Duration::try_from(interval).ok() };
    world.admin(ADMIN).watch_workers(request).await.unwrap().into_inner()
}

async fn next(lists: &mut Streaming<WatchWorkersResponse>) -> Vec<courant_proto::v1::Worker> {
    let list = tokio::time::timeout(PATIENCE, lists.message()).await.expect("no list came").unwrap();
    list.expect("the watch ended").workers
}

#[tokio::test]
async fn workers_are_followed_as_they_come_work_and_go() {
    let world = World::new().await;
    let mut lists = watch(&world, Duration::from_millis(100)).await;
    assert!(next(&mut lists).await.is_empty(), "the state at once");
    let mut worker = world.worker("w").await;
    let list = next(&mut lists).await;
    assert_eq!((list[0].worker_id.as_str(), list[0].software.as_str(), list[0].slots), ("w", "test", 1));
    assert_eq!((list[0].kinds.as_slice(), list[0].connected), (&["pdf".to_owned()][..], true));
    let id = world.submit("alice").await.job.unwrap().job_id;
    worker.take().await;
    let mut seen = next(&mut lists).await;
    while seen[0].jobs.is_empty() {
        seen = next(&mut lists).await;
    }
    assert_eq!((seen[0].jobs[0].job_id.as_str(), seen[0].jobs[0].attempt), (id.as_str(), 1));
    drop(worker);
    while seen[0].connected {
        seen = next(&mut lists).await;
    }
}

#[tokio::test]
async fn silence_on_a_watch_means_a_dead_connection() {
    let world = World::tuned(|config| config.bookmark_interval = Duration::from_millis(200)).await;
    let mut lists = watch(&world, Duration::from_millis(100)).await;
    for _ in 0..3 {
        assert!(next(&mut lists).await.is_empty(), "the same again, although nothing changed");
    }
}

#[tokio::test]
async fn intervals_have_bounds() {
    let world = World::new().await;
    for seconds in [-1, 61, i64::MAX] {
        let interval = Some(prost_types::Duration { seconds, nanos: 0 });
        let mut admin = world.admin(ADMIN);
        let refused = admin.watch_workers(WatchWorkersRequest { min_interval: interval }).await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_FIELD");
        let refused = admin.watch_system_metrics(WatchSystemMetricsRequest { interval }).await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_FIELD");
    }
}

async fn metrics(world: &World) -> SystemMetrics {
    world.admin(ADMIN).get_system_metrics(GetSystemMetricsRequest {}).await.unwrap().into_inner().metrics.unwrap()
}

fn jobs_in(metrics: &SystemMetrics, state: JobState) -> i64 {
    metrics.jobs.iter().find(|count| count.state() == state).unwrap().jobs
}

#[tokio::test]
async fn the_figures_say_what_was_done() {
    let world = World::new().await;
    let before = metrics(&world).await;
    assert!(before.memory_bytes > 1 << 20 && before.version == env!("CARGO_PKG_VERSION"), "{before:?}");
    assert!(before.average_duration.is_none() && before.jobs.len() == 6);
    world.submit_with("alice", markdown_only(), b"x").await.unwrap();
    let doomed = world.submit("alice").await.job.unwrap().job_id;
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    worker.work_off(&at, 3).await;
    let at = worker.take().await.attempt.unwrap();
    worker.sync().await;
    let during = metrics(&world).await;
    assert_eq!((during.workers_total, during.workers_active, during.slots_total, during.slots_used), (1, 1, 1, 1));
    assert_eq!((jobs_in(&during, JobState::Running), jobs_in(&during, JobState::Succeeded)), (1, 1));
    assert_eq!(at.job_id, doomed);
    worker.fail(&at, false).await;
    worker.sync().await;
    world.submit("alice").await;
    let at = worker.take().await.attempt.unwrap();
    world.cancel("alice", &at.job_id).await.unwrap();
    worker.send(work_request::Message::Cancelled(ReportCancelled { attempt: Some(at) })).await;
    worker.sync().await;
    let after = metrics(&world).await;
    assert_eq!((after.jobs_succeeded, after.jobs_failed, after.jobs_cancelled), (1, 1, 1));
    assert_eq!((after.throughput_per_hour, after.pages_per_hour, after.error_rate), (3, 3, 0.5));
    assert!(after.average_duration.is_some() && after.log_revision > before.log_revision);

    // The last hour is known after a restart; what counts, counts from there.
    let world = world.restart().await;
    let restarted = metrics(&world).await;
    assert_eq!((restarted.jobs_succeeded, restarted.throughput_per_hour, restarted.pages_per_hour), (0, 3, 3));
    assert_eq!(jobs_in(&restarted, JobState::Failed), 1);
}

#[tokio::test]
async fn figures_are_followed() {
    let world = World::new().await;
    let request = WatchSystemMetricsRequest { interval: Some(prost_types::Duration { seconds: 1, nanos: 0 }) };
    let mut sets = world.admin(ADMIN).watch_system_metrics(request).await.unwrap().into_inner();
    let mut times = Vec::new();
    for _ in 0..2 {
        let set = tokio::time::timeout(PATIENCE, sets.message()).await.expect("no figures came").unwrap().unwrap();
        times.push(set.metrics.unwrap().sample_time.unwrap());
    }
    assert!((times[0].seconds, times[0].nanos) < (times[1].seconds, times[1].nanos));
}

#[tokio::test]
async fn bad_filters_lanes_rates_and_events_are_told_what_is_right() {
    let world = World::new().await;
    let mut admin = world.admin(ADMIN);
    let refused = |error: Status| (error.code(), error.message().to_owned());
    let filter = ListAuditEventsRequest { filter: "owner = alice".into(), ..ListAuditEventsRequest::default() };
    let (code, message) = refused(admin.list_audit_events(filter).await.unwrap_err());
    assert!(code == Code::InvalidArgument && message.contains("client_address"), "{message}");
    let token = ListAuditEventsRequest { page_token: "AAAA".into(), ..ListAuditEventsRequest::default() };
    assert_eq!(admin.list_audit_events(token).await.unwrap_err().code(), Code::InvalidArgument);
    let lane = PauseLaneRequest { lane: 0, reason: String::new() };
    let (code, message) = refused(admin.pause_lane(lane).await.unwrap_err());
    assert!(code == Code::InvalidArgument && message.contains("PREMIUM"), "{message}");
    let reason = PauseLaneRequest { lane: Lane::Normal.into(), reason: "x".repeat(257) };
    assert_eq!(admin.pause_lane(reason).await.unwrap_err().code(), Code::InvalidArgument);
    for weight in [-1, 1001] {
        let heavy = SetLaneWeightRequest { lane: Lane::Normal.into(), weight };
        let (code, message) = refused(admin.set_lane_weight(heavy).await.unwrap_err());
        assert!(code == Code::InvalidArgument && message.contains("1 to 1000"), "{message}");
    }
    let rate = VerifyIntegrityRequest { bytes_per_second: 1, ..VerifyIntegrityRequest::default() };
    assert_eq!(admin.verify_integrity(rate).await.unwrap_err().code(), Code::InvalidArgument);
    let user = CloseConnectionsRequest { user: String::new() };
    assert_eq!(admin.close_connections(user).await.unwrap_err().code(), Code::InvalidArgument);
    let event = AuditEvent { action: "Not a name".into(), ..AuditEvent::default() };
    let events = RecordAuditEventsRequest { events: vec![event] };
    assert_eq!(admin.record_audit_events(events).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_bridge_reports_for_users_and_an_admin_for_itself_alone() {
    let world = World::new().await;
    let event = |action: &str| AuditEvent {
        action: action.into(),
        actor: "alice".into(),
        address: "192.0.2.7".into(),
        bridge: "B".into(),
        count: 3,
        ..AuditEvent::default()
    };
    let by_bridge = RecordAuditEventsRequest { events: vec![event("connection.open")] };
    world.admin(&[Role::Bridge]).record_audit_events(by_bridge).await.unwrap();
    let mut admin = world.admin(ADMIN);
    admin.record_audit_events(RecordAuditEventsRequest { events: vec![event("backup.create")] }).await.unwrap();
    let list = ListAuditEventsRequest { filter: "source = bridge OR source = command".into(), ..Default::default() };
    let events = admin.list_audit_events(list).await.unwrap().into_inner().events;
    let told: Vec<_> = events
        .iter()
        .map(|event| (event.source.as_str(), event.actor.as_str(), event.address.as_str(), event.count))
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[1], ("bridge", "alice", "192.0.2.7", 3));
    assert_eq!((told[0].0, told[0].2), ("command", ""));
    assert_ne!(told[0].1, "alice", "an admin spoke for somebody else");
}
