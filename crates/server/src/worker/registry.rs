//! Which workers are there. A worker's lease is one for all its jobs: it lives as long as anything was heard from the
//! worker within the lease time. What a worker holds is not kept here: the view knows.

use std::collections::{HashMap, HashSet};

use courant_joblog::ids::WorkerId;
use courant_proto::v1::work_response::Message;
use courant_proto::v1::{Drain, DrainReason, Resume, WorkResponse};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::AttemptId;

/// Messages under way to one worker. When it is full the worker does not read: what must not get lost is repeated in
/// the answer to its heartbeat, or goes to another worker.
pub const OUTBOX: usize = 64;

/// What goes to a worker.
pub type Outbox = mpsc::Sender<Result<WorkResponse, Status>>;

/// All workers this server knows.
pub struct Registry {
    inner: Mutex<Inner>,
}

struct Inner {
    workers: HashMap<WorkerId, Worker>,
    /// The server is stopping: nobody gets anything new.
    closing: bool,
    /// Nobody is judged by silence before this moment: the server was not there, or slept itself.
    floor: Instant,
    next: u64,
}

struct Worker {
    session: u64,
    offer: Offer,
    heard: Instant,
    /// An operator wants it to take nothing new.
    drained: bool,
    /// Claims being written to the log.
    claiming: HashSet<AttemptId>,
    /// Assignments the worker has not answered yet.
    unanswered: HashMap<AttemptId, Instant>,
    line: Option<Line>,
}

struct Line {
    outbox: Outbox,
    replaced: CancellationToken,
    /// Whether the welcome, which must come first, is on its way.
    welcomed: bool,
}

/// What a worker offers with its hello.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// The kinds of work it takes.
    pub kinds: Vec<Box<str>>,
    /// Jobs it takes at once.
    pub slots: u32,
    /// Name and version of its program.
    pub software: Box<str>,
}

/// A worker as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Who.
    pub worker: WorkerId,
    /// What it offers.
    pub offer: Offer,
    /// Whether its stream is open.
    pub connected: bool,
    /// Whether it is to take nothing new.
    pub drained: bool,
    /// How long ago something was heard from it.
    pub silence: Duration,
}

/// Names a stream of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose.
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

/// A worker that could take a job.
#[derive(Clone, Debug)]
pub struct Free {
    /// Who.
    pub worker: WorkerId,
    /// What kinds.
    pub kinds: Vec<Box<str>>,
    /// Slots, those being claimed already taken off.
    pub slots: u32,
}

impl Default for Registry {
    fn default() -> Self {
        let inner = Inner { workers: HashMap::new(), closing: false, floor: Instant::now(), next: 0 };
        Self { inner: Mutex::new(inner) }
    }
}

impl Registry {
    /// A worker said hello on a new stream. An older stream of the same worker is told to end. Nothing is sent on the new
    /// one before [`Registry::welcomed`].
    pub fn attach(&self, worker: WorkerId, offer: Offer, outbox: Outbox) -> Session {
        let mut inner = self.inner.lock();
        inner.next += 1;
        let (session, replaced) = (inner.next, CancellationToken::new());
        let line = Some(Line { outbox, replaced: replaced.clone(), welcomed: false });
        let now = match inner.workers.remove(&worker) {
            Some(old) => {
                old.line.iter().for_each(|line| line.replaced.cancel());
                Worker { session, offer, heard: Instant::now(), line, ..old }
            }
            None => Worker::new(session, offer, line),
        };
        inner.workers.insert(worker.clone(), now);
        Session { worker, number: session, replaced: ReplacedToken(replaced) }
    }

    /// The welcome is on its way: from now on the worker may be sent jobs. Tells it if it is drained.
    pub fn welcomed(&self, session: &Session) {
        let mut inner = self.inner.lock();
        let closing = inner.closing;
        let Some(worker) = inner.workers.get_mut(&session.worker).filter(|worker| worker.session == session.number)
        else {
            return;
        };
        let drained = worker.drained;
        let Some(line) = worker.line.as_mut() else { return };
        line.welcomed = true;
        if closing {
            line.send(drain(DrainReason::ServerStopping));
        } else if drained {
            line.send(drain(DrainReason::Operator));
        }
    }

    /// A stream ended. The lease goes on.
    pub fn detach(&self, session: &Session) {
        if let Some(worker) = self.inner.lock().workers.get_mut(&session.worker)
            && worker.session == session.number
        {
            worker.line = None;
        }
    }

    /// Something was heard: the lease begins anew.
    pub fn heard(&self, worker: &WorkerId) {
        if let Some(worker) = self.inner.lock().workers.get_mut(worker) {
            worker.heard = Instant::now();
        }
    }

    /// The worker takes so many jobs at once from now on.
    pub fn change_slots(&self, worker: &WorkerId, slots: u32) {
        if let Some(worker) = self.inner.lock().workers.get_mut(worker) {
            worker.offer.slots = slots;
        }
    }

    /// The server itself was not there for a while: everybody's lease begins anew.
    pub fn forgive(&self) {
        self.inner.lock().floor = Instant::now();
    }

    /// Whether the worker's lease has run out.
    pub fn is_lost(&self, worker: &WorkerId, lease: Duration) -> bool {
        let inner = self.inner.lock();
        let heard = inner.workers.get(worker).map_or(inner.floor, |worker| worker.heard.max(inner.floor));
        heard.elapsed() > lease
    }

    /// The workers that may get jobs; their free slots by what they hold.
    pub fn free(&self, held: impl Fn(&WorkerId) -> u32) -> Vec<Free> {
        let inner = self.inner.lock();
        if inner.closing {
            return Vec::new();
        }
        let able = inner.workers.iter().filter(|(_, worker)| worker.takes_jobs());
        let free = able.map(|(id, worker)| Free {
            worker: id.clone(),
            kinds: worker.offer.kinds.clone(),
            slots: worker.offer.slots.saturating_sub(held(id) + worker.claiming.len() as u32),
        });
        free.filter(|free| free.slots > 0).collect()
    }

    /// Slots of all workers that may get jobs.
    pub fn slots(&self) -> u32 {
        self.inner.lock().workers.values().filter(|worker| worker.takes_jobs()).map(|worker| worker.offer.slots).sum()
    }

    /// Whether any worker is connected.
    pub fn any_connected(&self) -> bool {
        self.inner.lock().workers.values().any(|worker| worker.line.is_some())
    }

    /// A claim for the worker is being written.
    pub fn claiming(&self, worker: &WorkerId, attempt: &AttemptId) {
        if let Some(worker) = self.inner.lock().workers.get_mut(worker) {
            worker.claiming.insert(attempt.clone());
        }
    }

    /// The claim is written, or came to nothing.
    pub fn claimed(&self, worker: &WorkerId, attempt: &AttemptId) {
        if let Some(worker) = self.inner.lock().workers.get_mut(worker) {
            worker.claiming.remove(attempt);
        }
    }

    /// Whether a claim of this attempt is being written for the worker.
    pub fn is_claiming(&self, worker: &WorkerId, attempt: &AttemptId) -> bool {
        self.inner.lock().workers.get(worker).is_some_and(|worker| worker.claiming.contains(attempt))
    }

    /// Sends an assignment, which must be answered. `false` when the worker cannot be reached: then it is for the caller to
    /// end the attempt, and to say that it is [`answered`](Registry::answered).
    pub fn assign(&self, worker: &WorkerId, attempt: AttemptId, message: Message) -> bool {
        let mut inner = self.inner.lock();
        let Some(worker) = inner.workers.get_mut(worker) else { return false };
        worker.unanswered.insert(attempt, Instant::now());
        worker.line.as_ref().is_some_and(|line| line.send(message))
    }

    /// Sends something that is repeated elsewhere if it does not arrive.
    pub fn tell(&self, worker: &WorkerId, message: Message) {
        let inner = self.inner.lock();
        if let Some(line) = inner.workers.get(worker).and_then(|worker| worker.line.as_ref()) {
            line.send(message);
        }
    }

    /// The server is stopping: nobody gets anything new, and all are told.
    pub fn close(&self) {
        let mut inner = self.inner.lock();
        inner.closing = true;
        inner.workers.values().filter_map(|worker| worker.line.as_ref()).for_each(|line| {
            line.send(drain(DrainReason::ServerStopping));
        });
    }

    /// Gives a worker nothing new until it is resumed. `false` when there is no such worker.
    pub fn drain(&self, worker: &WorkerId) -> bool {
        self.set_drained(worker, true, drain(DrainReason::Operator))
    }

    /// Lets a drained worker take jobs again. `false` when there is no such worker.
    pub fn resume(&self, worker: &WorkerId) -> bool {
        self.set_drained(worker, false, Message::Resume(Resume {}))
    }

    fn set_drained(&self, worker: &WorkerId, drained: bool, news: Message) -> bool {
        let mut inner = self.inner.lock();
        let Some(worker) = inner.workers.get_mut(worker) else { return false };
        if worker.drained != drained {
            worker.drained = drained;
            worker.line.iter().for_each(|line| {
                line.send(news.clone());
            });
        }
        true
    }

    /// All workers, by id.
    pub fn list(&self) -> Vec<Listed> {
        let inner = self.inner.lock();
        let listed = inner.workers.iter().map(|(id, worker)| Listed {
            worker: id.clone(),
            offer: worker.offer.clone(),
            connected: worker.line.is_some(),
            drained: worker.drained,
            silence: worker.heard.elapsed(),
        });
        let mut listed: Vec<Listed> = listed.collect();
        listed.sort_by(|a, b| a.worker.cmp(&b.worker));
        listed
    }

    /// Whether the worker was given this attempt and has not answered yet.
    pub fn is_unanswered(&self, worker: &WorkerId, attempt: &AttemptId) -> bool {
        self.inner.lock().workers.get(worker).is_some_and(|worker| worker.unanswered.contains_key(attempt))
    }

    /// The worker answered for an attempt. `true` if that was awaited.
    pub fn answered(&self, worker: &WorkerId, attempt: &AttemptId) -> bool {
        let mut inner = self.inner.lock();
        inner.workers.get_mut(worker).is_some_and(|worker| worker.unanswered.remove(attempt).is_some())
    }

    /// The assignments that were not answered in time. Each is named until it is answered, or [`Registry::answered`] for it.
    pub fn unanswered(&self, within: Duration) -> Vec<(WorkerId, AttemptId)> {
        let inner = self.inner.lock();
        let all = inner.workers.iter().flat_map(|(id, worker)| worker.unanswered.iter().map(move |at| (id, at)));
        let late = all.filter(|(_, (_, since))| since.elapsed() > within);
        late.map(|(worker, (attempt, _))| (worker.clone(), attempt.clone())).collect()
    }

    /// Forgets workers that are gone longer than a lease. Drained ones are remembered: they are to stay so.
    pub fn forget_gone(&self, lease: Duration) {
        let here = |worker: &Worker| worker.line.is_some() || worker.drained || worker.heard.elapsed() <= lease;
        self.inner.lock().workers.retain(|_, worker| here(worker));
    }
}

impl Worker {
    fn new(session: u64, offer: Offer, line: Option<Line>) -> Self {
        let (claiming, unanswered) = (HashSet::new(), HashMap::new());
        Self { session, offer, heard: Instant::now(), drained: false, claiming, unanswered, line }
    }

    fn takes_jobs(&self) -> bool {
        !self.drained && self.line.as_ref().is_some_and(|line| line.welcomed)
    }
}

impl Line {
    /// `false` when it cannot be sent: there is no room, or nothing may be sent yet.
    fn send(&self, message: Message) -> bool {
        self.welcomed && self.outbox.try_send(Ok(WorkResponse { message: Some(message) })).is_ok()
    }
}

fn drain(reason: DrainReason) -> Message {
    Message::Drain(Drain { reason: reason.into() })
}
