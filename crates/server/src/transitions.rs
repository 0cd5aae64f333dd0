//! Changes that several callers ask for, as the job's state allows them.

use courant_joblog::event::Change;
use courant_joblog::job::{Job, State};

/// What cancels a job, if it can be cancelled and was not yet.
pub fn cancel_change(job: &Job, by: &str) -> Option<Change> {
    match job.state {
        State::Queued => Some(Change::Cancelled { by: by.into() }),
        State::Running => Some(Change::Cancelling { by: by.into() }),
        State::Cancelling | State::Cancelled | State::Succeeded | State::Failed => None,
    }
}
