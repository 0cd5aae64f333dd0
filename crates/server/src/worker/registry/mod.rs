//! The connected workers. A worker has one lease for all its jobs: it lives as long as anything was received from the
//! worker within the lease time. What a worker holds is not kept here: the view knows.

mod assignments;
mod confirmed;
mod elsewhere;
mod operators;
mod peers;
mod status;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use courant_engine::attempt::AttemptId;
use courant_engine::dispatch::FreeWorker;
use courant_joblog::ids::WorkerId;
use courant_proto::v1::work_response::Message;
use courant_proto::v1::{Drain, DrainReason, WorkResponse};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use self::confirmed::Confirmed;
use self::elsewhere::Elsewhere;
pub use self::elsewhere::SETTLED_AFTER;
pub use self::status::{MAX_SLOTS, ServerId, WorkerCapabilities, WorkerStatus, WorkerSummary};
use super::parts::PartRegistry;
use crate::error::Error;

/// Messages under way to one worker: an assignment for each slot that it may have, and others. When it is full the worker does not
/// read: what must not get lost is repeated in the answer to its heartbeat, or goes to another worker.
pub const OUTBOX: usize = MAX_SLOTS as usize + 64;

/// What goes to a worker.
pub type Outbox = mpsc::Sender<Result<WorkResponse, Status>>;

/// How long a worker keeps its jobs without a sign of life, where nothing else is configured.
const LEASE: Duration = Duration::from_secs(30);

/// All workers this server knows.
pub struct Registry {
    /// This server among others on the same log.
    pub server: ServerId,
    /// What operators call this server; unset where no other has the log open.
    name: OnceLock<Arc<str>>,
    pub claims: ClaimCounts,
    inner: Mutex<Inner>,
    lease: Duration,
    /// Notified when another server should hear of a worker.
    pub changed: Notify,
    /// Which pages they do for one another.
    pub parts: PartRegistry,
}

/// How often this server has tried to start a waiting job.
#[derive(Debug, Default)]
pub struct ClaimCounts {
    pub made: AtomicU64,
    /// Another server was first, or the job was cancelled.
    pub lost: AtomicU64,
}

impl ClaimCounts {
    /// Tries, and those of them that came to nothing.
    pub fn counts(&self) -> (u64, u64) {
        (self.made.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed))
    }
}

struct Inner {
    /// Those that are connected here, or were last.
    workers: HashMap<WorkerId, Worker>,
    /// Those of other servers. Nobody is in both.
    elsewhere: Elsewhere,
    /// Which of them take a kind.
    by_kind: HashMap<Box<str>, Takers>,
    /// The server is stopping: nobody gets anything new.
    closing: bool,
    /// Silence before this moment counts for nobody: the server was not there, or slept itself.
    floor: Instant,
    next: u64,
    /// Whether other servers take jobs from the same log.
    has_others: bool,
    /// The last worker that [`Registry::next_free`] looked at; `None` at the beginning.
    looked_at: Option<WorkerId>,
}

/// Workers with free slots, of those that were looked at.
pub struct FreeSlice {
    pub workers: Vec<FreeWorker>,
    /// Whether it begins with the first worker.
    pub is_first: bool,
    /// Whether it ends with the last.
    pub is_last: bool,
}

/// Workers that are looked at for a [`FreeSlice`]. Few in tests: those have few workers.
const SLICE: usize = if cfg!(test) { 2 } else { 64 };

/// The workers that take a kind.
#[derive(Default)]
pub struct Takers {
    all: HashSet<WorkerId>,
    /// Those that may have a free slot: all but those that had none when somebody asked, and have none more since.
    open: BTreeSet<WorkerId>,
    /// Slots of those that may get jobs, busy or not.
    slots: u64,
}

struct Worker {
    session: u64,
    /// Whose token it came with.
    subject: Box<str>,
    capabilities: WorkerCapabilities,
    last_seen: Instant,
    /// It left an assignment unanswered, or lost a lease, and has sent nothing since.
    unresponsive: bool,
    /// An operator wants it to take nothing new.
    drained: bool,
    /// Claims being written to the log.
    claiming: HashSet<AttemptId>,
    /// Assignments the worker has not answered yet.
    unanswered: HashMap<AttemptId, Instant>,
    /// Attempts that the worker has shown, on this stream, to know of. Those that are over are forgotten a while later.
    confirmed: Confirmed,
    connection: Option<Connection>,
    /// When other servers have heard of it, on this stream. See [`SETTLED_AFTER`].
    announced: Option<Instant>,
}

/// What decides, besides itself, whether a worker can be given jobs.
#[derive(Clone, Copy)]
struct Conditions {
    floor: Instant,
    lease: Duration,
    has_others: bool,
}

struct Connection {
    outbox: Outbox,
    replaced: CancellationToken,
    /// Whether the welcome, which must come first, is on its way.
    welcomed: bool,
}

/// Identifies a stream of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub worker: WorkerId,
    /// Grows with each stream.
    pub number: u64,
    /// Cancelled when a newer stream of this worker takes over.
    pub replaced: ReplacedToken,
}

/// A token that compares as equal: it is no part of the name.
#[derive(Clone, Debug)]
pub struct ReplacedToken(pub CancellationToken);

impl PartialEq for ReplacedToken {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for ReplacedToken {}

impl Default for Registry {
    fn default() -> Self {
        Self::new(LEASE)
    }
}

impl Registry {
    /// Of workers that keep their jobs so long without a sign of life.
    pub fn new(lease: Duration) -> Self {
        let inner = Inner {
            workers: HashMap::new(),
            elsewhere: Elsewhere::default(),
            by_kind: HashMap::new(),
            closing: false,
            floor: Instant::now(),
            next: 0,
            has_others: false,
            looked_at: None,
        };
        Self {
            server: ServerId(fastrand::u64(..)),
            name: OnceLock::new(),
            claims: ClaimCounts::default(),
            inner: Mutex::new(inner),
            lease,
            changed: Notify::new(),
            parts: PartRegistry::default(),
        }
    }

    /// What operators call this server among others.
    pub fn set_name(&self, name: &str) {
        self.name.get_or_init(|| name.into());
    }

    /// A worker said hello on a new stream, with a token of this subject. An older stream of the same worker is ended.
    /// Nothing is sent on the new one before [`Registry::welcomed`]. Refused while a worker of another subject has the id:
    /// it would take over that worker's jobs.
    pub fn attach(
        &self,
        worker: WorkerId,
        subject: &str,
        capabilities: WorkerCapabilities,
        outbox: Outbox,
    ) -> Result<Session, Error> {
        let mut inner = self.inner.lock();
        let taken = |old: &Worker| {
            *old.subject != *subject && (old.connection.is_some() || old.last_seen.elapsed() <= self.lease)
        };
        if inner.workers.get(&worker).is_some_and(taken) || inner.elsewhere.is_taken(&worker, subject) {
            return Err(Error::WorkerIdTaken(worker));
        }
        inner.next += 1;
        let (session, replaced) = (inner.next, CancellationToken::new());
        let connection = Some(Connection { outbox, replaced: replaced.clone(), welcomed: false });
        let now = match inner.remove(&worker) {
            Some(old) => {
                old.connection.iter().for_each(|connection| connection.replaced.cancel());
                let (last_seen, confirmed) = (Instant::now(), Confirmed::default());
                Worker {
                    session,
                    subject: subject.into(),
                    capabilities,
                    last_seen,
                    unresponsive: false,
                    confirmed,
                    connection,
                    announced: None,
                    ..old
                }
            }
            None => {
                let drained = inner.elsewhere.remove(&worker);
                Worker { drained, ..Worker::new(session, subject, capabilities, connection) }
            }
        };
        inner.insert(worker.clone(), now);
        self.changed.notify_one();
        Ok(Session { worker, number: session, replaced: ReplacedToken(replaced) })
    }

    /// The welcome is on its way: from now on the worker may be sent jobs. Tells it if it is drained.
    pub fn welcomed(&self, session: &Session) {
        let mut inner = self.inner.lock();
        let closing = inner.closing;
        inner.change(&session.worker, |worker| {
            let Some(connection) = worker.connection.as_mut().filter(|_| worker.session == session.number) else {
                return;
            };
            connection.welcomed = true;
            if closing {
                connection.send(drain_message(DrainReason::ServerStopping));
            } else if worker.drained {
                connection.send(drain_message(DrainReason::Operator));
            }
        });
    }

    /// A stream ended. The lease goes on.
    pub fn detach(&self, session: &Session) {
        self.inner.lock().change(&session.worker, |worker| {
            if worker.session == session.number {
                worker.connection = None;
            }
        });
        self.changed.notify_one();
    }

    /// A message arrived: the lease is renewed. `true` if the worker can be given jobs again by that.
    pub fn renew_lease(&self, worker: &WorkerId) -> bool {
        let mut inner = self.inner.lock();
        let floor = inner.floor;
        inner.workers.get_mut(worker).is_some_and(|worker| {
            let was_silent = worker.is_silent(floor, self.lease);
            worker.last_seen = Instant::now();
            std::mem::take(&mut worker.unresponsive) || was_silent
        })
    }

    /// The worker takes so many jobs at once from now on.
    pub fn change_slots(&self, worker: &WorkerId, slots: u32) {
        self.inner.lock().change(worker, |worker| worker.capabilities.slots = slots);
        self.changed.notify_one();
    }

    /// The server itself was not running for a while: everybody's lease begins again.
    pub fn renew_all_leases(&self) {
        self.inner.lock().floor = Instant::now();
    }

    /// Whether the worker's lease has run out. That of an attempt, if one is named, is whole when it is given. One of another
    /// server has lost it when nothing is heard of it for a lease: that server may have gone.
    pub fn is_lost(&self, worker: &WorkerId, attempt: Option<&AttemptId>) -> bool {
        let inner = self.inner.lock();
        let (seen, lease) = match inner.workers.get(worker) {
            Some(worker) => (attempt.and_then(|attempt| worker.since(attempt)).max(Some(worker.last_seen)), self.lease),
            None if inner.elsewhere.may_miss_messages(self.lease) => return false,
            None => inner.elsewhere.renewed(worker).map_or((None, self.lease), |(seen, lease)| (Some(seen), lease)),
        };
        seen.max(Some(inner.floor)).is_some_and(|seen| seen.elapsed() > lease)
    }

    /// Reads which workers take each kind.
    pub fn kinds<T>(&self, read: impl FnOnce(&HashMap<Box<str>, Takers>) -> T) -> T {
        read(&self.inner.lock().by_kind)
    }

    /// These workers hold less than before.
    pub fn reopen(&self, freed: &HashSet<WorkerId>) {
        let mut inner = self.inner.lock();
        freed.iter().for_each(|worker| inner.reopen(worker));
    }

    /// The workers that may get jobs of one of these kinds; their free slots by what they hold. Who holds too much is asked
    /// again only once it was [reopened](Registry::reopen): to be called together with that under the lock of what they hold.
    pub fn free(&self, kinds: &[Box<str>], held: impl Fn(&WorkerId) -> u32) -> Vec<FreeWorker> {
        let mut inner = self.inner.lock();
        if inner.closing {
            return Vec::new();
        }
        let open = kinds.iter().filter_map(|kind| inner.by_kind.get(kind)).flat_map(|takers| &takers.open);
        let open: BTreeSet<WorkerId> = open.cloned().collect();
        inner.free_among(open, self.lease, held)
    }

    /// The same of the next [`SLICE`] workers after those of the last call: what a job costs must not grow with all that are idle.
    pub fn next_free(&self, kinds: &[Box<str>], held: impl Fn(&WorkerId) -> u32) -> FreeSlice {
        let mut inner = self.inner.lock();
        if inner.closing {
            return FreeSlice { workers: Vec::new(), is_first: true, is_last: true };
        }
        let after = inner.looked_at.take();
        let rest = (after.as_ref().map_or(Unbounded, Excluded), Unbounded);
        let takers = kinds.iter().filter_map(|kind| inner.by_kind.get(kind));
        let open = takers.flat_map(|takers| takers.open.range::<WorkerId, _>(rest).take(SLICE));
        let open: BTreeSet<&WorkerId> = open.collect();
        let open: Vec<WorkerId> = open.into_iter().take(SLICE).cloned().collect();
        let is_last = open.len() < SLICE;
        inner.looked_at = open.last().filter(|_| !is_last).cloned();
        FreeSlice { workers: inner.free_among(open, self.lease, held), is_first: after.is_none(), is_last }
    }

    /// Slots of all workers that may get jobs, those of other servers too.
    pub fn slots(&self) -> u32 {
        let inner = self.inner.lock();
        let here = inner.workers.values().filter(|worker| worker.takes_jobs()).map(|worker| worker.capabilities.slots);
        here.sum::<u32>().saturating_add(inner.elsewhere.slots())
    }

    /// Slots of the workers that may get jobs of each of these kinds, busy or not, those of other servers too.
    pub fn slots_of(&self, kinds: &[Box<str>]) -> BTreeMap<Box<str>, u32> {
        let inner = self.inner.lock();
        let here = |kind: &str| inner.by_kind.get(kind).map_or(0, |takers| takers.slots);
        let slots = |kind: &str| u32::try_from(here(kind)).unwrap_or(u32::MAX);
        let all = |kind: &str| slots(kind).saturating_add(inner.elsewhere.slots_of(kind));
        kinds.iter().map(|kind| (kind.clone(), all(kind))).collect()
    }

    /// The workers that are connected here.
    pub fn connected(&self) -> Vec<WorkerId> {
        let inner = self.inner.lock();
        let connected = inner.workers.iter().filter(|(_, worker)| worker.connection.is_some());
        connected.map(|(id, _)| id.clone()).collect()
    }

    /// Sends something that is repeated elsewhere if it does not arrive. `false` when it cannot be sent.
    pub fn send(&self, worker: &WorkerId, message: Message) -> bool {
        let inner = self.inner.lock();
        inner
            .workers
            .get(worker)
            .and_then(|worker| worker.connection.as_ref())
            .is_some_and(|connection| connection.send(message))
    }

    /// Whether the worker's stream is open.
    pub fn is_connected(&self, worker: &WorkerId) -> bool {
        self.inner.lock().workers.get(worker).is_some_and(|worker| worker.connection.is_some())
    }

    /// The worker does not answer: it gets nothing more until it sends something.
    pub fn set_unresponsive(&self, worker: &WorkerId) {
        if let Some(worker) = self.inner.lock().workers.get_mut(worker) {
            worker.unresponsive = true;
        }
    }

    /// Forgets workers that are gone longer than a lease. Drained ones are remembered: they are to stay so.
    pub fn remove_expired(&self) {
        let here =
            |worker: &Worker| worker.connection.is_some() || worker.drained || worker.last_seen.elapsed() <= self.lease;
        let mut inner = self.inner.lock();
        let gone = inner.workers.iter().filter(|(_, worker)| !here(worker)).map(|(id, _)| id.clone());
        for id in gone.collect::<Vec<_>>() {
            inner.remove(&id);
        }
        inner.elsewhere.forget();
    }
}

impl Inner {
    fn conditions(&self, lease: Duration) -> Conditions {
        Conditions { floor: self.floor, lease, has_others: self.has_others }
    }

    fn free_among(
        &mut self,
        ids: impl IntoIterator<Item = WorkerId>,
        lease: Duration,
        held: impl Fn(&WorkerId) -> u32,
    ) -> Vec<FreeWorker> {
        let mut free = Vec::new();
        for id in ids {
            let Some(worker) = self.workers.get(&id) else { continue };
            let slots = worker.free_slots(held(&id));
            if slots == 0 {
                self.close(&id);
            } else if worker.can_be_given_jobs(self.conditions(lease)) {
                let (kinds, takes_parts) = (worker.capabilities.kinds.clone(), worker.capabilities.takes_parts);
                free.push(FreeWorker { worker: id, kinds, slots, takes_parts });
            }
        }
        free
    }

    fn insert(&mut self, id: WorkerId, worker: Worker) {
        for kind in worker.capabilities.kinds.iter() {
            let takers = self.by_kind.entry(kind.clone()).or_default();
            takers.all.insert(id.clone());
            takers.open.insert(id.clone());
            takers.slots += worker.offered_slots();
        }
        self.workers.insert(id, worker);
    }

    fn remove(&mut self, id: &WorkerId) -> Option<Worker> {
        let worker = self.workers.remove(id)?;
        for kind in worker.capabilities.kinds.iter() {
            if let Some(takers) = self.by_kind.get_mut(kind) {
                takers.all.remove(id);
                takers.open.remove(id);
                takers.slots -= worker.offered_slots();
                if takers.all.is_empty() {
                    self.by_kind.remove(kind);
                }
            }
        }
        Some(worker)
    }

    /// Changes what decides whether, and how much, a worker may be given.
    fn change<T>(&mut self, id: &WorkerId, change: impl FnOnce(&mut Worker) -> T) -> Option<T> {
        let worker = self.workers.get_mut(id)?;
        let before = worker.offered_slots();
        let changed = change(worker);
        let after = worker.offered_slots();
        for kind in worker.capabilities.kinds.iter() {
            if let Some(takers) = self.by_kind.get_mut(kind) {
                takers.slots = takers.slots - before + after;
                takers.open.insert(id.clone());
            }
        }
        Some(changed)
    }

    /// The worker may have a free slot.
    fn reopen(&mut self, id: &WorkerId) {
        self.change(id, |_| ());
    }

    /// The worker has no free slot.
    fn close(&mut self, id: &WorkerId) {
        let Some(worker) = self.workers.get(id) else { return };
        for kind in worker.capabilities.kinds.iter() {
            if let Some(takers) = self.by_kind.get_mut(kind) {
                takers.open.remove(id);
            }
        }
    }
}

impl Worker {
    fn new(session: u64, subject: &str, capabilities: WorkerCapabilities, connection: Option<Connection>) -> Self {
        let (claiming, unanswered, confirmed) = (HashSet::new(), HashMap::new(), Confirmed::default());
        Self {
            session,
            subject: subject.into(),
            capabilities,
            last_seen: Instant::now(),
            unresponsive: false,
            drained: false,
            claiming,
            unanswered,
            confirmed,
            connection,
            announced: None,
        }
    }

    fn takes_jobs(&self) -> bool {
        !self.drained && self.connection.as_ref().is_some_and(|connection| connection.welcomed)
    }

    fn can_be_given_jobs(&self, Conditions { floor, lease, has_others }: Conditions) -> bool {
        let settled = !has_others || self.announced.is_some_and(|at| at.elapsed() >= SETTLED_AFTER);
        settled && self.takes_jobs() && self.can_receive() && !self.is_silent(floor, lease)
    }

    /// Slots beside the jobs it holds and those that are being claimed for it.
    fn free_slots(&self, held: u32) -> u32 {
        self.capabilities.slots.saturating_sub(held + self.claiming.len() as u32)
    }

    /// Slots, busy or not, for which it may get jobs.
    fn offered_slots(&self) -> u64 {
        if self.takes_jobs() { self.capabilities.slots.into() } else { 0 }
    }

    /// Whether two signs of life of the three that a lease has room for did not come.
    fn is_silent(&self, floor: Instant, lease: Duration) -> bool {
        self.last_seen.max(floor).elapsed() > lease * 2 / 3
    }

    /// Since when it has this attempt.
    fn since(&self, attempt: &AttemptId) -> Option<Instant> {
        self.unanswered.get(attempt).copied().or_else(|| self.confirmed.since(attempt))
    }

    /// Whether a job given now would likely arrive.
    fn can_receive(&self) -> bool {
        !self.unresponsive && self.connection.as_ref().is_some_and(|connection| connection.outbox.capacity() > 0)
    }
}

impl Connection {
    /// `false` when it cannot be sent: the outbox is full, or nothing may be sent yet.
    fn send(&self, message: Message) -> bool {
        self.welcomed && self.outbox.try_send(Ok(WorkResponse { message: Some(message) })).is_ok()
    }
}

/// Take nothing new, and why.
fn drain_message(reason: DrainReason) -> Message {
    Message::Drain(Drain { reason: reason.into() })
}
