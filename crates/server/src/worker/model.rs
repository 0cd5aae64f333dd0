//! What is true of the server with its workers, whatever they do: the real engine, dispatch, leases and reports on a log
//! in memory, with time that passes when nothing else is to do.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use courant_engine::Error;
use courant_joblog::event::{Change, Submission};
use courant_joblog::ids::{JobId, Revision, WorkerId};
use courant_joblog::job::{Job, Lane, State};
use courant_joblog::log::{Append, AppendError, Blob, Entry, Filter, Key, Latest, Log, LogInfo, ReadError, Record};
use courant_joblog::memory::MemoryLog;
use courant_proto::v1::work_request::Message as In;
use courant_proto::v1::{self, WorkResponse, work_response};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::sync::{mpsc, watch};
use tokio::time::Duration;
use tonic::Status;

use super::parts::{Holder, holder_in};
use super::registry::{OUTBOX, Session, WorkerCapabilities};
use super::*;
use crate::config::Config;
use crate::credential::Credentials;
use crate::objects::Objects;
use crate::positions;

const KINDS: [&str; 2] = ["pdf", "scan"];
const WORKERS: usize = 3;
const SLOTS: u32 = 2;
/// Pages of every document.
const PAGES: i32 = 12;

/// One step. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Submit {
        kind: usize,
        lane: Lane,
    },
    /// A worker connects, for the first time or again; it goes on with what it had.
    Join(usize),
    /// A worker's stream breaks.
    Cut(usize),
    /// A worker falls silent, or sends again.
    ToggleSilence(usize),
    /// A worker reports of an attempt that is, or once was, its own.
    Report {
        worker: usize,
        which: usize,
        what: Report,
    },
    Cancel(usize),
    Requeue(usize),
    Pass(u64),
    /// The log refuses the next appends.
    Shake(u32),
}

#[derive(Clone, Copy, Debug)]
enum Report {
    Accepted,
    Plan,
    /// Some of the twelve pages, three at a time, for others.
    Offer {
        revision: i64,
        which: u8,
    },
    /// A page whose artifact is there.
    Page(i32),
    Progress,
    Succeeded,
    Failed {
        retryable: bool,
    },
    Released,
    Cancelled,
}

fn step() -> impl Strategy<Value = Step> {
    let plain = select(vec![
        Report::Accepted,
        Report::Accepted,
        Report::Accepted,
        Report::Plan,
        Report::Plan,
        Report::Progress,
        Report::Succeeded,
        Report::Succeeded,
        Report::Failed { retryable: true },
        Report::Failed { retryable: false },
        Report::Released,
        Report::Cancelled,
    ]);
    let report = prop_oneof![
        4 => plain,
        2 => (1i64..6, 0u8..16).prop_map(|(revision, which)| Report::Offer { revision, which }),
        1 => (1..=PAGES).prop_map(Report::Page),
    ];
    prop_oneof![
        6 => (0..KINDS.len(), select(Lane::ALL.to_vec())).prop_map(|(kind, lane)| Step::Submit { kind, lane }),
        3 => (0..WORKERS).prop_map(Step::Join),
        1 => (0..WORKERS).prop_map(Step::Cut),
        1 => (0..WORKERS).prop_map(Step::ToggleSilence),
        12 => (0..WORKERS, any::<usize>(), report).prop_map(|(worker, which, what)| Step::Report { worker, which, what }),
        2 => any::<usize>().prop_map(Step::Cancel),
        1 => any::<usize>().prop_map(Step::Requeue),
        2 => select(vec![1, 6, 40]).prop_map(Step::Pass),
        1 => (1u32..5).prop_map(Step::Shake),
    ]
}

struct Fake {
    id: WorkerId,
    kinds: Vec<Box<str>>,
    slots: u32,
    session: Option<Session>,
    inbox: Option<mpsc::Receiver<Result<WorkResponse, Status>>>,
    silent: bool,
    /// Every attempt and part it ever got.
    got: Vec<Holder>,
}

/// A log that refuses appends on demand.
struct Shaky {
    log: MemoryLog,
    refuse: AtomicU32,
}

#[async_trait::async_trait]
impl Log for Shaky {
    async fn append(&self, append: Append) -> Result<Revision, AppendError> {
        let refuse = |left: u32| left.checked_sub(1);
        match self.refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, refuse) {
            Ok(_) => Err(AppendError::Unknown { reason: "it shakes".into() }),
            Err(_) => self.log.append(append).await,
        }
    }

    async fn read(&self, after: Revision, filter: &Filter, limit: usize) -> Result<Vec<Arc<Entry>>, ReadError> {
        self.log.read(after, filter, limit).await
    }

    fn recent(&self, after: Revision, limit: usize) -> Option<Vec<Arc<Entry>>> {
        self.log.recent(after, limit)
    }

    fn head(&self) -> watch::Receiver<Revision> {
        self.log.head()
    }

    async fn store_blob(&self, job: &JobId, blob: Blob) -> Result<(), AppendError> {
        self.log.store_blob(job, blob).await
    }

    async fn blob(&self, job: &JobId, name: &str) -> Result<Option<Bytes>, ReadError> {
        self.log.blob(job, name).await
    }

    async fn remove_blob(&self, job: &JobId, name: &str) -> Result<(), AppendError> {
        self.log.remove_blob(job, name).await
    }

    async fn latest(&self) -> Result<Latest, ReadError> {
        self.log.latest().await
    }

    async fn forget(&self, key: &Key, expect: Revision) -> Result<Revision, AppendError> {
        self.log.forget(key, expect).await
    }

    async fn trimmed(&self, filter: &Filter) -> Result<Revision, ReadError> {
        self.log.trimmed(filter).await
    }

    fn info(&self) -> &LogInfo {
        self.log.info()
    }
}

struct World {
    log: Arc<Shaky>,
    services: Arc<Services>,
    registry: Arc<Registry>,
    workers: Vec<Fake>,
    jobs: Vec<JobId>,
    assigned: HashSet<Holder>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::new(folder.path());
        config.retry_base = Duration::ZERO;
        let log = Arc::new(Shaky { log: MemoryLog::new(), refuse: AtomicU32::new(0) });
        let services = Services::open(config, log.clone(), Objects::local(folder.path()).unwrap()).await.unwrap();
        let registry = Arc::<Registry>::default();
        let following = services.clone();
        tokio::spawn(async move { following.engine.follow().await });
        tokio::spawn(dispatch::run(services.clone(), registry.clone()));
        tokio::spawn(sweep::run(services.clone(), registry.clone()));
        tokio::spawn(positions::run(services.clone(), registry.clone()));
        // The first takes all kinds, the others one each.
        let kinds = |n: usize| {
            KINDS.iter().enumerate().filter(move |(k, _)| n == 0 || n - 1 == *k).map(|(_, kind)| (*kind).into())
        };
        let fake = |n: usize| Fake::new(&format!("w{n}"), kinds(n).collect(), SLOTS);
        let workers = (0..WORKERS).map(fake).collect();
        Self { log, services, registry, workers, jobs: vec![], assigned: HashSet::new(), _folder: folder }
    }

    async fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Submit { kind, lane } => self.submit(KINDS[kind], lane).await,
            Step::Join(worker) => self.join(worker),
            Step::Cut(worker) => {
                if let Some(session) = self.workers[worker].session.take() {
                    self.registry.detach(&session);
                    self.workers[worker].inbox = None;
                }
            }
            Step::ToggleSilence(worker) => self.workers[worker].silent = !self.workers[worker].silent,
            Step::Report { worker, which, what } => {
                let got = &self.workers[worker].got;
                if !got.is_empty() {
                    let attempt = got[which % got.len()].clone();
                    self.report(worker, &attempt, what).await?;
                }
            }
            Step::Cancel(number) => {
                let decide = |job: &Job| {
                    Ok(match job.state {
                        State::Queued => Some(Change::Cancelled { by: "alice".into() }),
                        State::Running => Some(Change::Cancelling { by: "alice".into() }),
                        _ => None,
                    })
                };
                self.change(number, decide).await;
            }
            Step::Requeue(number) => {
                let may = |job: &Job| matches!(job.state, State::Failed | State::Cancelled);
                self.change(
                    number,
                    |job| Ok(may(job).then(|| Change::Requeued { by: "alice".into(), password: None })),
                )
                .await;
            }
            Step::Pass(seconds) => self.pass(seconds).await?,
            Step::Shake(appends) => self.log.refuse.store(appends, Ordering::SeqCst),
        }
        self.run_pending().await
    }

    async fn submit(&mut self, kind: &str, lane: Lane) {
        let id = JobId::random();
        let submission = Submission {
            kind: kind.into(),
            lane,
            formats: vec![],
            ..courant_engine::testing::submission(id.as_str(), "alice")
        };
        if self
            .services
            .engine
            .create(Change::Submitted(Box::new(submission)), id.clone(), Vec::new(), None)
            .await
            .is_ok()
        {
            self.jobs.push(id);
        }
    }

    fn join(&mut self, worker: usize) {
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        let fake = &mut self.workers[worker];
        let offer = WorkerCapabilities {
            kinds: fake.kinds.clone().into(),
            slots: fake.slots,
            software: "test".into(),
            takes_parts: true,
        };
        let session = self.registry.attach(fake.id.clone(), "worker", offer, outbox).unwrap();
        self.registry.welcomed(&session);
        (fake.session, fake.inbox, fake.silent) = (Some(session), Some(inbox), false);
        self.services.engine.wake.notify_one();
    }

    async fn report(&mut self, worker: usize, holder: &Holder, what: Report) -> Result<(), TestCaseError> {
        // Writing takes time, in which the server may do something by itself: before anybody looks.
        if let Report::Page(page) = what {
            self.store(holder, page).await;
        }
        let job = &holder.attempt.job;
        let before = self.services.engine.get(job).map(|seen| seen.current.revision);
        let mine = self.is_mine(worker, holder);
        let id = self.workers[worker].id.clone();
        self.record_contact(&id);
        let answer = messages::take(&self.services, &self.registry, &id, message(holder, what)).await;
        if !mine {
            let after = self.services.engine.get(job).map(|seen| seen.current.revision);
            prop_assert_eq!(before, after, "a late {:?} of {:?} changed something: {:?}", what, holder, answer);
        }
        Ok(())
    }

    async fn store(&self, holder: &Holder, page: i32) {
        let name = crate::objects::page_name(page as u32);
        let file = crate::files::JobFile::artifact(&holder.attempt.job, holder.attempt.number, &name);
        let mut writer = self.services.files.receive_artifact(file);
        writer.file.push(bytes::Bytes::from_static(b"{}")).await.unwrap();
        writer.finish().await.unwrap();
    }

    /// A sign of life, as a stream takes it in.
    fn record_contact(&self, worker: &WorkerId) {
        if self.registry.renew_lease(worker) {
            self.services.engine.wake.notify_one();
        }
    }

    fn is_mine(&self, worker: usize, holder: &Holder) -> bool {
        let attempt = &holder.attempt;
        if holder.part.is_some() {
            return self.registry.parts.pages(holder, &self.workers[worker].id).is_some();
        }
        let job = self.services.engine.get(&attempt.job).map(|seen| seen.current.job);
        job.is_some_and(|job| {
            job.state.is_held()
                && job.attempt == attempt.number
                && job.worker.as_ref() == Some(&self.workers[worker].id)
        })
    }

    async fn change(&self, number: usize, decide: impl Fn(&Job) -> Result<Option<Change>, Error>) {
        if !self.jobs.is_empty() {
            // The log may refuse it: then it did not happen.
            let _ = self.services.engine.change(&self.jobs[number % self.jobs.len()], decide).await;
        }
    }

    async fn pass(&mut self, seconds: u64) -> Result<(), TestCaseError> {
        for _ in 0..seconds {
            for fake in self.workers.iter().filter(|fake| !fake.silent && fake.session.is_some()) {
                self.record_contact(&fake.id);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.run_pending().await?;
        }
        Ok(())
    }

    /// Lets everything happen that can happen now, and reads what the workers were sent.
    async fn run_pending(&mut self) -> Result<(), TestCaseError> {
        // Time passes only when nobody has anything to do.
        tokio::time::sleep(Duration::from_millis(1)).await;
        for fake in &mut self.workers {
            while let Some(Ok(Ok(response))) = fake.inbox.as_mut().map(|inbox| inbox.try_recv()) {
                let Some(work_response::Message::Assignment(assignment)) = response.message else { continue };
                let holder = holder_in(assignment.attempt).unwrap();
                prop_assert!(self.assigned.insert(holder.clone()), "{holder:?} was given out twice");
                prop_assert_eq!(holder.part.is_some(), assignment.pages.is_some());
                fake.got.push(holder);
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let free = assignment::free(&self.services, &self.registry, &KINDS.map(Box::from));
        let free: HashMap<WorkerId, _> = free.into_iter().map(|free| (free.worker, free.kinds)).collect();
        self.services.engine.read(|view| {
            let all = || view.list(None, None).filter_map(|(_, stored)| Some(&stored.unfinished()?.job));
            let queued = all().filter(|job| job.state == State::Queued).count() as u64;
            let waiting: u64 = view.queues().map(|queue| queue.waiting.jobs + u64::from(queue.delayed)).sum();
            prop_assert_eq!(queued, waiting, "who waits is in a queue");
            let held = all().filter(|job| job.state.is_held()).count() as u32;
            prop_assert_eq!(held, view.queues().map(|queue| queue.held).sum::<u32>());
            for fake in &self.workers {
                prop_assert!(view.held_count(&fake.id) <= fake.slots, "{} holds too much", fake.id);
            }
            for queue in view.queues().filter(|queue| queue.waiting.jobs > 0) {
                let idle = free.iter().find(|(_, kinds)| kinds.iter().any(|kind| **kind == *queue.kind));
                prop_assert!(idle.is_none(), "{:?} is idle while {} waits", idle, queue.kind);
            }
            Ok(())
        })?;
        self.check_parts()
    }

    /// Parts are of running jobs that others hold, no page is assigned twice, and nobody has more than its slots.
    fn check_parts(&self) -> Result<(), TestCaseError> {
        let mut pages = HashSet::new();
        for fake in &self.workers {
            let parts = self.registry.parts.held_by(&fake.id);
            for part in &parts {
                let job = part.attempt.held_job(&self.services.engine);
                let lead =
                    job.as_ref().ok().filter(|job| job.state == State::Running).and_then(|job| job.worker.clone());
                prop_assert!(lead.is_some_and(|lead| lead != fake.id), "{part:?} of {job:?} is with {}", fake.id);
                let span = self.registry.parts.pages(part, &fake.id).unwrap();
                for page in span.first..=span.last {
                    prop_assert!(pages.insert((part.attempt.clone(), page)), "page {page} is assigned twice");
                }
            }
            let held = self.services.engine.read(|view| view.held_count(&fake.id));
            prop_assert!(held + parts.len() as u32 <= fake.slots, "{} has too much: {parts:?}", fake.id);
        }
        Ok(())
    }

    /// Good workers come, and everything comes to an end.
    async fn finish(&mut self) -> Result<(), TestCaseError> {
        self.workers.push(Fake::new("good", KINDS.map(Box::from).to_vec(), 64));
        let good = self.workers.len() - 1;
        self.log.refuse.store(0, Ordering::SeqCst);
        self.join(good);
        for _ in 0..200 {
            self.pass(1).await?;
            for attempt in self.workers[good].got.clone() {
                for what in [Report::Accepted, Report::Succeeded, Report::Cancelled] {
                    self.report(good, &attempt, what).await?;
                }
            }
            self.workers[good].got.clear();
            let ended = |id: &JobId| self.services.engine.get(id).unwrap().current.job.state.is_terminal();
            if self.jobs.iter().all(ended) {
                self.run_pending().await?;
                prop_assert!(self.registry.parts.workers().is_empty(), "parts of jobs that have ended");
                return self.check_log().await;
            }
            // Those who hold something and never report on it.
            (0..WORKERS).for_each(|worker| self.workers[worker].silent = true);
        }
        Err(TestCaseError::fail("somebody is stuck"))
    }

    /// Attempts are counted without a gap, and one ends before the next begins.
    async fn check_log(&self) -> Result<(), TestCaseError> {
        let entries = self.services.engine.log.read(Revision::ZERO, &Filter::All, usize::MAX).await.unwrap();
        let mut live: HashMap<JobId, (u32, bool)> = HashMap::new();
        for entry in &entries {
            let Record::Changed { event, job } = &entry.record else { continue };
            let (attempt, runs) = live.entry(job.id.clone()).or_default();
            if let Change::Started { attempt: started, .. } = &event.change {
                prop_assert!(!*runs && *started == *attempt + 1, "{} began attempt {started} after {attempt}", job.id);
                *attempt = *started;
            }
            *runs = job.state.is_held();
        }
        Ok(())
    }
}

impl Fake {
    fn new(id: &str, kinds: Vec<Box<str>>, slots: u32) -> Self {
        Self { id: WorkerId::new(id), kinds, slots, session: None, inbox: None, silent: false, got: vec![] }
    }
}

fn message(holder: &Holder, what: Report) -> In {
    // Reports need no credential: the stream says which worker it is.
    let none = Credentials::new(&courant_auth::Secret::new([0; 32]).unwrap());
    let attempt = Some(holder.wire(&none, &WorkerId::new("any")));
    match what {
        Report::Offer { revision, which } => {
            let wanted = (0..4).filter(|n| which & (1 << n) != 0);
            let pages = wanted.map(|n| v1::PageRange { first: n * 3 + 1, last: n * 3 + 3 }).collect();
            In::Offer(v1::OfferPages { attempt, revision, pages })
        }
        Report::Page(number) => {
            In::Page(v1::ReportPage { attempt, page: Some(v1::Page { number, ..v1::Page::default() }) })
        }
        Report::Accepted => In::Accepted(v1::Accepted { attempt }),
        Report::Plan => In::Plan(v1::ReportPlan { attempt, pages_total: PAGES }),
        Report::Progress => {
            In::Progress(v1::ReportProgress { attempt, percent: 30.0, stage: 3, ..v1::ReportProgress::default() })
        }
        Report::Succeeded => In::Succeeded(v1::ReportSucceeded { attempt, warnings: vec![] }),
        Report::Failed { retryable } => {
            let error = v1::JobError { code: "X".into(), message: "x".into(), retryable };
            In::Failed(v1::ReportFailed { attempt, error: Some(error) })
        }
        Report::Released => In::Released(v1::ReportReleased { attempt }),
        Report::Cancelled => In::Cancelled(v1::ReportCancelled { attempt }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_workers_do_no_job_is_lost_doubled_or_stuck(steps in vec(step(), 0..100)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in steps {
                world.step(step).await?;
                world.check()?;
            }
            world.finish().await
        })?;
    }
}
