//! Many watches on one stream, as a bridge has them.

use std::collections::HashMap;

use courant_auth::Role;
use courant_proto::v1::scope_step::What;
use courant_proto::v1::watch_jobs_response::Step;
use courant_proto::v1::watch_scopes_request::Request as Ask;
use courant_proto::v1::work_request::Message as Report;
use courant_proto::v1::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::support::*;

struct Bridge {
    requests: mpsc::Sender<WatchScopesRequest>,
    steps: Streaming<WatchScopesResponse>,
    /// Of each scope, in order.
    came: HashMap<i64, Vec<What>>,
}

impl Bridge {
    async fn open(world: &World, roles: &[Role]) -> Result<Self, Status> {
        let (requests, sent) = mpsc::channel(8);
        let steps = world.jobs_as("bridge", roles).watch_scopes(ReceiverStream::new(sent)).await?.into_inner();
        Ok(Self { requests, steps, came: HashMap::new() })
    }

    async fn ask(&self, ask: Ask) {
        self.requests.send(WatchScopesRequest { request: Some(ask) }).await.unwrap();
    }

    async fn add(&self, scope: i64, owner: &str, job_id: &str, credit: i32) {
        let watch = Some(WatchJobsRequest { owner: owner.into(), ..WatchJobsRequest::default() });
        self.ask(Ask::Add(AddScope { scope, watch, job_id: job_id.into(), credit })).await;
    }

    /// Reads until this holds of what came.
    async fn until(&mut self, holds: impl Fn(&HashMap<i64, Vec<What>>) -> bool) {
        while !holds(&self.came) {
            let message = tokio::time::timeout(PATIENCE, self.steps.message()).await.expect("it did not come");
            for ScopeStep { scope, what } in message.unwrap().expect("the stream has ended").steps {
                self.came.entry(scope).or_default().push(what.unwrap());
            }
        }
    }

    async fn end(&mut self) -> Status {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.steps.message()).await.expect("it does not end");
            match message {
                Ok(message) => assert!(message.is_some(), "it ended well"),
                Err(status) => return status,
            }
        }
    }
}

/// The jobs of a scope by what came of them: snapshots and events, without their positions, which come whenever they change.
fn jobs(came: &HashMap<i64, Vec<What>>, scope: i64) -> Vec<String> {
    let steps = came.get(&scope).into_iter().flatten();
    let job = |what: &What| match what {
        What::Step(WatchJobsResponse { step: Some(Step::Snapshot(snapshot)), .. }) => snapshot.job.clone(),
        What::Step(WatchJobsResponse { step: Some(Step::Event(event)), .. }) if name(event) != "position" => {
            event.job.clone()
        }
        _ => None,
    };
    steps.filter_map(job).map(|job| job.job_id).collect()
}

/// The transient events of a scope that are about progress.
fn updates(came: &HashMap<i64, Vec<What>>, scope: i64) -> Vec<JobEvent> {
    let steps = came.get(&scope).into_iter().flatten();
    let update = |what: &What| match what {
        What::Step(WatchJobsResponse { step: Some(Step::Event(event)), .. }) if name(event) == "progressed" => {
            Some(event.clone())
        }
        _ => None,
    };
    steps.filter_map(update).collect()
}

fn is_live(came: &HashMap<i64, Vec<What>>, scope: i64) -> bool {
    let live = |what: &What| matches!(what, What::Step(WatchJobsResponse { step: Some(Step::Live(_)), .. }));
    came.get(&scope).is_some_and(|steps| steps.iter().any(live))
}

#[tokio::test]
async fn each_scope_is_followed_as_by_a_watch_of_its_own() {
    let world = World::new().await;
    let first = world.submit("alice").await.job.unwrap().job_id;
    let other = world.submit("bob").await.job.unwrap().job_id;
    let mut bridge = Bridge::open(&world, &[Role::Bridge]).await.unwrap();
    bridge.add(1, "alice", "", 100).await;
    bridge.add(2, "-", "", 100).await;
    bridge.add(3, "", &first, 100).await;
    bridge.until(|came| (1..=3).all(|scope| is_live(came, scope))).await;
    assert_eq!(jobs(&bridge.came, 1), std::slice::from_ref(&first));
    assert_eq!(jobs(&bridge.came, 2), [first.clone(), other.clone()]);
    assert_eq!(jobs(&bridge.came, 3), std::slice::from_ref(&first));
    world.cancel("bob", &other).await.unwrap();
    world.cancel("alice", &first).await.unwrap();
    bridge.until(|came| jobs(came, 1).len() == 2 && jobs(came, 2).len() == 4 && jobs(came, 3).len() == 2).await;
    // A job that has ended is followed on: it may be tried again.
    let request = RetryJobRequest { job_id: first.clone(), ..RetryJobRequest::default() };
    world.jobs("alice").retry_job(request).await.unwrap();
    bridge.until(|came| jobs(came, 3).len() == 3).await;
}

#[tokio::test]
async fn an_update_has_of_the_job_only_what_changes_without_an_event() {
    let world = World::new().await;
    let id = world.submit("alice").await.job.unwrap().job_id;
    let mut bridge = Bridge::open(&world, &[Role::Bridge]).await.unwrap();
    bridge.add(1, "", &id, 100).await;
    bridge.until(|came| is_live(came, 1)).await;
    let mut single = world.watch("alice", &id, "").await;
    let mut worker = world.worker("w").await;
    let attempt = worker.take().await.attempt;
    let report = ReportProgress {
        attempt,
        percent: 41.5,
        operation: "reading".into(),
        stage: Stage::Extract.into(),
        ..ReportProgress::default()
    };
    worker.send(Report::Progress(report)).await;
    let of_single = loop {
        match single.next().await.unwrap().step {
            Some(watch_job_response::Step::Event(event)) if name(&event) == "progressed" => break event,
            _ => {}
        }
    };
    bridge.until(|came| updates(came, 1).len() == 1).await;
    let update = updates(&bridge.came, 1).remove(0);
    let (whole, job) = (of_single.job.unwrap(), update.job.unwrap());
    let kept = |job: &Job| {
        let progress = job.progress.as_ref().unwrap();
        (job.job_id.clone(), job.revision, job.attempt, job.state, progress.percent, progress.operation.clone())
    };
    assert_eq!(kept(&job), kept(&whole));
    let without = Job { progress: None, ..*job };
    let (job_id, revision, attempt, state) = (whole.job_id, whole.revision, whole.attempt, whole.state);
    assert_eq!(without, Job { job_id, revision, attempt, state, ..Job::default() });
    assert!(whole.owner == "alice" && update.change == of_single.change);
}

#[tokio::test]
async fn a_scope_without_credit_holds_up_no_other_and_has_everything_later() {
    // Positions would take of the credit.
    let world = World::tuned(|config| config.watch_positions = 0).await;
    let mut bridge = Bridge::open(&world, &[Role::Bridge]).await.unwrap();
    bridge.add(1, "alice", "", 1).await;
    bridge.add(2, "alice", "", 100_000).await;
    bridge.until(|came| is_live(came, 1) && is_live(came, 2)).await;
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(world.submit("alice").await.job.unwrap().job_id);
    }
    bridge.until(|came| jobs(came, 2).len() == 50).await;
    assert_eq!(jobs(&bridge.came, 1).len(), 0, "its credit was for `live`");
    bridge.ask(Ask::Credit(AddCredit { scope: 1, steps: 30 })).await;
    bridge.until(|came| jobs(came, 1).len() == 30).await;
    bridge.ask(Ask::Credit(AddCredit { scope: 1, steps: 30 })).await;
    bridge.until(|came| jobs(came, 1).len() == 50).await;
    assert_eq!(jobs(&bridge.came, 1), ids);
}

#[tokio::test]
async fn a_scope_that_cannot_be_followed_ends_by_itself() {
    let world = World::new().await;
    let mut bridge = Bridge::open(&world, &[Role::Bridge]).await.unwrap();
    bridge.ask(Ask::Add(AddScope { scope: 1, watch: None, job_id: String::new(), credit: 10 })).await;
    let watch = Some(WatchJobsRequest { after_cursor: "nonsense".into(), ..WatchJobsRequest::default() });
    bridge.ask(Ask::Add(AddScope { scope: 2, watch, job_id: String::new(), credit: 10 })).await;
    bridge.add(3, "alice", "", 10).await;
    bridge.until(|came| came.contains_key(&1) && came.contains_key(&2) && is_live(came, 3)).await;
    for (scope, reason) in [(1, ErrorReason::InvalidField), (2, ErrorReason::CursorInvalid)] {
        let [What::Ended(error)] = &bridge.came[&scope][..] else { panic!("{:?}", bridge.came[&scope]) };
        assert_eq!((Code::from(error.code), error.reason()), (Code::InvalidArgument, reason), "{error:?}");
    }
}

#[tokio::test]
async fn a_removed_scope_is_sent_nothing_more_and_its_number_is_not_used_again() {
    let world = World::new().await;
    let mut bridge = Bridge::open(&world, &[Role::Bridge]).await.unwrap();
    bridge.add(1, "alice", "", 100).await;
    bridge.until(|came| is_live(came, 1)).await;
    bridge.ask(Ask::Remove(RemoveScope { scope: 1 })).await;
    bridge.add(2, "alice", "", 100).await;
    bridge.until(|came| is_live(came, 2)).await;
    world.submit("alice").await;
    bridge.until(|came| jobs(came, 2).len() == 1).await;
    assert_eq!(jobs(&bridge.came, 1).len(), 0);
    bridge.add(2, "alice", "", 100).await;
    let status = bridge.end().await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELD"), "{status}");
}

#[tokio::test]
async fn only_bridges_may_and_only_as_long_as_their_token_is_good() {
    let world = World::new().await;
    for roles in [&[][..], &[Role::Admin], &[Role::Service]] {
        let status = Bridge::open(&world, roles).await.map(|_| ()).unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
    }
    let mut bridge = Bridge::open(&world, &[Role::Bridge]).await.unwrap();
    bridge.ask(Ask::Token(world.token("bridge", &[Role::Bridge]))).await;
    bridge.add(1, "alice", "", 10).await;
    bridge.until(|came| is_live(came, 1)).await;
    bridge.ask(Ask::Token(world.token("other", &[Role::Bridge]))).await;
    assert_eq!(bridge.end().await.code(), Code::InvalidArgument);
    let mut bridge = Bridge::open(&world, &[Role::Bridge]).await.unwrap();
    bridge.ask(Ask::Token(world.token("bridge", &[]))).await;
    assert_eq!(bridge.end().await.code(), Code::PermissionDenied);
}
