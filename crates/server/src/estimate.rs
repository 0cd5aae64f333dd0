//! Guesses from measurements: how long a job may wait, and how long a running one may take. Never promises.

use courant_joblog::ids::Timestamp;
use courant_joblog::job::{Job, State};

use crate::view::{Known, Place};

/// How much the newest measurement counts against all before it.
const NEWEST: f64 = 0.2;
/// Below this percent too little is done to guess from.
const MIN_GAIN: f64 = 2.0;

/// What was learned from finished jobs.
#[derive(Debug, Default)]
pub struct Estimates {
    /// How many jobs can run at once.
    pub slots: u32,
    job_ms: Option<f64>,
}

impl Estimates {
    /// Learns from a job that just ended well.
    pub fn learn(&mut self, job: &Job) {
        let (State::Succeeded, Some(start), Some(end)) = (job.state, job.attempt_started, job.ended) else { return };
        let ms = end.ms_since(start) as f64;
        self.job_ms = Some(self.job_ms.map_or(ms, |known| known + NEWEST * (ms - known)));
    }

    /// How long a waiting job may wait. `None` until a job has ended or while no worker is there.
    pub fn wait_ms(&self, place: Place) -> Option<u64> {
        let per_job = self.job_ms? / f64::from(std::num::NonZeroU32::new(self.slots)?.get());
        Some((per_job * f64::from(place.position)) as u64)
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

/// How long a running job may still take, in milliseconds, by what this attempt has gained so far.
pub fn remaining_ms(known: &Known, now: Timestamp) -> Option<u64> {
    let job = &known.job;
    if job.state != State::Running {
        return None;
    }
    let percent = known.progress().percent;
    let gain = percent - inherited_percent(job);
    let elapsed = elapsed_ms(job, now)? as f64;
    (gain >= MIN_GAIN && percent > 15.0).then(|| (elapsed * (100.0 - percent) / gain) as u64)
}

/// The percent that earlier attempts' pages gave this one for nothing.
fn inherited_percent(job: &Job) -> f64 {
    let total = f64::from(job.pages.total.unwrap_or(0)).max(1.0);
    let earlier = job.pages.done_count() - job.pages.done_by(job.attempt);
    60.0 * f64::from(earlier) / total
}
