//! What waits for one watcher: bounded, whatever the watcher does.
//!
//! Durable entries queue up to the capacity. Beyond it they are dropped and the queue reports *lagged*: the
//! watcher then reads what it missed from the log, so a slow one costs no memory and loses nothing. Transient
//! updates are kept once per job and kind, the newest wins, with a count of what it replaced. A durable entry pushes the
//! pending updates of its job ahead of itself.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use courant_joblog::ids::{BatchId, JobId, Timestamp};
use courant_joblog::job::{Format, Zone};
use courant_joblog::log::Entry;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use crate::estimate::Estimate;
use crate::snapshot::EstimatedPosition;
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
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Message>,
    pending: HashMap<JobId, Vec<Pending>>,
    last_sent: HashMap<(JobId, TransientKind), Instant>,
    lagged: bool,
    /// Whether it was sent the positions of its waiting jobs since it was empty.
    has_positions: bool,
}

#[derive(Debug)]
struct Pending {
    kind: TransientKind,
    update: Arc<TransientUpdate>,
    coalesced: u32,
}

impl WatchQueue {
    /// An empty one that throttles the updates of one job and kind to one per interval.
    pub fn new(capacity: usize, min_interval: Duration) -> Self {
        Self { capacity, min_interval, inner: Mutex::default(), signal: Notify::new() }
    }

    /// Empties it. Whoever calls this knows from where to read on.
    pub fn clear(&self) {
        let mut inner = self.inner.lock();
        inner.queue.clear();
        inner.pending.clear();
        inner.lagged = false;
        inner.has_positions = false;
    }

    /// Whether it was sent the positions of its waiting jobs.
    pub fn has_positions(&self) -> bool {
        self.inner.lock().has_positions
    }

    /// All positions of its waiting jobs were sent.
    pub fn positions_sent(&self) {
        let mut inner = self.inner.lock();
        inner.has_positions = !inner.lagged;
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
        let id = durable.entry.key.job.clone();
        let before = inner.pending.remove(&id).unwrap_or_default();
        inner.last_sent.retain(|(job, _), _| *job != id);
        inner.queue.extend(before.into_iter().map(|pending| Message::Transient(pending.update, pending.coalesced)));
        inner.queue.push_back(Message::Durable(durable));
        if inner.queue.len() > self.capacity {
            *inner = Inner { lagged: true, ..Inner::default() };
        }
        self.signal.notify_one();
    }

    /// Puts in a transient update; it replaces an older one of the same job and kind.
    pub fn push_transient(&self, update: Arc<TransientUpdate>) {
        let mut inner = self.inner.lock();
        if inner.lagged {
            return;
        }
        let kind = update.change.kind();
        let of_job = inner.pending.entry(update.current.job.id.clone()).or_default();
        let older = of_job.iter().position(|pending| pending.kind == kind);
        let coalesced = older.map_or(0, |older| of_job.remove(older).coalesced + 1);
        for pending in &mut *of_job {
            // What is sent after this must not show the job as it was before it.
            let current = update.current.clone();
            pending.update = Arc::new(TransientUpdate { current, ..TransientUpdate::clone(&pending.update) });
        }
        of_job.push(Pending { kind, update, coalesced });
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
    /// Moves the updates that are due into `messages`; returns when the next is due.
    fn take_due(&mut self, now: Instant, interval: Duration, messages: &mut Vec<Message>) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let last_sent = &mut self.last_sent;
        self.pending.retain(|job, of_job| {
            of_job.retain(|pending| {
                let at = last_sent.get(&(job.clone(), pending.kind)).map_or(now, |last| *last + interval);
                if at > now {
                    next = Some(next.map_or(at, |known| known.min(at)));
                    return true;
                }
                last_sent.insert((job.clone(), pending.kind), now);
                messages.push(Message::Transient(pending.update.clone(), pending.coalesced));
                false
            });
            !of_job.is_empty()
        });
        last_sent.retain(|_, last| *last + interval > now);
        next
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
