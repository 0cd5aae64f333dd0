//! One job as the view has it: the state in the log, and what is newer.

use std::sync::Arc;

use courant_joblog::ids::{Revision, Timestamp};
use courant_joblog::job::{Job, Progress, State, Zone};

use crate::clock::Moment;

#[derive(Clone, Debug)]
pub struct CurrentJob {
    /// The revision of its newest entry.
    pub revision: Revision,
    /// As the log has it.
    pub job: Arc<Job>,
    /// What is newer than the log.
    pub live: Option<Arc<LiveProgress>>,
    /// Since when it waits, is held (by the same attempt) or has ended, by the view's clock.
    pub since: Moment,
}

/// Progress of a running attempt that is not in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveProgress {
    pub attempt: u32,
    /// How far it is.
    pub progress: Progress,
    /// What it works on.
    pub zone: Option<Zone>,
}

impl CurrentJob {
    /// How long the attempt under way runs, or the last one ran, in milliseconds. `None` before the first, and while the
    /// job waits for the next.
    pub fn elapsed_ms(&self, now: Moment) -> Option<u64> {
        match self.job.state {
            State::Running | State::Cancelling => self.held_for_ms(now),
            State::Succeeded | State::Failed | State::Cancelled => self.job.ran_for_ms(),
            State::Queued => None,
        }
    }

    /// How long a worker holds it for this attempt, in milliseconds.
    pub fn held_for_ms(&self, now: Moment) -> Option<u64> {
        self.job.state.is_held().then(|| now.ms_since(self.since))
    }

    /// The job with the percent that was sent live. An entry made of it says no less than that, whoever reads it later from
    /// the log: after a reconnect, behind a snapshot, from another server.
    pub fn with_live_percent(&self) -> Arc<Job> {
        let percent = self.progress().percent;
        if percent <= self.job.progress.percent {
            return self.job.clone();
        }
        let mut job = Job::clone(&self.job);
        job.progress.percent = percent;
        Arc::new(job)
    }

    /// How far the job is, by the newest update.
    pub fn progress(&self) -> &Progress {
        match &self.live {
            Some(live) => &live.progress,
            None => &self.job.progress,
        }
    }
}

/// Since when a job is in its state according to the log.
pub(super) fn logged_since(job: &Job) -> Timestamp {
    match job.state {
        State::Queued => job.attempts.last().map_or(job.queued, |last| last.ended.max(job.queued)),
        State::Running | State::Cancelling => job.attempt_started.unwrap_or(job.queued),
        State::Succeeded | State::Failed | State::Cancelled => job.ended.unwrap_or(job.queued),
    }
}

/// Whether a job goes on with what it did: it waits, or is held by the same attempt.
pub(super) fn continues(old: &Job, new: &Job) -> bool {
    let phase = |job: &Job| (job.state == State::Queued, job.state.is_held(), job.attempt);
    phase(old) == phase(new) && (new.state != State::Queued || old.queued == new.queued)
}

/// The live progress after a durable event: that of the event, but no percent lower than was sent already.
pub(super) fn carry_over(live: &LiveProgress, job: &Job) -> Option<Arc<LiveProgress>> {
    if !job.state.is_held() || job.attempt != live.attempt {
        return None;
    }
    let percent = live.progress.percent.max(job.progress.percent);
    let progress = Progress { percent, ..job.progress.clone() };
    Some(Arc::new(LiveProgress { attempt: live.attempt, progress, zone: None }))
}
