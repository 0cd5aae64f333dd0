//! Which attempt at which job.

use std::sync::Arc;

use courant_joblog::ids::JobId;
use courant_joblog::job::Job;

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
    pub fn lease_lost(&self) -> Error {
        Error::LeaseLost { job: self.job.clone(), attempt: self.number }
    }

    /// The job, if a worker holds it in this attempt.
    pub fn held_job(&self, engine: &Engine) -> Result<Arc<Job>, Error> {
        engine
            .read(|view| view.unfinished(&self.job).map(|current| current.job.clone()))
            .filter(|job| job.state.is_held() && job.attempt == self.number)
            .ok_or_else(|| self.lease_lost())
    }
}
