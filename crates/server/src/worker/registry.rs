//! Which workers are there. A worker's lease is one for all its jobs: it lives as long as anything was heard from the
//! worker within the lease time. What a worker holds is not kept here: the view knows.

use std::collections::HashMap;

use courant_joblog::ids::WorkerId;
use courant_proto::v1::WorkResponse;
use courant_proto::v1::work_response::Message;
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
    /// Nobody is judged by silence before this moment: the server was not there, or slept itself.
    floor: Instant,
    next: u64,
}

struct Worker {
    session: u64,
    kinds: Vec<Box<str>>,
    slots: u32,
    heard: Instant,
    /// Claims being written to the log.
    claiming: u32,
    /// Assignments the worker has not answered yet.
    unanswered: HashMap<AttemptId, Instant>,
    line: Option<Line>,
}

struct Line {
    outbox: Outbox,
    replaced: CancellationToken,
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
        let inner = Inner { workers: HashMap::new(), floor: Instant::now(), next: 0 };
        Self { inner: Mutex::new(inner) }
    }
}

impl Registry {
    /// A worker said hello on a new stream. An older stream of the same worker is told to end.
    pub fn attach(&self, worker: WorkerId, kinds: Vec<Box<str>>, slots: u32, outbox: Outbox) -> Session {
        let mut inner = self.inner.lock();
        inner.next += 1;
        let (session, replaced) = (inner.next, CancellationToken::new());
        let line = Some(Line { outbox, replaced: replaced.clone() });
        let old = inner.workers.remove(&worker);
        if let Some(line) = old.as_ref().and_then(|old| old.line.as_ref()) {
            line.replaced.cancel();
        }
        let (claiming, unanswered) = old.map(|old| (old.claiming, old.unanswered)).unwrap_or_default();
        let now = Worker { session, kinds, slots, heard: Instant::now(), claiming, unanswered, line };
        inner.workers.insert(worker.clone(), now);
        Session { worker, number: session, replaced: ReplacedToken(replaced) }
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

    /// The workers that are connected; their free slots by what they hold.
    pub fn free(&self, held: impl Fn(&WorkerId) -> u32) -> Vec<Free> {
        let inner = self.inner.lock();
        let connected = inner.workers.iter().filter(|(_, worker)| worker.line.is_some());
        let free = connected.map(|(id, worker)| Free {
            worker: id.clone(),
            kinds: worker.kinds.clone(),
            slots: worker.slots.saturating_sub(held(id) + worker.claiming),
        });
        free.filter(|free| free.slots > 0).collect()
    }

    /// Slots of all connected workers.
    pub fn slots(&self) -> u32 {
        self.inner.lock().workers.values().filter(|worker| worker.line.is_some()).map(|worker| worker.slots).sum()
    }

    /// A claim for the worker is being written.
    pub fn claiming(&self, worker: &WorkerId) {
        if let Some(worker) = self.inner.lock().workers.get_mut(worker) {
            worker.claiming += 1;
        }
    }

    /// The claim is written, or came to nothing.
    pub fn claimed(&self, worker: &WorkerId) {
        if let Some(worker) = self.inner.lock().workers.get_mut(worker) {
            worker.claiming = worker.claiming.saturating_sub(1);
        }
    }

    /// Sends an assignment, which must be answered. `false` when the worker cannot be reached.
    pub fn assign(&self, worker: &WorkerId, attempt: AttemptId, message: Message) -> bool {
        let mut inner = self.inner.lock();
        let Some(worker) = inner.workers.get_mut(worker) else { return false };
        worker.unanswered.insert(attempt.clone(), Instant::now());
        let sent = worker.line.as_ref().is_some_and(|line| line.send(message));
        if !sent {
            worker.unanswered.remove(&attempt);
        }
        sent
    }

    /// Sends something that is repeated elsewhere if it does not arrive.
    pub fn tell(&self, worker: &WorkerId, message: Message) {
        let inner = self.inner.lock();
        if let Some(line) = inner.workers.get(worker).and_then(|worker| worker.line.as_ref()) {
            line.send(message);
        }
    }

    /// Sends something to all.
    pub fn tell_all(&self, message: &Message) {
        let inner = self.inner.lock();
        inner.workers.values().filter_map(|worker| worker.line.as_ref()).for_each(|line| {
            line.send(message.clone());
        });
    }

    /// The worker answered for an attempt. `true` if that was awaited.
    pub fn answered(&self, worker: &WorkerId, attempt: &AttemptId) -> bool {
        let mut inner = self.inner.lock();
        inner.workers.get_mut(worker).is_some_and(|worker| worker.unanswered.remove(attempt).is_some())
    }

    /// Takes out the assignments that were not answered in time.
    pub fn take_unanswered(&self, within: Duration) -> Vec<AttemptId> {
        let mut late = Vec::new();
        for worker in self.inner.lock().workers.values_mut() {
            let over: Vec<_> =
                worker.unanswered.extract_if(|_, since| since.elapsed() > within).map(|(attempt, _)| attempt).collect();
            late.extend(over);
        }
        late
    }

    /// Forgets workers that are gone longer than a lease.
    pub fn forget_gone(&self, lease: Duration) {
        self.inner.lock().workers.retain(|_, worker| worker.line.is_some() || worker.heard.elapsed() <= lease);
    }
}

impl Line {
    fn send(&self, message: Message) -> bool {
        self.outbox.try_send(Ok(WorkResponse { message: Some(message) })).is_ok()
    }
}
