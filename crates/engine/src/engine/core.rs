//! The engine's parts, and reading them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use courant_joblog::ids::{JobId, Revision, Timestamp};
use courant_joblog::job::{Job, Lane};
use courant_joblog::log::{Entry, Filter, Log, ReadError};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Duration, Instant};

use super::inquiries::Inquiries;
use super::state::{PAGE, State, warm_up};
use crate::affinity::{self, Affinity, LeftToOthers};
use crate::clock::Wall;
use crate::config::Config;
use crate::cursor::Cursor;
use crate::estimate::Estimates;
use crate::hub::watch_queue::{TransientChange, TransientUpdate};
use crate::projection::{Projections, Registered};
use crate::snapshot::JobSnapshot;
use crate::stats::EngineStats;
use crate::view::{CurrentJob, EndedJob, LiveProgress, StoredJob, View, Weights};

/// All jobs of a log: read here, changed here, followed from here.
pub struct Engine {
    pub config: Config,
    pub log: Arc<dyn Log>,
    /// The wall clock by which ages are judged.
    pub wall: Wall,
    /// What it counts of itself.
    pub stats: EngineStats,
    /// Notified when a job may be waiting for a worker.
    pub wake: Notify,
    pub(super) state: Mutex<State>,
    pub(super) applied: watch::Sender<Revision>,
    /// Where other servers may have progress to tell of: of which partitions jobs are watched here.
    pub(super) watched: watch::Sender<u64>,
    /// Whether other servers may have the log open.
    pub(super) shared: bool,
    pub(super) inquiries: Inquiries,
    /// Locked while the state is.
    pub(super) left_to_others: Mutex<LeftToOthers>,
    /// How long a claim takes, in microseconds: a moving average.
    claim_micros: AtomicU64,
}

impl Engine {
    /// Reads the newest entry of every job and is ready to follow from there.
    pub async fn open(config: Config, log: Arc<dyn Log>, projections: Projections) -> Result<Self, ReadError> {
        let mut latest = log.latest().await?;
        let mut state = State { projections, ..State::default() };
        let clock = warm_up(&*log, latest.revision, &mut state).await?;
        state.view = View::new(config.weights, clock);
        state.view.set_owner_weights(config.owner_weights.clone());
        state.estimates.set_kind_limits(config.kind_running.clone());
        while let Some(page) = latest.next().await? {
            page.iter().for_each(|entry| state.restore(entry));
        }
        state.view.advance(latest.revision);
        let shared = log.peers().is_some();
        Ok(Self {
            config,
            log,
            wall: Wall::default(),
            stats: EngineStats::default(),
            wake: Notify::new(),
            applied: watch::Sender::new(latest.revision),
            watched: watch::Sender::new(0),
            shared,
            inquiries: Inquiries::default(),
            left_to_others: Mutex::default(),
            claim_micros: AtomicU64::new(0),
            state: Mutex::new(state),
        })
    }

    /// Follows the log until it stops. Whoever runs this must not go on serving when it ends.
    pub async fn follow(&self) -> Result<(), ReadError> {
        let mut head = self.log.head();
        loop {
            let after = *self.applied.borrow();
            if *head.borrow_and_update() <= after {
                if head.changed().await.is_err() {
                    return Err(ReadError::Storage { reason: "the log has stopped".into() });
                }
                continue;
            }
            let page = self.log.read(after, &Filter::All, PAGE).await?;
            self.apply_page(&page);
        }
    }

    /// One job, if there is such a one.
    pub fn get(&self, id: &JobId) -> Option<JobSnapshot> {
        match self.snapshot_or_ended(id)? {
            Ok(snapshot) => Some(snapshot),
            Err(ended) => ended.unpack().map(JobSnapshot::of_ended),
        }
    }

    /// What takes the lock: an unfinished job as readers see it, or one that is to be unpacked.
    fn snapshot_or_ended(&self, id: &JobId) -> Option<Result<JobSnapshot, EndedJob>> {
        let state = self.state.lock();
        Some(match state.view.stored(id)? {
            StoredJob::Unfinished(current) => Ok(state.snapshot(current)),
            StoredJob::Ended(ended) => Err(ended.clone()),
        })
    }

    /// The same for who has just made this of it. A job that ended so is not unpacked.
    pub(super) fn get_changed(&self, id: &JobId, revision: Revision, job: Arc<Job>) -> Option<JobSnapshot> {
        match self.snapshot_or_ended(id)? {
            Ok(snapshot) => Some(snapshot),
            Err(ended) if ended.revision() == revision => Some(JobSnapshot::of_ended(ended.unpacked(job))),
            Err(ended) => ended.unpack().map(JobSnapshot::of_ended),
        }
    }

    /// The same without what is estimated.
    pub(super) fn current(&self, id: &JobId) -> Option<CurrentJob> {
        let stored = self.read(|view| view.stored(id).cloned())?;
        stored.into_current()
    }

    /// Reads the view. Keep it short: everybody waits.
    pub fn read<T>(&self, read: impl FnOnce(&View) -> T) -> T {
        read(&self.state.lock().view)
    }

    /// Reads or writes a projection that the engine was opened with. Keep it short: everybody waits.
    pub fn projection<P, T>(&self, of: &Registered<P>, access: impl FnOnce(&mut P, &View) -> T) -> T {
        let state = self.state.lock();
        access(&mut of.lock(), &state.view)
    }

    /// Reads the view and what is estimated from it. Keep it short: everybody waits.
    pub fn read_with_estimates<T>(&self, read: impl FnOnce(&View, &Estimates) -> T) -> T {
        let state = self.state.lock();
        read(&state.view, &state.estimates)
    }

    /// The job as readers see it.
    pub fn snapshot(&self, current: CurrentJob) -> JobSnapshot {
        if current.job.state.is_terminal() {
            JobSnapshot::of_ended(current)
        } else {
            self.state.lock().snapshot(&current)
        }
    }

    /// A cursor for a position in the log.
    pub fn cursor(&self, revision: Revision) -> Cursor {
        Cursor::now(self.log.info(), revision)
    }

    /// Publishes a transient update of a running attempt. `false` if it is not the job's attempt.
    pub fn report(&self, id: &JobId, live: LiveProgress, change: TransientChange) -> bool {
        let mut state = self.state.lock();
        let Some(current) = state.view.set_live_progress(id, live) else { return false };
        let (at, now) = (Timestamp::now(), state.view.now());
        let (remaining, elapsed) = (state.estimates.remaining(&current, now), current.elapsed_ms(now));
        let update = TransientUpdate { at, current, position: None, remaining, elapsed, change };
        state.hub.notify_transient(&Arc::new(update));
        true
    }

    /// Takes the next waiting job of these kinds out of its queue for a claim, given how many slots workers have for each
    /// kind.
    pub fn take_next(&self, kinds: &[Box<str>], slots: &BTreeMap<Box<str>, u32>) -> Option<CurrentJob> {
        let limits = self.config.running_limits(slots);
        self.state.lock().view.take_next(kinds, &limits, Instant::now())
    }

    /// The same where other servers take jobs too: one that is for this server, else one that was left to others for too long.
    pub fn take_next_of(
        &self,
        kinds: &[Box<str>],
        slots: &BTreeMap<Box<str>, u32>,
        affinity: &Affinity,
    ) -> Option<CurrentJob> {
        let limits = self.config.running_limits(slots);
        let view = &mut self.state.lock().view;
        let now = Instant::now();
        let ours = |current: &CurrentJob| affinity.is_ours(&current.job.kind, &current.job.id);
        let after = self.anybodys_after();
        let anybodys = |current: &CurrentJob| self.left_to_others.lock().is_anybodys(&current.job, now, after);
        let own = view.take_wanted(kinds, &limits, Some(&ours), now);
        own.or_else(|| view.take_wanted(kinds, &limits, Some(&anybodys), now))
    }

    /// How long a job is left to the servers that it is for.
    pub fn anybodys_after(&self) -> Duration {
        affinity::anybodys_after(Duration::from_micros(self.claim_micros.load(Ordering::Relaxed)))
    }

    /// A claim took so long.
    pub(crate) fn note_claim(&self, took: Duration) {
        self.stats.claims.observe(took);
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // A moving average. One that is lost to another thread is no loss.
        let before = self.claim_micros.load(Ordering::Relaxed);
        self.claim_micros.store(before - before / 8 + took / 8, Ordering::Relaxed);
    }

    /// Puts the delayed jobs that are due into their queues. Gives back when the next one is.
    pub fn release_due(&self) -> Option<Instant> {
        let mut state = self.state.lock();
        state.view.release_due(Instant::now());
        state.view.next_due()
    }

    /// Puts a job that was taken for a claim back into its queue, if it still waits.
    pub fn give_back(&self, id: &JobId) {
        self.state.lock().view.give_back(id);
    }

    /// Gives out nothing of a lane, or gives out again.
    pub fn set_paused(&self, lane: Lane, paused: bool) {
        self.state.lock().view.set_paused(lane, paused);
        self.wake.notify_one();
    }

    /// Serves the lanes by other weights from now on.
    pub fn set_weights(&self, weights: Weights) {
        self.state.lock().view.set_weights(weights);
        self.wake.notify_one();
    }

    /// A signal that grows as the view does.
    pub fn applied(&self) -> watch::Receiver<Revision> {
        self.applied.subscribe()
    }

    /// The partitions of the log of which jobs are watched, a bit each, as that changes. All zero while no other server can have
    /// the log open.
    pub fn watched_partitions(&self) -> watch::Receiver<u64> {
        self.watched.subscribe()
    }

    /// Waits until the view has everything up to a revision of the log. Whoever comes first applies what the log holds in
    /// memory, for all: nobody waits for another task to do it.
    pub(super) async fn caught_up(&self, revision: Revision) {
        while *self.applied.borrow() < revision {
            if !self.apply_recent() {
                break;
            }
        }
        // An error means that the engine is going down; the caller finds out by itself.
        let _ = self.applied.subscribe().wait_for(|applied| *applied >= revision).await;
    }

    /// Applies a page of what the log holds in memory. `false` if nothing new is there.
    fn apply_recent(&self) -> bool {
        let mut state = self.state.lock();
        match self.log.recent(state.view.revision(), PAGE) {
            Some(page) => self.apply_to(&mut state, &page),
            None => false,
        }
    }

    /// Applies what is new of a page.
    fn apply_page(&self, page: &[Arc<Entry>]) {
        let mut state = self.state.lock();
        let after = state.view.revision();
        let new = page.partition_point(|entry| entry.revision <= after);
        self.apply_to(&mut state, &page[new..]);
    }

    fn apply_to(&self, state: &mut State, page: &[Arc<Entry>]) -> bool {
        let Some(last) = page.last() else { return false };
        page.iter().for_each(|entry| state.apply(entry));
        // Under the lock, so that it only grows.
        self.applied.send_replace(last.revision);
        self.wake.notify_one();
        true
    }
}
