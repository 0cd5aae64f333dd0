//! What a watcher is sent of more jobs than are read at once, while they change: nothing is missed, nothing comes twice,
//! and nothing older after what is newer.

use std::collections::HashMap;

use courant_joblog::event::{Change, Submission};
use courant_joblog::ids::{JobId, Owner, WorkerId};
use courant_joblog::job::{Job, Page, Progress, State};
use courant_joblog::memory::MemoryLog;

use super::*;
use crate::config::Config;
use crate::engine::CHUNK;
use crate::hub::watch_queue::TransientChange;
use crate::projection::Projections;
use crate::testing::{self, submission};
use crate::view::LiveProgress;

const LONG: Duration = Duration::from_secs(600);

struct World {
    engine: Arc<Engine>,
    jobs: Vec<JobId>,
    random: fastrand::Rng,
}

impl World {
    async fn with(jobs: usize, buffer: usize, seed: u64) -> Self {
        let config = Config { watch_buffer: buffer, ..testing::config() };
        let log = Arc::new(MemoryLog::new());
        let engine = testing::follow(config, log, Projections::default()).await.unwrap();
        let mut world = Self { engine, jobs: vec![], random: fastrand::Rng::with_seed(seed) };
        for _ in 0..jobs {
            world.submit().await;
        }
        world
    }

    async fn submit(&mut self) {
        let submission = submission(&format!("J{:05}", self.random.u32(..)), "alice");
        let submission = Submission { max_attempts: 1, ..submission };
        let id = submission.id.clone();
        self.engine.create(Change::Submitted(Box::new(submission)), id.clone(), Vec::new(), None).await.unwrap();
        self.jobs.push(id);
    }

    /// Something happens to somebody.
    async fn happen(&mut self) {
        if self.random.u8(..) < 50 {
            return self.submit().await;
        }
        let id = self.jobs[self.random.usize(..self.jobs.len())].clone();
        let by = || "alice".into();
        let decide = |job: &Job| match job.state {
            State::Queued => Ok(Some(Change::Cancelled { by: by() })),
            _ => Ok(Some(Change::Requeued { by: by(), password: None })),
        };
        self.engine.change(&id, decide).await.unwrap();
    }

    fn watch(&self) -> mpsc::Receiver<Result<Update, WatchError>> {
        let scope = Scope { topic: Topic::Owner(Owner::new("alice")), document: None, batch: None };
        let watch = Watch {
            scope,
            after: None,
            min_interval: Duration::ZERO,
            end: End::Never,
            on_gap: OnGap::StartOver,
            token_left: 100 * LONG,
        };
        start(self.engine.clone(), &Tasks::default(), watch, |step| step)
    }
}

/// What a client knows from what it was sent.
#[derive(Default)]
struct Client {
    jobs: HashMap<JobId, Revision>,
    live: bool,
    snapshots: usize,
}

impl Client {
    fn take(&mut self, update: Update) {
        let (id, revision) = match update.step {
            Step::Snapshot(seen) => {
                assert!(!self.live && update.cursor.is_none());
                self.snapshots += 1;
                (seen.current.job.id.clone(), seen.current.revision)
            }
            Step::Event(durable) => (durable.entry.key.job.clone(), durable.entry.revision),
            Step::Live => return self.live = true,
            Step::Gap(reason) => panic!("a gap: {reason:?}"),
            Step::Transient(..) | Step::Bookmark => return,
        };
        let before = self.jobs.insert(id.clone(), revision);
        assert!(before.is_none_or(|before| before < revision), "{id}: {revision} after {before:?}");
    }
}

async fn follow_while_things_happen(seed: u64, buffer: usize) {
    let mut world = World::with(3 * CHUNK + 7, buffer, seed).await;
    let (mut steps, mut client) = (world.watch(), Client::default());
    let mut more = 300;
    while more > 0 {
        let update = tokio::time::timeout(LONG, steps.recv()).await.unwrap().unwrap().unwrap();
        client.take(update);
        world.happen().await;
        more -= u32::from(client.live);
    }
    while !world
        .jobs
        .iter()
        .all(|id| client.jobs.get(id) == world.engine.get(id).map(|seen| seen.current.revision).as_ref())
    {
        let update = tokio::time::timeout(LONG, steps.recv()).await.expect("something was missed").unwrap().unwrap();
        client.take(update);
    }
    assert!(client.snapshots > 2 * CHUNK);
}

#[tokio::test(start_paused = true)]
async fn what_happens_while_snapshots_are_read_is_told_once_and_in_order() {
    for seed in 0..2 {
        follow_while_things_happen(seed, 1 << 20).await;
    }
}

/// A job of a hundred pages that a worker runs, with so many percent sent live.
async fn running_at(engine: &Engine, percent: f64) -> JobId {
    let submission = submission("J", "alice");
    let (id, worker) = (submission.id.clone(), WorkerId::new("w"));
    let change = Change::Submitted(Box::new(submission));
    engine.create(change, id.clone(), Vec::new(), Some(worker)).await.unwrap();
    engine
        .change(&id, |_| Ok(Some(Change::Planned { attempt: 1, pages: 100, lane: None, document: None })))
        .await
        .unwrap();
    let progress = Progress { percent, ..engine.get(&id).unwrap().current.job.progress.clone() };
    assert!(engine.report(&id, LiveProgress { attempt: 1, progress, zone: None }, TransientChange::Progress));
    id
}

#[tokio::test(start_paused = true)]
async fn what_is_read_from_the_log_says_no_less_than_what_was_sent_live() {
    let config = Config { watch_buffer: 1, ..testing::config() };
    let log = Arc::new(MemoryLog::new());
    let engine = testing::follow(config, log.clone(), Projections::default()).await.unwrap();
    let id = running_at(&engine, 70.0).await;
    let world = World { engine: engine.clone(), jobs: vec![], random: fastrand::Rng::with_seed(0) };
    let mut steps = world.watch();
    let Step::Snapshot(first) = steps.recv().await.unwrap().unwrap().step else { panic!("no snapshot") };
    assert_eq!(first.current.progress().percent, 70.0);
    for number in 1..=100 {
        let page = Page { number, width: 1.0, height: 1.0, zones: vec![], duration_ms: 1, warnings: vec![] };
        let page = Box::new(page);
        engine.change(&id, |_| Ok(Some(Change::PageFinished { attempt: 1, page: page.clone() }))).await.unwrap();
    }
    let mut percents = Vec::new();
    while percents.len() < 100 {
        let update = tokio::time::timeout(LONG, steps.recv()).await.expect("something was missed").unwrap().unwrap();
        if let Step::Event(Durable { entry, .. }) = update.step
            && let Record::Changed { job, .. } = &entry.record
        {
            percents.push(job.progress.percent);
        }
    }
    assert!(percents.is_sorted() && percents[0] == 70.0 && percents[99] == 75.0, "{percents:?}");
}

#[tokio::test(start_paused = true)]
async fn and_so_it_is_when_the_mailbox_runs_over() {
    follow_while_things_happen(7, 4).await;
}
