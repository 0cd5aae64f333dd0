//! Which attempt at which job.

use std::sync::Arc;

use courant_joblog::ids::JobId;
use courant_joblog::job::Job;
use courant_proto::v1::AttemptRef;

use crate::convert::job_id;
use crate::engine::Engine;
use crate::error::Error;

/// One attempt at one job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttemptId {
    pub job: JobId,
    /// From 1.
    pub number: u32,
}

impl AttemptId {
    /// The attempt a job is in.
    pub fn of(job: &Job) -> Self {
        Self { job: job.id.clone(), number: job.attempt }
    }

    /// The error of whoever no longer holds it.
    pub fn lost(&self) -> Error {
        Error::LeaseLost { job: self.job.clone(), attempt: self.number }
    }

    /// The job, if a worker holds it in this attempt.
    pub fn held(&self, engine: &Engine) -> Result<Arc<Job>, Error> {
        engine
            .read(|view| view.get(&self.job).map(|known| known.job.clone()))
            .filter(|job| job.state.is_held() && job.attempt == self.number)
            .ok_or_else(|| self.lost())
    }
}

/// Reads which attempt a worker speaks of.
pub(super) fn attempt_in(attempt: Option<AttemptRef>) -> Result<AttemptId, Error> {
    let attempt = attempt.ok_or_else(|| Error::field("attempt", "must be set"))?;
    let number = u32::try_from(attempt.attempt).ok().filter(|number| *number > 0);
    let number = number.ok_or_else(|| Error::field("attempt.attempt", "must be at least 1"))?;
    Ok(AttemptId { job: job_id(&attempt.job_id)?, number })
}
