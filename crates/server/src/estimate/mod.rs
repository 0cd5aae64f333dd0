//! Estimates from measurements: how long a job may wait, and how long a running one may take. Never promises; each comes
//! with a band that says how sure it is.
//!
//! What is measured, per kind of work: the time between a worker's finished pages (per worker too), the time before the
//! first and after the last page, the pages of a document, and how wrong such estimates turned out to be: the band is
//! that. A wait is the work that will be taken before the job, divided among the slots of the workers that are there now;
//! jobs and workers yet to come are not foreseen.

mod average;
mod crew;
mod kind;
mod run;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use courant_joblog::event::{Change, Event};
use courant_joblog::ids::{JobId, Timestamp};
use courant_joblog::job::{Job, Lane, State};

pub use self::crew::Hand;
use self::crew::{Crew, Gathering};
use self::kind::Kind;
use self::run::{Run, by_percent, part};
use crate::view::{Known, Load, Place, View};

/// 8 of 10 cases lie within so many deviations on either side.
const BAND: f64 = 1.2816;
/// How uncertain a mean of recent jobs is itself: this share of the variance of one.
const MEAN_IS_UNSURE: f64 = 0.05;

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
    kinds: HashMap<Box<str>, Kind>,
    runs: HashMap<JobId, Run>,
    crews: HashMap<Box<str>, Crew>,
}

impl Estimates {
    /// Learns from an event, given the job after it.
    pub fn learn(&mut self, event: &Event, job: &Job) {
        let at = event.at;
        match &event.change {
            Change::Started { worker, .. } => self.started(job, Run::start(job, worker.clone(), at), at),
            Change::Planned { pages, .. } => {
                self.kind(job).pages.add(f64::from(*pages));
                if let Some(run) = self.runs.get_mut(&job.id) {
                    run.planned(at);
                }
            }
            Change::PageFinished { page, .. } => self.page(job, at, page.duration_ms),
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
            | Change::Requeued { .. }
            | Change::Cancelling { .. } => {}
        }
    }

    /// A job is gone.
    pub fn forget(&mut self, id: &JobId) {
        self.runs.remove(id);
    }

    /// Looks at who works now.
    pub fn look(&mut self, view: &View, hands: &[Hand], now: Timestamp) {
        let mut first_free: HashMap<&str, f64> = HashMap::new();
        for known in view.held() {
            if let Some(ms) = self.remaining_ms(known, now) {
                let first = first_free.entry(&known.job.kind).or_insert(ms);
                *first = first.min(ms);
            }
        }
        let mut known: HashMap<&str, bool> = HashMap::new();
        let mut demanded = |kind| *known.entry(kind).or_insert_with(|| view.is_demanded(kind));
        let mut gathering = Gathering::default();
        for hand in hands {
            let pace = |kind: &str| self.kinds.get(kind).map(|known| known.pace(&hand.worker));
            gathering.add(hand, &mut demanded, pace);
        }
        self.crews = gathering.crews(|kind| first_free.get(kind).copied().unwrap_or(0.0), now);
    }

    /// How long a job at this place of a line will wait. `None` until there is something to estimate from, and while no
    /// worker for it is there.
    pub fn wait(&self, view: &View, kind: &str, lane: Lane, place: Place, now: Timestamp) -> Option<Estimate> {
        let (known, crew) = (self.kinds.get(kind)?, self.crews.get(kind)?);
        let cost = known.cost(crew.pace)?;
        let (mut work, mut squares) = (cost.of(place.ahead), cost.squares_of(place.ahead));
        let weights = view.weights();
        for other in Lane::ALL.into_iter().filter(|other| *other != lane) {
            let waiting = view.line(kind, other).waiting;
            let turns = f64::from(place.position) * f64::from(weights.of(other)) / f64::from(weights.of(lane));
            let share = (turns / waiting.jobs.max(1) as f64).min(1.0);
            work += share * cost.of(waiting);
            squares += share * cost.squares_of(waiting);
        }
        let first = crew.first_free(now);
        let ms = first + work / crew.slots;
        let miss = known.miss(0).powi(2);
        let one = cost.of(Load::of(None));
        let variance = miss * squares / crew.slots.powi(2)
            + MEAN_IS_UNSURE * miss * ms.powi(2)
            + miss * first.powi(2)
            // With several slots nobody knows how their ends are spread.
            + if work > 0.0 { one.powi(2) / 12.0 * (1.0 - 1.0 / crew.slots.max(1.0)) } else { 0.0 };
        let off = BAND * variance.sqrt();
        Some(Estimate { ms: ms as u64, low: (ms - off).max(0.0) as u64, high: (ms + off).ceil() as u64 })
    }

    /// How long a running job may still take.
    pub fn remaining(&self, known: &Known, now: Timestamp) -> Option<Estimate> {
        let ms = self.remaining_ms(known, now)?;
        let model = self.kinds.get(&known.job.kind);
        // Before anything was measured the first guess of the deviation stands.
        let miss = model.map_or_else(|| Kind::default().miss(0), |model| model.miss(part(&known.job)));
        let factor = (BAND * miss).exp();
        Some(Estimate { ms: ms as u64, low: (ms / factor) as u64, high: (ms * factor).ceil() as u64 })
    }

    /// Pages in a load; what is not known counts as the average, and as 1 before there is one.
    pub fn pages(&self, kind: &str, load: Load) -> u64 {
        let usual = self.kinds.get(kind).and_then(Kind::usual_pages).unwrap_or(1.0);
        load.pages + (load.unknown as f64 * usual).round() as u64
    }

    /// How long the jobs of a line that started lately had waited, in milliseconds.
    pub fn average_wait(&self, kind: &str, lane: Lane) -> Option<u64> {
        self.kinds.get(kind)?.average_wait(lane).map(|ms| ms as u64)
    }

    fn kind(&mut self, job: &Job) -> &mut Kind {
        self.kinds.entry(job.kind.clone()).or_default()
    }

    fn started(&mut self, job: &Job, mut run: Run, at: Timestamp) {
        let kind = self.kinds.entry(job.kind.clone()).or_default();
        // Who is tried again had its turn already.
        if job.attempts.last().is_none_or(|last| last.ended <= job.queued) {
            kind.learn_wait(job.lane, at.ms_since(job.queued) as f64);
        }
        run.estimated(job, at, run.remaining(kind, job, at));
        self.runs.insert(job.id.clone(), run);
    }

    fn page(&mut self, job: &Job, at: Timestamp, duration_ms: u64) {
        let Some(run) = self.runs.get_mut(&job.id) else { return };
        let kind = self.kinds.entry(job.kind.clone()).or_default();
        run.page(kind, at, duration_ms);
        run.estimated(job, at, run.remaining(kind, job, at));
    }

    fn remaining_ms(&self, known: &Known, now: Timestamp) -> Option<f64> {
        let job = &known.job;
        if job.state != State::Running {
            return None;
        }
        let model = self.kinds.get(&job.kind);
        let run = self.runs.get(&job.id).filter(|run| run.is_of(job));
        let percent = || by_percent(job, known.progress().percent, now);
        match (model, run) {
            // A kind without pages: the worker's own word is better than what others took.
            (Some(model), _) if model.any_pace().is_none() => {
                percent().or_else(|| run.and_then(|run| run.remaining(model, job, now)))
            }
            (Some(model), Some(run)) => run.remaining(model, job, now).or_else(percent),
            _ => percent(),
        }
    }
}

/// How long the current attempt runs already or ran, in milliseconds. `None` before the first.
pub fn elapsed_ms(job: &Job, now: Timestamp) -> Option<u64> {
    let start = job.attempt_started?;
    let end = match job.state {
        State::Running | State::Cancelling => now,
        State::Succeeded | State::Failed | State::Cancelled => job.ended?,
        State::Queued => return None,
    };
    Some(end.ms_since(start) as u64)
}
