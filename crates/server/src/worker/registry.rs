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
use super::parts::Parts;

/// Messages under way to one worker. When it is full the worker does not read: what must not get lost is repeated in
/// the answer to its heartbeat, or goes to another worker.
pub const OUTBOX: usize = 64;

/// How long a confirmed attempt is remembered at least.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What goes to a worker.
pub type Outbox = mpsc::Sender<Result<WorkResponse, Status>>;

/// All workers this server knows.
pub struct Registry {
    inner: Mutex<Inner>,
    /// Which pages they do for one another.
    pub parts: Parts,
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
    /// It left an assignment unanswered and has not been heard since.
    deaf: bool,
    /// An operator wants it to take nothing new.
    drained: bool,
    /// Claims being written to the log.
    claiming: HashSet<AttemptId>,
    /// Assignments the worker has not answered yet.
    unanswered: HashMap<AttemptId, Instant>,
    /// Attempts that the worker has shown, on this stream, to know of, and when it first did. Those that are over are
    /// forgotten a while later.
    confirmed: HashMap<AttemptId, Instant>,
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
    /// Whether it takes parts of documents that others do.
    pub takes_parts: bool,
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
    /// Whether it takes parts of documents that others do.
    pub takes_parts: bool,
}

impl Default for Registry {
    fn default() -> Self {
        let inner = Inner { workers: HashMap::new(), closing: false, floor: Instant::now(), next: 0 };
        Self { inner: Mutex::new(inner), parts: Parts::default() }
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
                let confirmed = HashMap::new();
                Worker { session, offer, heard: Instant::now(), deaf: false, confirmed, line, ..old }
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

    /// Something was heard: the lease begins anew. `true` if the worker can be given jobs again by that.
    pub fn heard(&self, worker: &WorkerId) -> bool {
        self.inner.lock().workers.get_mut(worker).is_some_and(|worker| {
            worker.heard = Instant::now();
            std::mem::take(&mut worker.deaf)
        })
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
        let able = inner.workers.iter().filter(|(_, worker)| worker.takes_jobs() && worker.listens());
        let free = able.map(|(id, worker)| Free {
            worker: id.clone(),
            kinds: worker.offer.kinds.clone(),
            slots: worker.offer.slots.saturating_sub(held(id) + worker.claiming.len() as u32),
            takes_parts: worker.offer.takes_parts,
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

    /// Sends something that is repeated elsewhere if it does not arrive. `false` when it cannot be sent.
    pub fn tell(&self, worker: &WorkerId, message: Message) -> bool {
        let inner = self.inner.lock();
        inner.workers.get(worker).and_then(|worker| worker.line.as_ref()).is_some_and(|line| line.send(message))
    }

    /// Whether the worker's stream is open.
    pub fn is_connected(&self, worker: &WorkerId) -> bool {
        self.inner.lock().workers.get(worker).is_some_and(|worker| worker.line.is_some())
    }

    /// The worker does not answer: it gets nothing more until it is heard.
    pub fn deafen(&self, worker: &WorkerId) {
        if let Some(worker) = self.inner.lock().workers.get_mut(worker) {
            worker.deaf = true;
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

    /// The worker has shown that it works on an attempt that it holds.
    pub fn confirm(&self, worker: &WorkerId, attempt: &AttemptId) {
        if let Some(worker) = self.inner.lock().workers.get_mut(worker) {
            worker.unanswered.remove(attempt);
            worker.confirmed.entry(attempt.clone()).or_insert_with(Instant::now);
        }
    }

    /// Compares what a worker holds with what it has shown to know of. What it holds and has not heard of, because the
    /// claim was written but its assignment never sent, is awaited like any assignment, so that no job is held by
    /// somebody who does not know.
    pub fn expect(&self, worker: &WorkerId, held: &HashSet<AttemptId>) {
        let mut inner = self.inner.lock();
        let Some(worker) = inner.workers.get_mut(worker) else { return };
        // What was confirmed a moment ago may have begun after `held` was read.
        worker.confirmed.retain(|attempt, since| held.contains(attempt) || since.elapsed() < REMEMBERED);
        if !worker.line.as_ref().is_some_and(|line| line.welcomed) {
            return;
        }
        for attempt in held {
            if !worker.confirmed.contains_key(attempt) && !worker.claiming.contains(attempt) {
                worker.unanswered.entry(attempt.clone()).or_insert_with(Instant::now);
            }
        }
    }

    /// The assignments that were not answered in time; each stays one until [`Registry::answered`]. Their workers get
    /// nothing more until they are heard.
    pub fn late(&self, within: Duration) -> Vec<(WorkerId, AttemptId)> {
        let mut late = Vec::new();
        for (id, worker) in &mut self.inner.lock().workers {
            let over = worker.unanswered.iter().filter(|(_, since)| since.elapsed() > within);
            let over: Vec<_> = over.map(|(attempt, _)| (id.clone(), attempt.clone())).collect();
            worker.deaf |= !over.is_empty();
            late.extend(over);
        }
        late
    }

    /// Forgets workers that are gone longer than a lease. Drained ones are remembered: they are to stay so.
    pub fn forget_gone(&self, lease: Duration) {
        let here = |worker: &Worker| worker.line.is_some() || worker.drained || worker.heard.elapsed() <= lease;
        self.inner.lock().workers.retain(|_, worker| here(worker));
    }
}

impl Worker {
    fn new(session: u64, offer: Offer, line: Option<Line>) -> Self {
        let (claiming, unanswered, confirmed) = (HashSet::new(), HashMap::new(), HashMap::new());
        Self {
            session,
            offer,
            heard: Instant::now(),
            deaf: false,
            drained: false,
            claiming,
            unanswered,
            confirmed,
            line,
        }
    }

    fn takes_jobs(&self) -> bool {
        !self.drained && self.line.as_ref().is_some_and(|line| line.welcomed)
    }

    /// Whether a job given now would likely arrive.
    fn listens(&self) -> bool {
        !self.deaf && self.line.as_ref().is_some_and(|line| line.outbox.capacity() > 0)
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

#[cfg(test)]
mod tests {
    use courant_joblog::ids::JobId;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(5);

    fn attempt(number: u32) -> AttemptId {
        AttemptId { job: JobId::new("J"), number }
    }

    fn assignment() -> Message {
        Message::Assignment(courant_proto::v1::Assignment::default())
    }

    /// A registry with the worker `w`, and what is sent to it.
    fn registry(room: usize) -> (Registry, WorkerId, Session, mpsc::Receiver<Result<WorkResponse, Status>>) {
        let (registry, worker) = (Registry::default(), WorkerId::new("w"));
        let (outbox, sent) = mpsc::channel(room);
        let offer = Offer { kinds: vec!["pdf".into()], slots: 2, software: "test".into(), takes_parts: false };
        let session = registry.attach(worker.clone(), offer, outbox);
        (registry, worker, session, sent)
    }

    #[tokio::test]
    async fn nothing_goes_out_before_the_welcome() {
        let (registry, worker, session, mut sent) = registry(1);
        assert!(registry.free(|_| 0).is_empty() && registry.slots() == 0);
        assert!(!registry.assign(&worker, attempt(1), assignment()));
        registry.welcomed(&session);
        assert_eq!(registry.free(|_| 0)[0].slots, 2);
        assert!(registry.assign(&worker, attempt(1), assignment()));
        assert!(sent.recv().await.is_some());
    }

    #[tokio::test]
    async fn a_worker_with_no_room_for_a_message_is_not_free() {
        let (registry, worker, session, mut sent) = registry(1);
        registry.welcomed(&session);
        registry.tell(&worker, assignment());
        assert!(registry.free(|_| 0).is_empty());
        sent.recv().await.unwrap().unwrap();
        assert_eq!(registry.free(|_| 0).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_answer_gets_nothing_more_until_it_is_heard() {
        let (registry, worker, session, _sent) = registry(8);
        registry.welcomed(&session);
        registry.assign(&worker, attempt(1), assignment());
        tokio::time::advance(WITHIN).await;
        assert!(registry.late(WITHIN).is_empty() && registry.free(|_| 1).len() == 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(registry.late(WITHIN), [(worker.clone(), attempt(1))]);
        assert_eq!(registry.late(WITHIN).len(), 1, "it stays late until it is dealt with");
        assert!(registry.answered(&worker, &attempt(1)) && registry.late(WITHIN).is_empty());
        assert!(registry.free(|_| 0).is_empty());
        assert!(registry.heard(&worker) && !registry.heard(&worker));
        assert_eq!(registry.free(|_| 0).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_worker_holds_without_knowing_is_found() {
        let (registry, worker, session, _sent) = registry(8);
        let held: HashSet<_> = [attempt(1), attempt(2), attempt(3)].into();
        registry.expect(&worker, &held);
        tokio::time::advance(WITHIN * 2).await;
        assert!(registry.late(WITHIN).is_empty(), "it may still be telling what it has");
        registry.confirm(&worker, &attempt(1));
        registry.claiming(&worker, &attempt(2));
        registry.welcomed(&session);
        registry.expect(&worker, &held);
        tokio::time::advance(WITHIN * 2).await;
        assert_eq!(registry.late(WITHIN), [(worker.clone(), attempt(3))]);
        registry.answered(&worker, &attempt(3));
        // What ended is not remembered for ever.
        tokio::time::advance(REMEMBERED).await;
        registry.expect(&worker, &HashSet::new());
        assert!(registry.inner.lock().workers[&worker].confirmed.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn leases_hang_on_signs_of_life_alone() {
        let lease = Duration::from_secs(30);
        let (registry, worker, session, _sent) = registry(1);
        registry.detach(&session);
        tokio::time::advance(lease).await;
        assert!(!registry.is_lost(&worker, lease), "a lease outlives its stream");
        registry.heard(&worker);
        tokio::time::advance(lease).await;
        assert!(!registry.is_lost(&worker, lease));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(registry.is_lost(&worker, lease));
        registry.forgive();
        assert!(!registry.is_lost(&worker, lease) && !registry.is_lost(&WorkerId::new("unknown"), lease));
        tokio::time::advance(lease + Duration::from_millis(1)).await;
        assert!(registry.is_lost(&worker, lease) && registry.is_lost(&WorkerId::new("unknown"), lease));
    }
}
