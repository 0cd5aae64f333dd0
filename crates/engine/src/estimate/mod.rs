//! Estimates from measurements: how long a job may wait, and how long a running one may take. Never promises; each comes
//! with a band that says how sure it is.
//!
//! What is measured, per kind of work: what is spent on a page by its text layer and on one by OCR, how that compares with
//! the time between a worker's finished pages, which share of a document's pages needs OCR, the time before the first and
//! after the last page, the pages of a document, and how wrong such estimates turned out to be: the band is that, and how
//! little is known of a document's pages. A wait is the work that will be taken before the job, divided among the slots of
//! the workers that are there now; jobs and workers yet to come are not foreseen.
//!
//! No estimate is given rather than a wrong one: while a page takes far longer than is known of any, while it is not known
//! how a document's pages are read and that makes all the difference, and before there was enough to measure. Nothing is
//! said of waits while that is so of the jobs in all slots.
//!
//! All times are read on the steady clock when an event is seen, see [`crate::clock`].

mod average;
mod kind;
mod run;
mod worker_pool;

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use courant_joblog::event::{Change, Event};
use courant_joblog::ids::JobId;
use courant_joblog::job::{Job, Lane, Page, State};
use courant_joblog::log::Record;

use self::kind::{Cost, KindModel, ReadMethod};
use self::run::{AttemptMeasurement, RawEstimate, by_percent, part};
pub use self::worker_pool::WorkerCapacity;
use self::worker_pool::{FirstFree, WorkerPool, WorkerPoolsBuilder};
use crate::clock::Moment;
use crate::projection::{JobChange, PastEvent, Projection};
use crate::view::{CurrentJob, Load, QueuePosition, View};

/// 8 of 10 cases lie within so many deviations on either side.
const BAND: f64 = 1.2816;
/// How uncertain a mean of recent jobs is itself: this share of the variance of one.
const MEAN_IS_UNSURE: f64 = 0.05;

/// A wait whose deviation is a larger share of it than this gives no estimate,
const TOO_UNSURE: f64 = 0.85;
/// unless both are short, in milliseconds.
const SHORT: f64 = 1_000.0;

/// Milliseconds a job may have waited according to a log: more means that the wall clock was set.
const LONGEST_WAIT: i64 = 24 * 3600 * 1000;

/// Kinds that are remembered: callers name them. With more, the one of which nothing was done for longest goes.
const MAX_KINDS: usize = 1024;

/// A span that is guessed, and how sure that is. Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// As likely too long as too short.
    pub ms: u64,
    /// In 8 of 10 cases it is not less than this,
    pub low: u64,
    /// and not more than this.
    pub high: u64,
}

/// What was learned, and who works now.
#[derive(Debug, Default)]
pub struct Estimates {
    kinds: HashMap<Box<str>, KindModel>,
    /// When each kind was last learned of, counted in events.
    used: HashMap<Box<str>, u64>,
    tick: u64,
    changes: u64,
    runs: HashMap<JobId, AttemptMeasurement>,
    pools: HashMap<Box<str>, WorkerPool>,
    /// The most jobs of a kind that run at once, where that is limited.
    kind_limits: BTreeMap<Box<str>, u32>,
}

/// What the estimates for all jobs of one queue are made from, beside their positions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QueueBasis {
    /// What counts as the pages of a job of which they are not known.
    usual_pages: f64,
    wait: Option<WaitBasis>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct WaitBasis {
    cost: Cost,
    /// How many turns each lane has for each one of this lane, and what waits in it.
    others: [(f64, Load); Lane::ALL.len()],
    first: FirstFree,
    slots: f64,
    error: f64,
    unevenness: f64,
}

impl QueueBasis {
    /// How long a job at this position will wait.
    pub fn wait(&self, position: QueuePosition) -> Option<Estimate> {
        self.wait?.estimate(position)
    }

    /// Pages in a load; what is not known counts as the average, and as 1 before there is one.
    pub fn pages(&self, load: Load) -> u64 {
        load.pages + (load.unknown as f64 * self.usual_pages).round() as u64
    }
}

impl WaitBasis {
    fn estimate(&self, position: QueuePosition) -> Option<Estimate> {
        let Self { cost, slots, error: deviation, .. } = *self;
        let (mut work, mut squares) = (cost.of(position.ahead), cost.squares_of(position.ahead));
        for (turns, waiting) in self.others {
            let turns = f64::from(position.position) * turns;
            let share = (turns / waiting.jobs.max(1) as f64).min(1.0);
            work += share * cost.of(waiting);
            squares += share * cost.squares_of(waiting);
        }
        let first = self.first.ms;
        let ms = first + work / slots;
        let error = deviation.powi(2) + self.unevenness.powi(2);
        let one = cost.of(Load::of(None));
        let variance = error * squares / slots.powi(2)
            + MEAN_IS_UNSURE * error * ms.powi(2)
            + (deviation.powi(2) + self.first.unknown) * first.powi(2)
            // With several slots nobody knows how their ends are spread.
            + if work > 0.0 { one.powi(2) / 12.0 * (1.0 - 1.0 / slots.max(1.0)) } else { 0.0 };
        if variance.sqrt() > TOO_UNSURE * (ms + SHORT) {
            return None;
        }
        let off = BAND * variance.sqrt();
        Some(Estimate { ms: ms as u64, low: (ms - off).max(0.0) as u64, high: (ms + off).ceil() as u64 })
    }
}

impl Projection for Estimates {
    fn replay(&mut self, past: &PastEvent<'_>) {
        let waited = past.event.at.ms_since(past.job.queued).min(LONGEST_WAIT).unsigned_abs();
        self.learn(past.event, past.job, past.at, waited);
    }

    /// The replayed events say more than the state of a job.
    fn restore(&mut self, _change: &JobChange<'_>) {}

    fn on_change(&mut self, change: &JobChange<'_>) {
        match (&change.entry.record, change.before) {
            (Record::Changed { event, job }, before) => {
                let stayed = before.map_or(0, |before| change.now.ms_since(before.since));
                self.learn(event, job, change.now, stayed);
            }
            (Record::Forgotten, Some(before)) => self.forget(&before.job.id),
            (Record::Forgotten, None) => {}
        }
    }
}

impl Estimates {
    /// Learns from an event that is seen now, given the job after it and for how many milliseconds it was in its state
    /// before.
    pub fn learn(&mut self, event: &Event, job: &Job, at: Moment, stayed_ms: u64) {
        match &event.change {
            Change::Started { worker, .. } => {
                self.started(job, AttemptMeasurement::start(job, worker.clone(), at), at, stayed_ms)
            }
            Change::Planned { pages, .. } => {
                self.kind(job).pages.add(f64::from(*pages));
                if let Some(run) = self.runs.get_mut(&job.id) {
                    run.planned(at);
                }
            }
            Change::PageFinished { page, .. } => self.page(job, at, page),
            Change::Succeeded { .. } => {
                if let Some(run) = self.runs.remove(&job.id) {
                    run.succeeded(self.kind(job), job, at);
                }
            }
            Change::Retrying { .. } | Change::Failed { .. } | Change::Cancelled { .. } => self.forget(&job.id),
            Change::Submitted(_)
            | Change::ExportStarted { .. }
            | Change::ExportCompleted { .. }
            | Change::ExportFailed { .. }
            | Change::OutputStored { .. }
            | Change::Requeued { .. }
            | Change::Cancelling { .. } => {}
        }
    }

    /// A job is gone.
    pub fn forget(&mut self, id: &JobId) {
        self.runs.remove(id);
    }

    /// Recomputes the worker pools from the workers that are connected now.
    pub fn update_pools(&mut self, view: &View, workers: &[WorkerCapacity], now: Moment) {
        /// Running jobs: the least that one still takes, how many may be known of, and how many there are.
        type Ends = (Option<f64>, u32, u32);
        let mut ends: HashMap<&str, Ends> = HashMap::new();
        for current in view.held() {
            let (first, sure, all) = ends.entry(&current.job.kind).or_default();
            *all += 1;
            if let Some(guess) = self.guess(current, now) {
                *sure += 1;
                *first = Some(first.map_or(guess.ms, |first| first.min(guess.ms)));
            }
        }
        let first_free = |kind: &str| {
            let (first, sure, all) = ends.get(kind)?;
            Some(FirstFree { ms: (*first)?, unknown: f64::from(all - sure) / f64::from(*all) })
        };
        let mut known: HashMap<&str, bool> = HashMap::new();
        let mut demanded = |kind| *known.entry(kind).or_insert_with(|| view.is_demanded(kind));
        let mut builder = WorkerPoolsBuilder::default();
        for worker in workers {
            let ms_per_page = |kind: &str| self.kinds.get(kind).map(|known| known.ms_per_page(&worker.worker));
            builder.add(worker, &mut demanded, ms_per_page);
        }
        let pools = builder.build(first_free, now);
        let mut pairs = pools.iter().map(|(kind, pool)| (self.pools.get(kind), pool));
        if pools.len() != self.pools.len() || !pairs.all(|(old, new)| old.is_some_and(|old| old.is_like(new))) {
            self.changes += 1;
        }
        self.pools = pools;
    }

    /// A number that grows whenever something may be estimated otherwise.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// How long a job at this position of a queue will wait. `None` until there is something to estimate from, and while no
    /// worker for it is there.
    pub fn wait(&self, view: &View, kind: &str, lane: Lane, position: QueuePosition, now: Moment) -> Option<Estimate> {
        self.basis(view, kind, lane, now).wait(position)
    }

    /// Pages in a load; what is not known counts as the average, and as 1 before there is one.
    pub fn pages(&self, kind: &str, load: Load) -> u64 {
        QueueBasis { usual_pages: self.usual_pages(kind), wait: None }.pages(load)
    }

    /// What the estimates for all jobs of a queue are made from, at this moment.
    pub fn basis(&self, view: &View, kind: &str, lane: Lane, now: Moment) -> QueueBasis {
        QueueBasis { usual_pages: self.usual_pages(kind), wait: self.wait_basis(view, kind, lane, now) }
    }

    fn usual_pages(&self, kind: &str) -> f64 {
        self.kinds.get(kind).and_then(KindModel::usual_pages).unwrap_or(1.0)
    }

    fn wait_basis(&self, view: &View, kind: &str, lane: Lane, now: Moment) -> Option<WaitBasis> {
        let (known, pool) = (self.kinds.get(kind)?, self.pools.get(kind)?);
        let cost = known.cost(pool.ms_per_page)?;
        let (first, weights) = (pool.first_free(now)?, view.weights());
        let weight = |other| f64::from(weights.of(other));
        // Its own lane is in there too: nothing of it counts.
        let others = Lane::ALL.map(|other| match other == lane {
            true => (0.0, Load::default()),
            false => (weight(other) / weight(lane), view.queue(kind, other).waiting),
        });
        let (error, unevenness) = (known.error(0), known.unevenness());
        let (first, slots) = self.within_limit(view, kind, cost, (first, pool.slots));
        Some(WaitBasis { cost, others, first, slots, error, unevenness })
    }

    /// When the first slot is free and how many there are, where no more of the kind may run than some. While so many run, a free slot
    /// is of no use: the first of them to end is taken to have the usual part of an average job before it.
    fn within_limit(&self, view: &View, kind: &str, cost: Cost, of_pool: (FirstFree, f64)) -> (FirstFree, f64) {
        let (first, slots) = of_pool;
        let Some(most) = self.kind_limits.get(kind).copied().filter(|most| f64::from(*most) < slots) else {
            return of_pool;
        };
        let slots = f64::from(most);
        if view.running_in_all(kind) < most {
            return (first, slots);
        }
        let ms = cost.of(Load::of(None)) / (slots + 1.0);
        (FirstFree { ms: first.ms.max(ms), ..first }, slots)
    }

    /// The most jobs of a kind that run at once, where that is limited.
    pub fn set_kind_limits(&mut self, limits: BTreeMap<Box<str>, u32>) {
        self.kind_limits = limits;
    }

    /// How long a running job may still take.
    pub fn remaining(&self, current: &CurrentJob, now: Moment) -> Option<Estimate> {
        let RawEstimate { ms, spread } = self.guess(current, now)?;
        let model = self.kinds.get(&current.job.kind);
        // Before anything was measured the first guess of the deviation stands.
        let error = model.map_or_else(|| KindModel::default().error(0), |model| model.error(part(&current.job)));
        let factor = (BAND * (error.powi(2) + spread.powi(2).ln_1p()).sqrt()).exp();
        Some(Estimate { ms: ms as u64, low: (ms / factor) as u64, high: (ms * factor).ceil() as u64 })
    }

    /// How long the jobs of a queue that started lately had waited, in milliseconds.
    pub fn average_wait(&self, kind: &str, lane: Lane) -> Option<u64> {
        self.kinds.get(kind)?.average_wait(lane).map(|ms| ms as u64)
    }

    fn kind(&mut self, job: &Job) -> &mut KindModel {
        self.tick += 1;
        self.changes += 1;
        if self.kinds.len() >= MAX_KINDS && !self.kinds.contains_key(&job.kind) {
            let idle = self.used.iter().min_by_key(|(_, used)| **used).map(|(kind, _)| kind.clone());
            if let Some(idle) = idle {
                self.kinds.remove(&idle);
                self.used.remove(&idle);
            }
        }
        self.used.insert(job.kind.clone(), self.tick);
        self.kinds.entry(job.kind.clone()).or_default()
    }

    fn started(&mut self, job: &Job, mut run: AttemptMeasurement, at: Moment, waited_ms: u64) {
        let kind = self.kind(job);
        // Who is tried again had its turn already.
        if job.attempts.last().is_none_or(|last| last.ended <= job.queued) {
            kind.learn_wait(job.lane, waited_ms as f64);
        }
        run.estimated(job, at, run.remaining(kind, job, at));
        self.runs.insert(job.id.clone(), run);
    }

    fn page(&mut self, job: &Job, at: Moment, page: &Page) {
        let Some(mut run) = self.runs.remove(&job.id) else { return };
        let kind = self.kind(job);
        run.page(kind, at, ReadMethod::of(page), page.duration_ms);
        run.estimated(job, at, run.remaining(kind, job, at));
        self.runs.insert(job.id.clone(), run);
    }

    fn guess(&self, current: &CurrentJob, now: Moment) -> Option<RawEstimate> {
        let job = &current.job;
        if job.state != State::Running {
            return None;
        }
        let model = self.kinds.get(&job.kind);
        let run = self.runs.get(&job.id).filter(|run| run.is_of(job));
        let percent = || {
            let ms = by_percent(job, current.progress().percent, now.ms_since(current.since))?;
            Some(RawEstimate { ms, spread: 0.0 })
        };
        match (model, run) {
            (Some(model), Some(run)) if model.has_pages() => run.remaining(model, job, now),
            // Its percent is of pages, of which more is known: it would be a worse guess.
            (Some(model), None) if model.has_pages() => None,
            // A kind without pages: the worker's own percent is better than what others took.
            (Some(model), run) => percent().or_else(|| run.and_then(|run| run.remaining(model, job, now))),
            (None, _) => percent(),
        }
    }
}
