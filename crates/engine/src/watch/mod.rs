//! Following jobs: first what is or what was missed, then everything as it happens, with no gap and no double.

mod catch_up;

#[cfg(test)]
mod invariants;

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use courant_joblog::ids::{JobId, Revision};
use courant_joblog::log::{Filter, ReadError, Record};
use courant_runtime::next_tick;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cursor::{Cursor, Gap};
use crate::engine::Engine;
use crate::error::Error;
use crate::hub::watch_queue::{Durable, Message, Received, TransientUpdate, WatchQueue};
use crate::hub::{Scope, Topic, WatcherId};
use crate::snapshot::JobSnapshot;

/// Steps under way to one client. The rest waits in the queue, which is bounded too.
pub const IN_FLIGHT: usize = 16;

/// What a client wants to follow.
pub struct Watch {
    pub scope: Scope,
    /// From where; `None`: from a snapshot.
    pub after: Option<Cursor>,
    /// At most one transient update per job and kind in this time.
    pub min_interval: Duration,
    /// Whether it ends with the job.
    pub end: End,
    /// What to do where something was missed.
    pub on_gap: OnGap,
    /// How long the caller's token is good.
    pub token_left: Duration,
}

/// When a watch ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// When its job has ended.
    WithTheJob,
    Never,
}

/// What to do when the cursor cannot be continued from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnGap {
    /// Say so and go on with snapshots.
    StartOver,
    Fail,
}

/// Where watches run, and what ends them with the program.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    pub tracker: TaskTracker,
    pub stopping: CancellationToken,
}

/// What ends a watch before its end.
#[derive(Debug)]
pub enum WatchError {
    Stopping,
    /// The caller's token is not good any more.
    TokenExpired,
    Engine(Error),
}

/// One step of a watch.
#[derive(Debug)]
pub enum Step {
    /// A job as it is.
    Snapshot(Box<JobSnapshot>),
    /// An entry of the log.
    Event(Durable),
    /// A transient update, and how many older ones it coalesced.
    Transient(Arc<TransientUpdate>, u32),
    /// From here on it is live.
    Live,
    Bookmark,
    /// It cannot be continued.
    Gap(Gap),
}

/// A step and where to continue after it.
#[derive(Debug)]
pub struct Update {
    /// `None` for transient updates.
    pub cursor: Option<Cursor>,
    pub step: Step,
}

/// Where the steps of a watch go.
pub trait Outlet<T>: Clone + Send + Sync + 'static {
    /// Hands a step on, when there is room for it. `false` if nobody takes it any more.
    fn send(&self, step: T) -> impl Future<Output = bool> + Send;

    /// Returns when nobody takes any more.
    fn closed(&self) -> impl Future<Output = ()> + Send;
}

impl<T: Send + 'static> Outlet<T> for mpsc::Sender<T> {
    async fn send(&self, step: T) -> bool {
        Self::send(self, step).await.is_ok()
    }

    async fn closed(&self) {
        Self::closed(self).await;
    }
}

/// Starts a watch; its steps come out of the receiver in the client's own form, and so does what ends it.
pub fn start<T: Send + 'static>(
    engine: Arc<Engine>,
    tasks: &Tasks,
    watch: Watch,
    form: impl Fn(Result<Update, WatchError>) -> T + Send + Sync + 'static,
) -> mpsc::Receiver<T> {
    let (out, steps) = mpsc::channel(IN_FLIGHT);
    start_into(engine, tasks, watch, form, out);
    steps
}

/// The same, with an outlet of the caller's.
pub fn start_into<T: Send + 'static>(
    engine: Arc<Engine>,
    tasks: &Tasks,
    watch: Watch,
    form: impl Fn(Result<Update, WatchError>) -> T + Send + Sync + 'static,
    out: impl Outlet<T>,
) {
    let queue = WatchQueue::new(engine.config.watch_buffer, watch.min_interval);
    let queue = Arc::new(queue.counted_by(engine.stats.watches.clone()));
    let (id, revision) = engine.join(watch.scope.clone(), &queue);
    let left = LeaveGuard { engine: engine.clone(), id: id.clone() };
    let watcher =
        Watcher { engine, watch, id, queue, last: revision, shown: HashMap::new(), out, form, forms: PhantomData };
    let stopping = tasks.stopping.clone();
    tasks.tracker.spawn(async move {
        let _left = left;
        watcher.run(stopping).await;
    });
}

struct LeaveGuard {
    engine: Arc<Engine>,
    id: WatcherId,
}

impl Drop for LeaveGuard {
    fn drop(&mut self) {
        self.engine.leave(&self.id);
    }
}

struct Watcher<T, F, O> {
    engine: Arc<Engine>,
    watch: Watch,
    id: WatcherId,
    queue: Arc<WatchQueue>,
    last: Revision,
    /// Jobs that were shown as they were after `last`: what led there must not be sent again.
    shown: HashMap<JobId, Revision>,
    out: O,
    form: F,
    forms: PhantomData<fn() -> T>,
}

/// A cursor of this very log was given with an event of it, so it is not beyond its end: it is this server that has not come so far.
fn behind(cursor: Cursor) -> Error {
    ReadError::Storage { reason: format!("revision {} has not arrived here yet", cursor.revision) }.into()
}

/// Why a watcher stops.
enum Stop {
    /// The job has ended, or the client has gone.
    Done,
    /// The client gets an error.
    Failed(WatchError),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(WatchError::Engine(error.into()))
    }
}

impl<T: Send, F: Fn(Result<Update, WatchError>) -> T + Sync, O: Outlet<T>> Watcher<T, F, O> {
    async fn run(mut self, stopping: CancellationToken) {
        let expired = Instant::now() + self.watch.token_left.min(Duration::from_secs(366 * 24 * 3600));
        let out = self.out.clone();
        let stop = tokio::select! {
            stop = self.follow() => stop,
            () = stopping.cancelled() => Stop::Failed(WatchError::Stopping),
            () = tokio::time::sleep_until(expired) => Stop::Failed(WatchError::TokenExpired),
            () = out.closed() => Stop::Done,
        };
        if let Stop::Failed(error) = stop {
            let _ = out.send((self.form)(Err(error))).await;
        }
    }

    async fn follow(&mut self) -> Stop {
        match self.begin().await {
            Err(stop) => stop,
            Ok(()) => loop {
                if let Err(stop) = self.next().await {
                    break stop;
                }
            },
        }
    }

    async fn begin(&mut self) -> Result<(), Stop> {
        let target = self.last;
        match self.watch.after {
            // What was removed while it was shown is shown again; nothing was promised before *live*.
            None => while self.snapshots().await?.is_some() {},
            Some(cursor) => match self.gap(cursor).await? {
                Some(reason) => self.restart(reason).await?,
                None => self.resume(cursor.revision, target).await?,
            },
        }
        self.send(Some(self.last), Step::Live).await?;
        self.ended()
    }

    /// Why a cursor is none of this log, if so.
    async fn gap(&self, cursor: Cursor) -> Result<Option<Gap>, Stop> {
        let is_here = || cursor.revision <= *self.engine.log.head().borrow();
        if !self.engine.log.info().covers(cursor.epoch, cursor.revision) {
            return Ok(Some(Gap::LogReplaced));
        }
        if is_here() {
            return Ok(None);
        }
        if !self.engine.is_shared() {
            return Ok(Some(Gap::LogReplaced));
        }
        // From another server, which is further. While this one is cut off from the log it cannot tell more.
        self.engine.catch_up_with_others().await?;
        if is_here() { Ok(None) } else { Err(behind(cursor).into()) }
    }

    async fn next(&mut self) -> Result<(), Stop> {
        let silence = tokio::time::sleep_until(next_tick(Instant::now() + self.engine.config.bookmark_interval));
        tokio::select! {
            found = self.queue.next() => match found {
                Received::Messages(messages) => {
                    for message in messages {
                        self.message(message).await?;
                    }
                }
                Received::Lagged => self.catch_up().await?,
            },
            () = silence => {
                // Entries of other scopes moved the log on: the bookmark keeps this cursor from falling behind.
                self.last = self.engine.revision_if_idle(&self.queue).unwrap_or(self.last);
                self.send(Some(self.last), Step::Bookmark).await?;
            }
        }
        Ok(())
    }

    /// The queue threw entries away: they are in the log.
    async fn catch_up(&mut self) -> Result<(), Stop> {
        let target = self.engine.rejoin(&self.id, &self.queue);
        self.resume(self.last, target).await?;
        self.ended()
    }

    async fn message(&mut self, message: Message) -> Result<(), Stop> {
        match message {
            Message::Transient(update, coalesced) => self.send(None, Step::Transient(update, coalesced)).await,
            Message::Durable(durable) => {
                let ends = matches!(&durable.entry.record,
                    Record::Changed { job, .. } if job.state.is_terminal())
                    || durable.entry.record == Record::Forgotten;
                self.entry(durable).await?;
                if ends && self.watch.end == End::WithTheJob { Err(Stop::Done) } else { Ok(()) }
            }
        }
    }

    async fn entry(&mut self, durable: Durable) -> Result<(), Stop> {
        let revision = durable.entry.revision;
        if revision <= self.last {
            return Ok(());
        }
        self.last = revision;
        if self.shown.get(&durable.entry.key.job).is_some_and(|shown| *shown >= revision) {
            return Ok(());
        }
        match &durable.entry.record {
            Record::Changed { job, .. } if self.watch.scope.holds(job) => {
                self.send(Some(revision), Step::Event(durable)).await
            }
            Record::Forgotten if self.watch.scope.may_have_held(&durable.entry.key) => {
                self.send(Some(revision), Step::Event(durable)).await
            }
            Record::Changed { .. } | Record::Forgotten => Ok(()),
        }
    }

    /// Stops a watch that is to end with its job, if that has ended by the position reached.
    fn ended(&self) -> Result<(), Stop> {
        let Topic::Job(id) = &self.watch.scope.topic else { return Ok(()) };
        let over = self.engine.read(|view| {
            view.stored(id).is_none_or(|stored| stored.state().is_terminal() && stored.revision() <= self.last)
        });
        if over && self.watch.end == End::WithTheJob { Err(Stop::Done) } else { Ok(()) }
    }

    fn filter(&self) -> Filter {
        match &self.watch.scope.topic {
            Topic::Job(id) => Filter::Job(id.clone()),
            Topic::Owner(owner) => Filter::Owner(owner.clone()),
            Topic::All => Filter::All,
        }
    }

    async fn send(&self, at: Option<Revision>, step: Step) -> Result<(), Stop> {
        let update = Update { cursor: at.map(|revision| self.engine.cursor(revision)), step };
        if self.out.send((self.form)(Ok(update))).await { Ok(()) } else { Err(Stop::Done) }
    }
}
