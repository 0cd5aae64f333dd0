//! Why a log was not copied.

use crate::ids::JobId;
use crate::log::{AppendError, ReadError};
use crate::sqlite::{BuildError, OpenError};
use crate::tally::TallyError;

/// Why a log was not copied, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("the log to copy cannot be read: {0}")]
    Read(#[from] ReadError),
    #[error(transparent)]
    Tally(#[from] TallyError),
    /// What is there was not copied from here.
    #[error("the target has other events of job {job} than the log to copy, or more; start again with an empty target")]
    Differs { job: JobId },
    /// Another program appends to a job that is being copied.
    #[error("another program writes job {job} into the target; stop it, and start again with an empty target")]
    Contended { job: JobId },
    #[error("job {job} cannot be copied: {source}")]
    Append { job: JobId, source: AppendError },
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("the copy cannot be made: {0}")]
    Open(#[from] OpenError),
    /// A task of this program ended before its time.
    #[error("copying was interrupted: {0}")]
    Interrupted(String),
}
