//! A job as it is shown to readers: what the log has, what is newer, and what is estimated of it.

use crate::estimate::{Estimate, QueueBasis};
use crate::view::{CurrentJob, QueuePosition};

/// A job as a reader sees it.
#[derive(Clone, Debug)]
pub struct JobSnapshot {
    /// The job with its newest progress.
    pub current: CurrentJob,
    /// Its position while it waits.
    pub position: Option<EstimatedPosition>,
    /// How long it may still take, while it runs.
    pub remaining: Option<Estimate>,
    /// Milliseconds its attempt runs, or its last one ran.
    pub elapsed: Option<u64>,
}

impl JobSnapshot {
    /// Of a job that has ended: nothing of it is estimated, so it takes no lock.
    pub fn of_ended(current: CurrentJob) -> Self {
        let elapsed = current.job.ran_for_ms();
        Self { current, position: None, remaining: None, elapsed }
    }
}

/// The position of a waiting job as it is sent to watchers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EstimatedPosition {
    /// 1 for the next of its lane.
    pub position: u32,
    /// Pages of the jobs before it.
    pub pages_ahead: u64,
    /// How long it may wait.
    pub wait: Option<Estimate>,
}

impl EstimatedPosition {
    /// A position with what is estimated from it.
    pub fn of(position: QueuePosition, basis: &QueueBasis) -> Self {
        Self { position: position.position, pages_ahead: basis.pages(position.ahead), wait: basis.wait(position) }
    }
}
