//! One attempt while it runs: what is measured of it, and how long it may still take.

use courant_joblog::ids::{Timestamp, WorkerId};
use courant_joblog::job::{Job, State};

use super::kind::{Kind, PARTS};

/// How many of its own pages count as much as all that is known of its worker: pages of one document are alike.
const PRIOR_PAGES: f64 = 5.0;
/// What is overdue still takes this share of what it usually takes.
const OVERDUE: f64 = 0.05;

/// An attempt under way.
#[derive(Debug)]
pub struct Run {
    attempt: u32,
    worker: WorkerId,
    started: Timestamp,
    /// When the pages began, or the last one was finished.
    mark: Option<Timestamp>,
    pages: u32,
    pages_ms: f64,
    /// What was estimated at the beginning of each part, and when.
    told: [Option<(Timestamp, f64)>; PARTS],
}

impl Run {
    /// A worker has started on the job.
    pub fn start(job: &Job, worker: WorkerId, at: Timestamp) -> Self {
        Self { attempt: job.attempt, worker, started: at, mark: None, pages: 0, pages_ms: 0.0, told: [None; PARTS] }
    }

    /// Whether it is of this attempt.
    pub fn is_of(&self, job: &Job) -> bool {
        self.attempt == job.attempt && job.state.is_held()
    }

    /// The document is open, pages begin.
    pub fn planned(&mut self, at: Timestamp) {
        self.mark = Some(at);
    }

    /// A page is finished. A page that nothing came before is measured by its own word.
    pub fn page(&mut self, kind: &mut Kind, at: Timestamp, duration_ms: u64) {
        let ms = self.mark.map_or(duration_ms as f64, |mark| at.ms_since(mark) as f64);
        self.mark = Some(at);
        self.pages += 1;
        self.pages_ms += ms;
        kind.learn_page(&self.worker, ms);
    }

    /// Remembers what is estimated now, at the beginning of a part of the job.
    pub fn estimated(&mut self, job: &Job, at: Timestamp, ms: Option<f64>) {
        let (told, Some(ms)) = (&mut self.told[part(job)], ms) else { return };
        told.get_or_insert((at, ms));
    }

    /// The job has ended well: what it took is learned.
    pub fn succeeded(&self, kind: &mut Kind, job: &Job, at: Timestamp) {
        let whole = at.ms_since(self.started) as f64;
        let pages = f64::from(job.pages.total.unwrap_or(0));
        match self.mark {
            None => kind.tail.add(pages, whole),
            Some(mark) => {
                let tail = at.ms_since(mark) as f64;
                kind.head.add((whole - tail - self.pages_ms).max(0.0));
                kind.tail.add(pages, tail);
            }
        }
        for (part, (then, ms)) in self.told.iter().enumerate().filter_map(|(part, told)| Some((part, (*told)?))) {
            kind.learn_miss(part, ms, at.ms_since(then) as f64);
        }
    }

    /// Milliseconds it may still take. `None` while there is nothing to estimate from.
    pub fn remaining(&self, kind: &Kind, job: &Job, now: Timestamp) -> Option<f64> {
        let elapsed = now.ms_since(self.started) as f64;
        let total = job.pages.total.or(job.pages.expected).map(f64::from).or(kind.usual_pages());
        let (Some(total), Some(pace)) = (total, self.pace(kind)) else {
            let whole = kind.tail.at(0.0)?;
            return Some((whole - elapsed).max(OVERDUE * whole));
        };
        let left = (total - f64::from(job.pages.done_count())).max(0.0);
        let tail = kind.tail.at(total).unwrap_or(0.0);
        let since = self.mark.map(|mark| now.ms_since(mark) as f64);
        Some(match since {
            None => (kind.head.mean().unwrap_or(0.0) - elapsed).max(0.0) + left * pace + tail,
            Some(since) if left > 0.0 => left * pace - since.min((1.0 - OVERDUE) * pace) + tail,
            Some(since) => (tail - since).max(OVERDUE * tail),
        })
    }

    /// Milliseconds a page of this document takes this worker.
    fn pace(&self, kind: &Kind) -> Option<f64> {
        let usual = kind.pace(&self.worker)?;
        Some((usual * PRIOR_PAGES + self.pages_ms) / (PRIOR_PAGES + f64::from(self.pages)))
    }
}

/// The part of its work a job is in.
pub fn part(job: &Job) -> usize {
    let total = job.pages.total.unwrap_or(0).max(1) as usize;
    (job.pages.done_count() as usize * PARTS / total).min(PARTS - 1)
}

/// Milliseconds a job may still take by its own percent alone, which say little: for kinds without pages.
pub fn by_percent(job: &Job, percent: f64, now: Timestamp) -> Option<f64> {
    /// Below this percent too little is done to guess from.
    const MIN_GAIN: f64 = 2.0;
    if job.state != State::Running {
        return None;
    }
    let total = f64::from(job.pages.total.unwrap_or(0)).max(1.0);
    let earlier = job.pages.done_count() - job.pages.done_by(job.attempt);
    // What earlier attempts' pages gave this one for nothing.
    let gain = percent - 60.0 * f64::from(earlier) / total;
    let elapsed = now.ms_since(job.attempt_started?) as f64;
    (gain >= MIN_GAIN && percent > 15.0).then(|| elapsed * (100.0 - percent) / gain)
}
