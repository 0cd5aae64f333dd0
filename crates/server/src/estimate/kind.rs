//! What is known of one kind of work.

use std::collections::HashMap;

use courant_joblog::ids::WorkerId;
use courant_joblog::job::Lane;

use super::average::{Average, Trend};
use crate::view::Load;

/// Pages a worker's own pace is measured over, and as many times as it counts those of all workers.
const WORKER_PAGES: f64 = 500.0;
/// How many pages of a worker it takes until its own pace counts as much as that of all.
const PRIOR_PAGES: f64 = 20.0;
/// Jobs that averages of whole jobs are measured over.
const JOBS: f64 = 20.0;
/// Workers whose pace is remembered. With more, all are measured anew.
const MAX_WORKERS: usize = 4096;
/// How wrong estimates are taken to be before it was measured (as a logarithm, squared), and how many times that counts.
const MISS: (f64, f64) = (0.25, 3.0);
/// One miss says no more than this (as a logarithm): a machine that slept must not spoil the band for long.
const WORST_MISS: f64 = 1.5;
/// What is too short to be missed, in milliseconds.
const NOTHING: f64 = 100.0;

/// The parts of a job at whose beginning an estimate is compared with what came: by the share of finished pages.
pub const PARTS: usize = 4;

/// What was measured of a kind of work. Times are milliseconds.
#[derive(Debug)]
pub struct Kind {
    /// Pages of a document.
    pub pages: Average,
    /// From the start to the first page.
    pub head: Average,
    /// From the last page to the end: merging and writing results; the whole of a job without pages.
    pub tail: Trend,
    /// A page, on any worker.
    pace: Average,
    workers: HashMap<WorkerId, Average>,
    /// How wrong estimates were, by the part of the job they were made in.
    misses: [Average; PARTS],
    /// How long jobs had waited, by lane.
    waits: [Average; Lane::ALL.len()],
}

impl Default for Kind {
    fn default() -> Self {
        Self {
            pages: Average::over(JOBS),
            head: Average::over(JOBS),
            tail: Trend::default(),
            pace: Average::over(4.0 * WORKER_PAGES),
            workers: HashMap::new(),
            misses: [Average::over(JOBS); PARTS],
            waits: [Average::over(JOBS); Lane::ALL.len()],
        }
    }
}

/// What jobs cost where they are done: so much each, and so much a page.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Milliseconds of a job without its pages.
    pub job: f64,
    /// Milliseconds of a page.
    pub page: f64,
    /// Pages of a job whose pages are not known, and the mean of their squares.
    pub pages: (f64, f64),
}

impl Cost {
    /// Milliseconds that a load takes one slot.
    pub fn of(&self, load: Load) -> f64 {
        load.jobs as f64 * self.job + self.pages_of(load) * self.page
    }

    /// The sum of the squares of what each job takes.
    pub fn squares_of(&self, load: Load) -> f64 {
        let squares = load.squares as f64 + load.unknown as f64 * self.pages.1;
        load.jobs as f64 * self.job.powi(2)
            + 2.0 * self.job * self.page * self.pages_of(load)
            + self.page.powi(2) * squares
    }

    fn pages_of(&self, load: Load) -> f64 {
        load.pages as f64 + load.unknown as f64 * self.pages.0
    }
}

impl Kind {
    /// A page was finished.
    pub fn learn_page(&mut self, worker: &WorkerId, ms: f64) {
        self.pace.add(ms);
        if self.workers.len() >= MAX_WORKERS && !self.workers.contains_key(worker) {
            self.workers.clear();
        }
        self.workers.entry(worker.clone()).or_insert_with(|| Average::over(WORKER_PAGES)).add(ms);
    }

    /// What was estimated in a part of a job, and what came.
    pub fn learn_miss(&mut self, part: usize, estimated: f64, came: f64) {
        let miss = ((came + NOTHING) / (estimated + NOTHING)).ln();
        self.misses[part.min(PARTS - 1)].add(miss.clamp(-WORST_MISS, WORST_MISS));
    }

    /// How long a job of this lane had waited when it started.
    pub fn learn_wait(&mut self, lane: Lane, ms: f64) {
        self.waits[lane as usize].add(ms);
    }

    /// How long jobs of a lane had waited.
    pub fn average_wait(&self, lane: Lane) -> Option<f64> {
        self.waits[lane as usize].mean()
    }

    /// Milliseconds a page takes this worker.
    pub fn pace(&self, worker: &WorkerId) -> Option<f64> {
        let all = self.pace.mean()?;
        Some(self.workers.get(worker).map_or(all, |own| own.mean_with(all, PRIOR_PAGES)))
    }

    /// Milliseconds a page takes any worker.
    pub fn any_pace(&self) -> Option<f64> {
        self.pace.mean()
    }

    /// Pages of a job whose pages are not known.
    pub fn usual_pages(&self) -> Option<f64> {
        self.pages.mean()
    }

    /// How far off an estimate made in this part of a job may be, as the deviation of its logarithm.
    pub fn miss(&self, part: usize) -> f64 {
        self.misses[part.min(PARTS - 1)].mean_square_with(MISS.0, MISS.1).sqrt()
    }

    /// What jobs cost where a page takes so long (`None` where nobody has finished one). `None` before any job has ended or
    /// finished a page.
    pub fn cost(&self, pace: Option<f64>) -> Option<Cost> {
        if pace.is_none() && self.tail.line().is_none() {
            return None;
        }
        let (tail, tail_page) = self.tail.line().unwrap_or_default();
        let pages = self.pages.mean().zip(self.pages.mean_square()).unwrap_or_default();
        Some(Cost { job: self.head.mean().unwrap_or(0.0) + tail, page: pace.unwrap_or(0.0) + tail_page, pages })
    }
}
