//! What the engine refuses, in words that tell the caller what to do.

use courant_joblog::apply::IllegalChange;
use courant_joblog::ids::JobId;
use courant_joblog::job::State;
use courant_joblog::log::{AppendError, ReadError};

use crate::cursor::Gap;
use crate::quota::QuotaExceeded;

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such job, or not the caller's. Both look the same.
    #[error("there is no job {0}, or it is not yours")]
    JobNotFound(JobId),
    /// The job's state does not allow it.
    #[error("job {job} is {}; {needs}", state_name(*state))]
    JobState {
        job: JobId,
        state: State,
        /// What would be needed.
        needs: &'static str,
    },
    /// The attempt is somebody else's.
    #[error("attempt {attempt} of job {job} is not, or no longer, yours; stop working on it")]
    LeaseLost { job: JobId, attempt: u32 },
    /// The owner's quota is used up.
    #[error(transparent)]
    Quota(#[from] QuotaExceeded),
    /// Events after the cursor are gone.
    #[error("the cursor cannot be continued from: {}; start from a snapshot", gap_words(*.0))]
    CursorTooOld(Gap),
    /// The log does not take entries.
    #[error("{}", append_words(.0))]
    Append(#[source] AppendError),
    /// The log cannot be read.
    #[error("the log does not answer; try again")]
    Read(#[from] ReadError),
    /// Lost too many races.
    #[error("too many changes to job {0} at once; try again")]
    Busy(JobId),
    /// A move that the life of a job does not have, where the service should have known better.
    #[error("internal error; the server's log says more")]
    IllegalChange(#[from] IllegalChange),
}

fn append_words(error: &AppendError) -> &'static str {
    match error {
        AppendError::Full => {
            "there is no space left for the log, and nothing was changed; try again when the operator has made some"
        }
        AppendError::Unavailable { .. } => "the log cannot be reached, and nothing was changed; try again",
        AppendError::Conflict { .. }
        | AppendError::TooLarge { .. }
        | AppendError::Unencodable { .. }
        | AppendError::Unknown { .. } => "the log does not answer; try again",
    }
}

fn gap_words(gap: Gap) -> &'static str {
    match gap {
        Gap::HistoryTrimmed => "events after it are no longer kept",
        Gap::LogReplaced => "the log was replaced or restored since",
    }
}

/// The state in a sentence.
fn state_name(state: State) -> &'static str {
    match state {
        State::Queued => "queued",
        State::Running => "running",
        State::Cancelling => "being cancelled",
        State::Succeeded => "finished",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
    }
}
