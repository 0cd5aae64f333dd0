//! What is true of the server with its workers, whatever they do: the real engine, dispatch, leases, queues of reports and
//! batches of pages on a log in memory, with time that passes when nothing else is to do.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use courant_engine::Error;
use courant_joblog::event::{Change, Submission};
use courant_joblog::ids::{JobId, Revision, WorkerId};
use courant_joblog::job::{Job, Lane, State};
use courant_joblog::log::{Append, AppendError, Filter, Log, Record};
use courant_joblog::memory::MemoryLog;
use courant_joblog::wrapper::LogWrapper;
use courant_proto::v1::work_request::Message as In;
use courant_proto::v1::work_response::Message as Out;
use courant_proto::v1::{self, WorkResponse};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Duration;
use tonic::Status;

use super::parts::{Holder, holder_in};
use super::registry::{OUTBOX, Outbox, Session, WorkerCapabilities};
use super::report_queue::ReportQueue;
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
/// A session that has something to do has done it when the others have run so often.
const TURNS: usize = 20_000;

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
    /// A worker reports of several attempts, and does not wait in between.
    Burst {
        worker: usize,
        reports: Vec<(usize, Report)>,
    },
    /// A worker asks what has arrived.
    Beat(usize),
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
    let in_burst = prop_oneof![4 => (1..=PAGES).prop_map(Report::Page), 1 => report.clone()];
    let burst = vec((any::<usize>(), in_burst), 1..24);
    prop_oneof![
        6 => (0..KINDS.len(), select(Lane::ALL.to_vec())).prop_map(|(kind, lane)| Step::Submit { kind, lane }),
        3 => (0..WORKERS).prop_map(Step::Join),
        1 => (0..WORKERS).prop_map(Step::Cut),
        1 => (0..WORKERS).prop_map(Step::ToggleSilence),
        12 => (0..WORKERS, any::<usize>(), report).prop_map(|(worker, which, what)| Step::Report { worker, which, what }),
        4 => (0..WORKERS, burst).prop_map(|(worker, reports)| Step::Burst { worker, reports }),
        2 => (0..WORKERS).prop_map(Step::Beat),
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
    /// Whether it knows that reports may be deferred.
    resends: bool,
    stream: Option<Stream>,
    silent: bool,
    /// Every attempt and part it ever got.
    got: Vec<Holder>,
    accepted: HashSet<Holder>,
}

/// A stream as the worker has it.
struct Stream {
    session: Session,
    sender: mpsc::UnboundedSender<In>,
    inbox: mpsc::Receiver<Result<WorkResponse, Status>>,
    /// Messages that are sent, and those that the server has done with.
    sent: u64,
    done: Arc<AtomicU64>,
    task: JoinHandle<()>,
    /// Heartbeats that are sent, and those that are answered.
    beats: i64,
    answered: i64,
    /// Pages that are reported and neither acknowledged nor refused, each with the heartbeats sent before.
    pages: Vec<(i64, Holder, u32)>,
}

/// A log that refuses appends on demand. Each takes its time, in which others run.
struct Shaky {
    log: MemoryLog,
    refuse: AtomicU32,
    appends: AtomicU64,
}

#[async_trait::async_trait]
impl LogWrapper for Shaky {
    fn inner(&self) -> &dyn Log {
        &self.log
    }

    async fn append(&self, append: Append) -> Result<Revision, AppendError> {
        for _ in 0..self.appends.fetch_add(7, Ordering::SeqCst) % 10 {
            tokio::task::yield_now().await;
        }
        let refuse = |left: u32| left.checked_sub(1);
        match self.refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, refuse) {
            Ok(_) => Err(AppendError::Unknown { reason: "it shakes".into() }),
            Err(_) => self.log.append(append).await,
        }
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
        let log = Arc::new(Shaky { log: MemoryLog::new(), refuse: AtomicU32::new(0), appends: AtomicU64::new(0) });
        let services = Services::open(config, log.clone(), Objects::local(folder.path()).unwrap()).await.unwrap();
        let registry = Arc::<Registry>::default();
        let following = services.clone();
        tokio::spawn(async move { following.engine.follow().await });
        tokio::spawn(dispatch::run(services.clone(), registry.clone(), Default::default()));
        tokio::spawn(sweep::run(services.clone(), registry.clone()));
        tokio::spawn(positions::run(services.clone(), registry.clone()));
        // The first takes all kinds, the others one each.
        let kinds = |n: usize| {
            KINDS.iter().enumerate().filter(move |(k, _)| n == 0 || n - 1 == *k).map(|(_, kind)| (*kind).into())
        };
        let fake = |n: usize| Fake::new(&format!("w{n}"), kinds(n).collect(), SLOTS, n != 1);
        let workers = (0..WORKERS).map(fake).collect();
        Self { log, services, registry, workers, jobs: vec![], assigned: HashSet::new(), _folder: folder }
    }

    async fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Submit { kind, lane } => self.submit(KINDS[kind], lane).await,
            Step::Join(worker) => self.join(worker),
            Step::Cut(worker) => {
                if let Some(stream) = self.workers[worker].stream.take() {
                    // With what is under way on it.
                    stream.task.abort();
                    self.registry.detach(&stream.session);
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
            Step::Burst { worker, reports } => {
                for (which, what) in reports {
                    let got = &self.workers[worker].got;
                    if !got.is_empty() {
                        let attempt = got[which % got.len()].clone();
                        self.send_report(worker, &attempt, what).await;
                    }
                }
                self.workers[worker].beat();
            }
            Step::Beat(worker) => self.workers[worker].beat(),
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
            ..WorkerCapabilities::default()
        };
        let session = self.registry.attach(fake.id.clone(), "worker", offer, outbox.clone()).unwrap();
        self.registry.welcomed(&session);
        let (sender, received) = mpsc::unbounded_channel();
        let done = Arc::<AtomicU64>::default();
        let (services, registry) = (self.services.clone(), self.registry.clone());
        let served = serve(services, registry, session.clone(), received, outbox, fake.resends, done.clone());
        let task = tokio::spawn(served);
        let (sent, beats, answered, pages) = (0, 0, 0, vec![]);
        fake.stream = Some(Stream { session, sender, inbox, sent, done, task, beats, answered, pages });
        fake.silent = false;
        self.services.engine.wake.notify_one();
    }

    /// Reports and waits until the report is taken or refused.
    async fn report(&mut self, worker: usize, holder: &Holder, what: Report) -> Result<(), TestCaseError> {
        // A sign of life may bring the worker jobs. What the server does by itself is done when anybody looks.
        self.workers[worker].beat();
        self.run_pending().await?;
        let job = &holder.attempt.job;
        let before = self.services.engine.get(job).map(|seen| seen.current.revision);
        let mine = self.is_mine(worker, holder);
        self.send_report(worker, holder, what).await;
        self.until_taken(worker).await?;
        if !mine {
            let after = self.services.engine.get(job).map(|seen| seen.current.revision);
            prop_assert_eq!(before, after, "a late {:?} of {:?} changed something", what, holder);
        }
        Ok(())
    }

    async fn send_report(&mut self, worker: usize, holder: &Holder, what: Report) {
        if self.workers[worker].stream.is_none() {
            return;
        }
        if let Report::Page(page) = what
            && !goes_with_report(page)
        {
            self.store(holder, page).await;
        }
        let fake = &mut self.workers[worker];
        if !matches!(what, Report::Accepted | Report::Released | Report::Cancelled)
            && fake.accepted.insert(holder.clone())
        {
            // In any other order the stream ends.
            fake.send(message(holder, Report::Accepted));
        }
        if let (Report::Page(page), Some(stream)) = (what, &mut fake.stream) {
            let pages = self.registry.parts.pages(holder, &fake.id);
            if holder.part.is_none() || pages.is_some_and(|pages| pages.contains(page as u32)) {
                stream.pages.push((stream.beats, holder.clone(), page as u32));
            }
        }
        fake.send(message(holder, what));
    }

    /// Waits until the server has done with what a worker sent, without letting time pass.
    async fn until_taken(&mut self, worker: usize) -> Result<(), TestCaseError> {
        for _ in 0..TURNS {
            self.read_answers().await?;
            if self.workers[worker].stream.as_ref().is_none_or(Stream::is_idle) {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
        Err(TestCaseError::fail("reports are not taken"))
    }

    async fn store(&self, holder: &Holder, page: i32) {
        let name = crate::objects::page_name(page as u32);
        let job = self.services.engine.get(&holder.attempt.job).unwrap().current.job;
        let file = crate::files::JobFile::artifact(&job, holder.attempt.number, &name);
        let mut writer = self.services.files.receive_artifact(file);
        writer.file.push(bytes::Bytes::from_static(PAGE)).await.unwrap();
        writer.finish().await.unwrap();
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
            self.workers.iter_mut().filter(|fake| !fake.silent).for_each(Fake::beat);
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.run_pending().await?;
        }
        Ok(())
    }

    /// Lets everything happen that can happen now, and reads what the workers were sent.
    async fn run_pending(&mut self) -> Result<(), TestCaseError> {
        // Answers are read as they come: what one acknowledges must be true then.
        for worker in 0..self.workers.len() {
            self.until_taken(worker).await?;
        }
        // Time passes only when nobody has anything to do.
        tokio::time::sleep(Duration::from_millis(1)).await;
        for worker in 0..self.workers.len() {
            self.until_taken(worker).await?;
        }
        Ok(())
    }

    async fn read_answers(&mut self) -> Result<(), TestCaseError> {
        for worker in 0..self.workers.len() {
            let next = |fake: &mut Fake| fake.stream.as_mut().map(|stream| stream.inbox.try_recv());
            while let Some(Ok(Ok(response))) = next(&mut self.workers[worker]) {
                if let Some(message) = response.message {
                    self.answer(worker, message).await?;
                }
            }
            let fake = &mut self.workers[worker];
            // Its last answers have been read.
            if fake.stream.as_ref().is_some_and(|stream| stream.task.is_finished() && stream.inbox.is_empty()) {
                fake.stream = None;
            }
        }
        Ok(())
    }

    /// What the server sent to a worker.
    async fn answer(&mut self, worker: usize, message: Out) -> Result<(), TestCaseError> {
        let fake = &mut self.workers[worker];
        let Some(stream) = &mut fake.stream else { return Ok(()) };
        match message {
            Out::Assignment(assignment) => {
                let holder = holder_in(assignment.attempt).unwrap();
                prop_assert!(self.assigned.insert(holder.clone()), "{holder:?} was given out twice");
                prop_assert_eq!(holder.part.is_some(), assignment.pages.is_some());
                fake.got.push(holder);
            }
            Out::LeaseLost(lost) => {
                let holder = holder_in(lost.attempt).unwrap();
                stream.pages.retain(|(_, of, _)| *of != holder);
            }
            Out::DeferReports(deferred) => {
                let holder = holder_in(deferred.attempt.clone()).unwrap();
                stream.pages.retain(|(_, of, _)| *of != holder);
                fake.send(In::ResumeReports(v1::ResumeReports { attempt: deferred.attempt }));
            }
            Out::HeartbeatAck(ack) => {
                stream.answered += 1;
                let beats = stream.answered;
                if !ack.reports_pending {
                    self.check_acknowledged(worker, beats).await?;
                }
            }
            Out::ReportsTaken(taken) => self.check_acknowledged(worker, taken.number).await?,
            _ => {}
        }
        Ok(())
    }

    /// A page that was sent before an acknowledged heartbeat is in the log, unless the job was being cancelled.
    async fn check_acknowledged(&mut self, worker: usize, beats: i64) -> Result<(), TestCaseError> {
        let Some(stream) = &mut self.workers[worker].stream else { return Ok(()) };
        for (_, holder, page) in stream.pages.extract_if(.., |(sent, ..)| *sent < beats) {
            let history = Filter::Job(holder.attempt.job.clone());
            let entries = self.services.engine.log.read(Revision::ZERO, &history, usize::MAX).await.unwrap();
            let is_there = entries.iter().any(|entry| match &entry.record {
                Record::Changed { event, job } => match &event.change {
                    Change::PageFinished { page: done, .. } => done.number == page,
                    _ => {
                        job.attempt == holder.attempt.number
                            && matches!(job.state, State::Cancelling | State::Cancelled)
                    }
                },
                Record::Forgotten => false,
            });
            prop_assert!(is_there, "page {page} of {holder:?} was acknowledged and is not in the log");
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
        self.workers.push(Fake::new("good", KINDS.map(Box::from).to_vec(), 64, true));
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
    fn new(id: &str, kinds: Vec<Box<str>>, slots: u32, resends: bool) -> Self {
        let id = WorkerId::new(id);
        Self { id, kinds, slots, resends, stream: None, silent: false, got: vec![], accepted: HashSet::new() }
    }

    fn send(&mut self, message: In) {
        if let Some(stream) = &mut self.stream
            && stream.sender.send(message).is_ok()
        {
            stream.sent += 1;
        }
    }

    fn beat(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.beats += 1;
            let number = stream.beats;
            self.send(In::Heartbeat(v1::Heartbeat { number }));
        }
    }
}

impl Stream {
    fn is_idle(&self) -> bool {
        self.task.is_finished() || self.done.load(Ordering::SeqCst) == self.sent
    }
}

/// A stream as the server has it, from the welcome on.
async fn serve(
    services: Arc<Services>,
    registry: Arc<Registry>,
    session: Session,
    mut received: mpsc::UnboundedReceiver<In>,
    outbox: Outbox,
    resends: bool,
    done: Arc<AtomicU64>,
) {
    let mut reports = ReportQueue::new(&services, &registry, &session.worker, resends);
    let mut taken_in = 0;
    while !(reports.has_failed() && reports.is_idle() && !reports.has_answers()) {
        if reports.is_idle() && !reports.has_answers() {
            done.store(taken_in, Ordering::SeqCst);
        }
        let reading = reports.has_capacity() && !reports.has_failed() && !reports.has_answers();
        tokio::select! {
            () = reports.finish_one(), if !reports.is_idle() => {}
            Ok(permit) = outbox.reserve(), if reports.has_answers() => {
                permit.send(Ok(WorkResponse { message: reports.next_answer() }));
            }
            Some(message) = received.recv(), if reading => {
                if registry.renew_lease(&session.worker) {
                    services.engine.wake.notify_one();
                }
                taken_in += 1;
                reports.push(message);
                // With what else is there by now, as it is with real streams.
                while reports.has_capacity()
                    && !reports.has_failed()
                    && !reports.has_answers()
                    && let Ok(message) = received.try_recv()
                {
                    taken_in += 1;
                    reports.push(message);
                }
                reports.begin();
            }
            () = session.replaced.0.cancelled() => break,
        }
    }
    drop(reports);
    registry.detach(&session);
}

/// The artifact of a page.
const PAGE: &[u8] = b"{}";

/// Whether the artifact of a page comes with its report, or was written before.
fn goes_with_report(page: i32) -> bool {
    page % 2 == 0
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
        Report::Page(number) => In::Page(v1::ReportPage {
            attempt,
            page: Some(v1::Page { number, ..v1::Page::default() }),
            artifact: if goes_with_report(number) { PAGE.into() } else { bytes::Bytes::new() },
        }),
        Report::Accepted => In::Accepted(v1::Accepted { attempt }),
        Report::Plan => In::Plan(v1::ReportPlan { attempt, pages_total: PAGES, document_pages: 0 }),
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
