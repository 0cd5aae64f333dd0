//! What waits for one watcher: bounded, whatever the watcher does.
//!
//! Durable entries queue up to the capacity. Beyond it they are dropped and the queue reports *lagged*: the
//! watcher then reads what it missed from the log, so a slow one costs no memory and loses nothing. Transient
//! updates are kept once per job and kind, the newest wins, with a count of what it replaced. A durable entry pushes the
//! pending updates of its job ahead of itself. With more than [`MAX_PENDING`] updates held back the one that is due next is
//! not held back any longer; of more than [`MAX_SENT`] that were sent lately the oldest are forgotten, so that their jobs' next
//! updates are sent at once.
//!
//! What a push or an update costs does not grow with the jobs of the watcher but as their logarithm.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use courant_joblog::ids::{BatchId, JobId, Timestamp};
use courant_joblog::job::{Format, Zone};
use courant_joblog::log::Entry;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use crate::estimate::Estimate;
use crate::snapshot::EstimatedPosition;
use crate::stats::WatchStats;
use crate::view::CurrentJob;

/// A durable entry on its way to a watcher.
#[derive(Clone, Debug)]
pub struct Durable {
    pub entry: Arc<Entry>,
    /// The percent that was sent live already; the entry must not be shown with less.
    pub percent: f64,
    /// The batch of a job that was removed, where it is still known: the entry does not have it.
    pub batch: Option<BatchId>,
    /// How long the job may take from there on, where that is known.
    pub remaining: Option<Estimate>,
}

impl Durable {
    /// An entry as the log has it.
    pub fn of(entry: Arc<Entry>) -> Self {
        Self { entry, percent: 0.0, batch: None, remaining: None }
    }
}

/// A change that is not in the log.
#[derive(Clone, Debug)]
pub struct TransientUpdate {
    pub at: Timestamp,
    /// The job with this change in it.
    pub current: CurrentJob,
    /// Its position while it waits.
    pub position: Option<EstimatedPosition>,
    /// How long it may still take while it runs.
    pub remaining: Option<Estimate>,
    /// Milliseconds its attempt runs, or its last one ran.
    pub elapsed: Option<u64>,
    pub change: TransientChange,
}

#[derive(Clone, Debug)]
pub enum TransientChange {
    /// Percent, stage or sentence.
    Progress,
    /// Work on a zone began.
    Zone(Zone),
    /// An export is under way.
    Export {
        format: Format,
        /// 0 to 100 of this export.
        percent: f64,
    },
    /// The position in the lane.
    Position,
}

/// An update of one kind replaces older ones of that kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum TransientKind {
    Progress,
    Zone,
    Export,
    Position,
}

impl TransientKind {
    const COUNT: usize = 4;
}

impl TransientChange {
    fn kind(&self) -> TransientKind {
        match self {
            Self::Progress => TransientKind::Progress,
            Self::Zone(_) => TransientKind::Zone,
            Self::Export { .. } => TransientKind::Export,
            Self::Position => TransientKind::Position,
        }
    }
}

/// One message for a watcher.
#[derive(Clone, Debug)]
pub enum Message {
    /// An entry of the log.
    Durable(Durable),
    /// A transient update, and how many older ones were coalesced into it.
    Transient(Arc<TransientUpdate>, u32),
}

/// What a watcher found in its queue.
#[derive(Debug)]
pub enum Received {
    /// To be sent now, in order.
    Messages(Vec<Message>),
    /// Entries were dropped; read them from the log.
    Lagged,
}

/// The queue of one watcher.
#[derive(Debug)]
pub struct WatchQueue {
    capacity: usize,
    min_interval: Duration,
    inner: Mutex<Inner>,
    signal: Notify,
    stats: Arc<WatchStats>,
}

/// Updates of one watcher that are held back: more than the positions that a watch of many jobs is sent at most, and what
/// runs beside them.
const MAX_PENDING: usize = 20_000;
/// Updates of one watcher of which it is remembered when they were sent.
const MAX_SENT: usize = 20_000;

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Message>,
    pending: HashMap<JobId, Vec<Pending>>,
    /// The pending updates by when they may be sent.
    due: BTreeSet<(Instant, JobId, TransientKind)>,
    /// When the newest update of each kind of a job was sent, for an interval.
    last_sent: HashMap<JobId, SentOfKinds>,
    /// The same, oldest first. What was replaced since is here too.
    sent_order: VecDeque<(Instant, JobId, TransientKind)>,
    lagged: bool,
}

type SentOfKinds = [Option<Instant>; TransientKind::COUNT];

#[derive(Debug)]
struct Pending {
    kind: TransientKind,
    due: Instant,
    update: Arc<TransientUpdate>,
    coalesced: u32,
}

impl WatchQueue {
    /// An empty one that throttles the updates of one job and kind to one per interval.
    pub fn new(capacity: usize, min_interval: Duration) -> Self {
        let stats = Arc::default();
        Self { capacity, min_interval, inner: Mutex::default(), signal: Notify::new(), stats }
    }

    /// Counts what is coalesced and dropped together with other queues.
    pub fn counted_by(self, stats: Arc<WatchStats>) -> Self {
        Self { stats, ..self }
    }

    /// Empties it. Whoever calls this knows from where to read on.
    pub fn clear(&self) {
        let mut inner = self.inner.lock();
        let Inner { last_sent, sent_order, .. } = std::mem::take(&mut *inner);
        (inner.last_sent, inner.sent_order) = (last_sent, sent_order);
    }

    /// Whether nothing waits and nothing was thrown away.
    pub fn is_empty(&self) -> bool {
        let inner = self.inner.lock();
        !inner.lagged && inner.queue.is_empty() && inner.pending.is_empty()
    }

    /// Puts in an entry of the log, behind the pending updates of its job.
    pub fn push(&self, durable: Durable) {
        let mut inner = self.inner.lock();
        if inner.lagged {
            return;
        }
        let id = &durable.entry.key.job;
        // Most have nothing pending: an empty map is not even asked for the job, which would hash its id.
        let pending = if inner.pending.is_empty() { None } else { inner.pending.remove(id) };
        for pending in pending.unwrap_or_default() {
            inner.due.remove(&(pending.due, id.clone(), pending.kind));
            inner.queue.push_back(Message::Transient(pending.update, pending.coalesced));
        }
        if !inner.last_sent.is_empty() {
            inner.last_sent.remove(id);
        }
        inner.queue.push_back(Message::Durable(durable));
        inner.check_room(self.capacity, &self.stats);
        self.signal.notify_one();
    }

    /// Puts in a transient update; it replaces an older one of the same job and kind.
    pub fn push_transient(&self, update: Arc<TransientUpdate>) {
        let mut inner = self.inner.lock();
        if inner.lagged {
            return;
        }
        if inner.hold_back(update, self.min_interval, Instant::now()) {
            self.stats.coalesced.inc();
        }
        while inner.due.len() > MAX_PENDING {
            let Some((_, next)) = inner.take_first(None) else { break };
            inner.queue.push_back(next);
            inner.check_room(self.capacity, &self.stats);
        }
        self.signal.notify_one();
    }

    /// Waits until there is something to send. Cancel-safe: nothing is taken before it is returned.
    pub async fn next(&self) -> Received {
        loop {
            let due = match self.take(Instant::now()) {
                NextBatch::Ready(found) => return found,
                NextBatch::Wait { due } => due,
            };
            match due {
                Some(due) => tokio::select! {
                    () = self.signal.notified() => {}
                    () = tokio::time::sleep_until(due) => {}
                },
                None => self.signal.notified().await,
            }
        }
    }

    fn take(&self, now: Instant) -> NextBatch {
        let mut inner = self.inner.lock();
        if inner.lagged {
            return NextBatch::Ready(Received::Lagged);
        }
        let mut messages: Vec<Message> = inner.queue.drain(..).collect();
        let due = inner.take_due(now, self.min_interval, &mut messages);
        if messages.is_empty() { NextBatch::Wait { due } } else { NextBatch::Ready(Received::Messages(messages)) }
    }
}

enum NextBatch {
    Ready(Received),
    Wait { due: Option<Instant> },
}

impl Inner {
    /// Throws everything away where there is more than a queue may hold.
    fn check_room(&mut self, capacity: usize, stats: &WatchStats) {
        if self.queue.len() > capacity {
            stats.lagged.inc();
            stats.dropped.add((self.queue.len() + self.due.len()) as u64);
            *self = Self { lagged: true, ..Self::default() };
        }
    }

    /// Whether it replaces an older one.
    fn hold_back(&mut self, update: Arc<TransientUpdate>, interval: Duration, now: Instant) -> bool {
        let (kind, id) = (update.change.kind(), update.current.job.id.clone());
        let of_job = self.pending.entry(id.clone()).or_default();
        let older = of_job.iter().position(|pending| pending.kind == kind).map(|older| of_job.remove(older));
        for pending in &mut *of_job {
            // What is sent after this must not show the job as it was before it.
            let current = update.current.clone();
            pending.update = Arc::new(TransientUpdate { current, ..TransientUpdate::clone(&pending.update) });
        }
        let (due, coalesced) = match older {
            Some(older) => (older.due, older.coalesced + 1),
            None => {
                let last = self.last_sent.get(&id).and_then(|kinds| kinds[kind as usize]);
                let due = last.map_or(now, |last| last + interval);
                self.due.insert((due, id, kind));
                (due, 0)
            }
        };
        of_job.push(Pending { kind, due, update, coalesced });
        coalesced > 0
    }

    /// Takes out the update that is due first, if it is due by then.
    fn take_first(&mut self, by: Option<Instant>) -> Option<((JobId, TransientKind), Message)> {
        if by.is_some_and(|by| self.due.first().is_some_and(|(due, ..)| *due > by)) {
            return None;
        }
        let (_, id, kind) = self.due.pop_first()?;
        let of_job = self.pending.get_mut(&id)?;
        let at = of_job.iter().position(|pending| pending.kind == kind)?;
        let pending = of_job.remove(at);
        if of_job.is_empty() {
            self.pending.remove(&id);
        }
        Some(((id, kind), Message::Transient(pending.update, pending.coalesced)))
    }

    /// Moves the updates that are due into `messages`; returns when the next is due.
    fn take_due(&mut self, now: Instant, interval: Duration, messages: &mut Vec<Message>) -> Option<Instant> {
        while let Some(((id, kind), message)) = self.take_first(Some(now)) {
            messages.push(message);
            if !interval.is_zero() {
                self.last_sent.entry(id.clone()).or_default()[kind as usize] = Some(now);
                self.sent_order.push_back((now, id, kind));
            }
        }
        let old = |(at, ..): &(Instant, JobId, TransientKind)| *at + interval <= now;
        while self.sent_order.len() > MAX_SENT || self.sent_order.front().is_some_and(old) {
            let Some((at, id, kind)) = self.sent_order.pop_front() else { break };
            let Some(kinds) = self.last_sent.get_mut(&id) else { continue };
            if kinds[kind as usize] == Some(at) {
                kinds[kind as usize] = None;
            }
            if kinds.iter().all(Option::is_none) {
                self.last_sent.remove(&id);
            }
        }
        self.due.first().map(|(due, ..)| *due)
    }
}

#[cfg(test)]
mod tests {
    use courant_joblog::event::{Change, Event};
    use courant_joblog::ids::Revision;
    use courant_joblog::log::{Key, Record};

    use super::*;
    use crate::clock::Moment;
    use crate::testing::queued;

    fn update(job: &str, percent: f64) -> Arc<TransientUpdate> {
        let mut job = queued(job, "alice");
        job.progress.percent = percent;
        let current = CurrentJob { revision: Revision(1), job: Arc::new(job), live: None, since: Moment::default() };
        Arc::new(TransientUpdate {
            at: Timestamp(1),
            current,
            position: None,
            remaining: None,
            elapsed: None,
            change: TransientChange::Progress,
        })
    }

    fn durable(job: &str, revision: u64) -> Durable {
        let job = queued(job, "alice");
        let event = Event::new(Timestamp(1), Change::Requeued { by: "x".into(), password: None });
        let record = Record::Changed { event, job: Arc::new(job.clone()) };
        Durable::of(Arc::new(Entry { revision: Revision(revision), key: Key::of(&job), record }))
    }

    /// `p<percent>+<folded>` and `r<revision>`, in order.
    fn shown(found: Received) -> String {
        let Received::Messages(messages) = found else { return "lagged".into() };
        let words = messages.iter().map(|message| match message {
            Message::Durable(durable) => format!("r{}", durable.entry.revision),
            Message::Transient(update, coalesced) => format!("p{}+{coalesced}", update.current.job.progress.percent),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[tokio::test(start_paused = true)]
    async fn updates_are_coalesced_to_one_per_interval_and_the_newest_wins() {
        let queue = WatchQueue::new(8, Duration::from_secs(1));
        queue.push_transient(update("A", 1.0));
        assert_eq!(shown(queue.next().await), "p1+0");
        let start = Instant::now();
        for percent in [2.0, 3.0, 4.0] {
            queue.push_transient(update("A", percent));
        }
        assert_eq!(shown(queue.next().await), "p4+2");
        assert_eq!(start.elapsed().as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_update_that_was_held_back_takes_nothing_back() {
        let queue = WatchQueue::new(8, Duration::from_secs(1));
        queue.push_transient(update("A", 1.0));
        queue.next().await;
        queue.push_transient(update("A", 2.0));
        queue.push_transient(Arc::new(TransientUpdate {
            change: TransientChange::Position,
            ..TransientUpdate::clone(&update("A", 5.0))
        }));
        assert_eq!(shown(queue.next().await), "p5+0");
        assert_eq!(shown(queue.next().await), "p5+0");
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_is_never_held_back_and_pushes_its_jobs_updates_ahead() {
        let queue = WatchQueue::new(8, Duration::from_secs(1));
        queue.push_transient(update("A", 1.0));
        queue.next().await;
        queue.push_transient(update("A", 2.0));
        queue.push_transient(update("A", 3.0));
        queue.push(durable("A", 7));
        let start = Instant::now();
        assert_eq!(shown(queue.next().await), "p3+1 r7");
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_of_sent_updates_is_bounded_and_the_newest_is_never_lost() {
        let queue = WatchQueue::new(8, Duration::from_secs(1));
        let count = |found: Received| match found {
            Received::Messages(messages) => messages.len(),
            Received::Lagged => panic!("lagged"),
        };
        // All within one interval, as after a mass start.
        for job in 0..3 * MAX_SENT {
            queue.push_transient(update(&format!("J{job}"), 1.0));
            assert_eq!(count(queue.next().await), 1);
        }
        let remembered = || {
            let inner = queue.inner.lock();
            (inner.last_sent.len(), inner.sent_order.len())
        };
        assert_eq!(remembered(), (MAX_SENT, MAX_SENT));
        let begun = Instant::now();
        queue.push_transient(update("J0", 2.0));
        assert_eq!((shown(queue.next().await).as_str(), begun.elapsed()), ("p2+0", Duration::ZERO), "forgotten");
        queue.push_transient(update("J59999", 2.0));
        assert_eq!((shown(queue.next().await).as_str(), begun.elapsed().as_secs()), ("p2+0", 1));
        tokio::time::advance(Duration::from_secs(2)).await;
        queue.push_transient(update("J1", 2.0));
        queue.next().await;
        assert_eq!(queue.inner.lock().last_sent.len(), 1, "an interval later");
    }

    #[tokio::test(start_paused = true)]
    async fn more_pending_updates_than_may_be_are_sent_early_and_a_reader_that_is_gone_lags() {
        let queue = WatchQueue::new(8, Duration::from_secs(1));
        let fill = |from: usize, to: usize| {
            (from..to).for_each(|job| queue.push_transient(update(&format!("J{job:06}"), 1.0)));
        };
        fill(0, MAX_PENDING + 8);
        let sizes = || {
            let inner = queue.inner.lock();
            (inner.pending.len(), inner.due.len(), inner.queue.len())
        };
        assert_eq!(sizes(), (MAX_PENDING, MAX_PENDING, 8));
        let Received::Messages(all) = queue.next().await else { panic!("lagged") };
        assert_eq!(all.len(), MAX_PENDING + 8, "none was lost");
        fill(MAX_PENDING + 8, 2 * MAX_PENDING + 17);
        assert_eq!(shown(queue.next().await), "lagged");
        assert!(queue.inner.lock().due.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_overfull_mailbox_says_so_until_it_is_cleared() {
        let queue = WatchQueue::new(2, Duration::ZERO);
        for revision in 1..=3 {
            queue.push(durable("A", revision));
        }
        assert_eq!(shown(queue.next().await), "lagged");
        queue.push(durable("A", 4));
        assert_eq!(shown(queue.next().await), "lagged");
        queue.clear();
        queue.push(durable("A", 5));
        assert_eq!(shown(queue.next().await), "r5");
    }
}
