//! Changes that callers ask for, as the job's state allows them.

use courant_joblog::event::Change;
use courant_joblog::job::{Job, State};

use crate::error::Error;

/// What cancels a job, if it can be cancelled and was not yet.
pub fn cancel_change(job: &Job, by: &str) -> Option<Change> {
    match job.state {
        State::Queued => Some(Change::Cancelled { by: by.into() }),
        State::Running => Some(Change::Cancelling { by: by.into() }),
        State::Cancelling | State::Cancelled | State::Succeeded | State::Failed => None,
    }
}

/// What cancels a job for somebody who expects it to be cancelled. `None` if it is already.
pub fn cancel(job: &Job, by: &str) -> Result<Option<Change>, Error> {
    match job.state {
        State::Succeeded | State::Failed => Err(wrong_state(job, "only an unfinished job can be cancelled")),
        State::Queued | State::Running | State::Cancelling | State::Cancelled => Ok(cancel_change(job, by)),
    }
}

/// Whether a job can be tried again by hand.
pub fn check_retry(job: &Job) -> Result<(), Error> {
    match job.state {
        State::Failed | State::Cancelled => Ok(()),
        State::Queued | State::Running | State::Cancelling | State::Succeeded => {
            Err(wrong_state(job, "only a failed or cancelled job can be tried again"))
        }
    }
}

/// Whether a job can be removed by hand.
pub fn check_remove(job: &Job) -> Result<(), Error> {
    match job.state.is_terminal() {
        true => Ok(()),
        false => Err(wrong_state(job, "only a finished job can be removed; cancel it first")),
    }
}

fn wrong_state(job: &Job, needs: &'static str) -> Error {
    Error::JobState { job: job.id.clone(), state: job.state, needs }
}
