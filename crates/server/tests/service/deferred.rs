//! A store that fails while a report is looked at: that report waits, and nothing else on the worker's stream does.

use std::path::PathBuf;
use std::sync::Arc;

use courant_auth::Role;
use courant_proto::v1::work_request::Message as Report;
use courant_proto::v1::work_response::Message as Order;
use courant_proto::v1::*;
use courant_worker::{Handler, Outcome, Task, TaskError, async_trait};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::support::{Worker, *};

/// The folder of a job in the object store, which can be made unreadable: whatever is asked for in it is a loop of links.
struct Folder {
    real: PathBuf,
    away: PathBuf,
}

impl Folder {
    fn of(world: &World, job: &str) -> Self {
        let real = world.folder.path().join("objects/jobs").join(job);
        Self { away: world.folder.path().join(format!("away-{job}")), real }
    }

    fn fail(&self) {
        std::fs::rename(&self.real, &self.away).unwrap();
        std::os::unix::fs::symlink(&self.real, &self.real).unwrap();
    }

    fn work(&self) {
        std::fs::remove_file(&self.real).unwrap();
        std::fs::rename(&self.away, &self.real).unwrap();
    }
}

/// A worker that knows deferrals, with so many slots.
async fn resender(world: &World, slots: i32) -> Worker {
    let mut worker = world.stream().await;
    let Report::Hello(hello) = hello("w", slots, vec![]) else { unreachable!() };
    worker.send(Report::Hello(Hello { resends_reports: true, ..hello })).await;
    assert!(matches!(worker.order().await, Order::Welcome(_)));
    worker
}

async fn submit(world: &World) -> String {
    world.submit_with("alice", markdown_only(), b"x").await.unwrap().job.unwrap().job_id
}

/// Puts the artifact of a page of the first attempt into the store, as another server would: this one remembers those that
/// it wrote itself, and need not look whether they are there.
fn lay(world: &World, job: &str, page: u32) {
    let folder = world.folder.path().join("objects/jobs").join(job).join("a1/pages");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{page:06}.json")), b"{}").unwrap();
}

fn page(at: &AttemptRef, number: i32) -> Report {
    let page = Page { number, width: 100.0, height: 100.0, ..Page::default() };
    Report::Page(ReportPage { attempt: Some(at.clone()), page: Some(page), ..Default::default() })
}

#[tokio::test]
async fn a_report_that_the_store_fails_waits_alone_and_in_order() {
    let world = World::tuned(in_object_store).await;
    let (first, second) = (submit(&world).await, submit(&world).await);
    let mut worker = resender(&world, 2).await;
    let ats = [worker.take().await.attempt.unwrap(), worker.take().await.attempt.unwrap()];
    let of = |id: &str| ats.iter().find(|at| at.job_id == id).unwrap().clone();
    let (a, b) = (of(&first), of(&second));
    worker.plan(&a, 2).await;
    lay(&world, &a.job_id, 1);
    lay(&world, &a.job_id, 2);
    worker.sync().await;

    let watched = world.watch("alice", &first, "").await;
    let folder = Folder::of(&world, &first);
    folder.fail();
    worker.send(page(&a, 1)).await;
    worker.send(page(&a, 2)).await;
    worker.succeed(&a).await;
    let sent = worker.sync().await;
    let [Order::DeferReports(deferred), Order::HeartbeatAck(_)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(deferred.attempt.as_ref(), Some(&a));
    assert_eq!(deferred.reason(), ErrorReason::StorageUnavailable);
    assert!(deferred.retry_after.as_ref().is_some_and(|after| after.seconds >= 1), "{deferred:?}");

    worker.work_off(&b, 1).await;
    worker.sync().await;
    assert_eq!(world.job("alice", &second).await.state(), JobState::Succeeded, "on the same stream");
    assert_eq!(world.job("alice", &first).await.state(), JobState::Running, "its end did not overtake its pages");

    // Again too early: the same once more.
    worker.send(Report::ResumeReports(ResumeReports { attempt: Some(a.clone()) })).await;
    worker.send(page(&a, 1)).await;
    worker.send(page(&a, 2)).await;
    assert!(matches!(worker.sync().await[..], [Order::DeferReports(_), Order::HeartbeatAck(_)]));

    folder.work();
    worker.send(page(&a, 1)).await;
    assert!(matches!(worker.sync().await[..], [Order::HeartbeatAck(_)]), "nothing is taken before it resumes");
    worker.send(Report::ResumeReports(ResumeReports { attempt: Some(a.clone()) })).await;
    worker.send(page(&a, 1)).await;
    worker.send(page(&a, 2)).await;
    worker.succeed(&a).await;
    assert!(matches!(worker.sync().await[..], [Order::HeartbeatAck(_)]));
    let job = world.job("alice", &first).await;
    assert_eq!((job.state(), job.attempt), (JobState::Succeeded, 1));
    assert_eq!(names(&watched.durable().await), ["page", "page", "succeeded"], "none is lost and none is doubled");
}

#[tokio::test]
async fn a_job_whose_reports_wait_can_be_handed_back() {
    let world = World::tuned(in_object_store).await;
    let id = submit(&world).await;
    let mut worker = resender(&world, 1).await;
    let at = worker.take().await.attempt.unwrap();
    worker.plan(&at, 1).await;
    lay(&world, &at.job_id, 1);
    let folder = Folder::of(&world, &id);
    folder.fail();
    worker.send(page(&at, 1)).await;
    worker.send(Report::Slots(ChangeSlots { slots: 0 })).await;
    worker.send(Report::Released(ReportReleased { attempt: Some(at.clone()) })).await;
    worker.send(page(&at, 1)).await;
    let sent = worker.sync().await;
    assert!(
        matches!(&sent[..], [Order::DeferReports(_), Order::LeaseLost(_), Order::HeartbeatAck(_)]),
        "what comes behind the end learns that it is over: {sent:?}"
    );
    folder.work();
    assert_eq!(world.job("alice", &id).await.state(), JobState::Queued);
}

#[tokio::test]
async fn a_worker_that_knows_no_deferral_is_made_to_send_everything_again() {
    let world = World::tuned(in_object_store).await;
    let id = submit(&world).await;
    let mut worker = world.worker("w").await;
    let at = worker.take().await.attempt.unwrap();
    worker.plan(&at, 1).await;
    lay(&world, &at.job_id, 1);
    let folder = Folder::of(&world, &id);
    folder.fail();
    worker.send(page(&at, 1)).await;
    worker.succeed(&at).await;
    let ended = worker.end().await;
    assert_eq!((ended.code(), reason(&ended).as_str()), (Code::Unavailable, "STORAGE_UNAVAILABLE"));
    folder.work();
    let mut worker = world.worker_with("w", 1, vec![at.clone()]).await;
    worker.send(page(&at, 1)).await;
    worker.succeed(&at).await;
    worker.sync().await;
    assert_eq!(world.job("alice", &id).await.state(), JobState::Succeeded);
}

/// Says when it has the job; reports its page when it is told to.
struct OnePage {
    began: mpsc::Sender<String>,
    go: tokio::sync::watch::Receiver<Vec<String>>,
}

#[async_trait]
impl Handler for OnePage {
    async fn run(&self, task: Task) -> Result<Outcome, TaskError> {
        task.plan(1).await?;
        let _ = self.began.send(task.job_id().to_owned()).await;
        let mut go = self.go.clone();
        let _ = go.wait_for(|jobs| jobs.iter().any(|job| job == task.job_id())).await;
        task.page(Page { number: 1, ..Page::default() }).await?;
        Ok(Outcome::default())
    }
}

#[tokio::test]
async fn the_sdk_keeps_what_waits_and_does_its_other_job_on_the_same_stream() {
    let world = World::tuned(in_object_store).await;
    let (first, second) = (submit(&world).await, submit(&world).await);
    let token = world.token("worker", &[Role::Worker]);
    let mut config =
        courant_worker::Config::new(world.address.clone(), Arc::new(move || token.clone()), "sdk", ["pdf"]);
    config.slots = 2;
    let mut status = config.status.watch();
    let (began, mut ready) = mpsc::channel(2);
    let (go, going) = tokio::sync::watch::channel(Vec::new());
    let stop = CancellationToken::new();
    let handler = Arc::new(OnePage { began, go: going });
    let working = tokio::spawn(courant_worker::run(config, handler, stop.clone()));
    for _ in 0..2 {
        lay(&world, &ready.recv().await.unwrap(), 1);
    }
    status.borrow_and_update();

    let folder = Folder::of(&world, &first);
    folder.fail();
    let mut watching = world.watch("alice", &second, "").await;
    let mut first_watching = world.watch("alice", &first, "").await;
    go.send_modify(|jobs| jobs.push(first.clone()));
    go.send_modify(|jobs| jobs.push(second.clone()));
    watching.until("succeeded").await;
    assert_eq!(world.job("alice", &first).await.state(), JobState::Running);
    folder.work();
    first_watching.until("page").await;
    first_watching.until("succeeded").await;
    let job = world.job("alice", &first).await;
    assert_eq!((job.state(), job.attempt), (JobState::Succeeded, 1));
    assert!(!status.has_changed().unwrap(), "the stream stayed: {:?}", *status.borrow());
    stop.cancel();
    working.await.unwrap().unwrap();
}
