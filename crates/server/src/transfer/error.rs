//! Why a log or its files did not get from one place to another.

use std::path::PathBuf;

use courant_joblog::copy::CopyError;
use courant_joblog::log::ReadError;
use courant_joblog::sqlite;
use courant_joblog::tally::TallyError;

use crate::data_dir::DataDirError;
use crate::error::Error;
use crate::fault::error_chain;
use crate::objects;

#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error(transparent)]
    Source(#[from] sqlite::OpenError),
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error("the log cannot be read: {0}")]
    Read(#[from] ReadError),
    #[error(transparent)]
    Tally(#[from] TallyError),
    #[cfg(feature = "nats")]
    #[error(transparent)]
    Nats(#[from] courant_natslog::OpenError),
    #[error(transparent)]
    Objects(#[from] objects::OpenError),
    /// It does not answer, or not as a store.
    #[error("--objects {url} cannot be used: {reason}")]
    Store { url: String, reason: String },
    /// A file of a job.
    #[error("{path} cannot be copied: {reason}")]
    File { path: String, reason: String },
    /// Its content is not what its name says.
    #[error("{path} is damaged: its SHA-256 is {found}; put it back from a backup, or remove the job")]
    Damaged { path: String, found: Box<str> },
    #[error("{path} cannot be used: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    /// Nothing is written over.
    #[error("{0} is there already; name a new folder")]
    Exists(PathBuf),
    /// A backup that was cut off.
    #[error("{0} was left by a backup that was cut off; remove it, and start again")]
    Leftover(PathBuf),
    #[error("there is no stream {stream} on these NATS servers; check --log-stream")]
    NoStream { stream: String },
    #[error(
        "the largest event of the log has {bytes} bytes, and the NATS servers take {limit}; set max_payload: {} or more in their \
         configuration", bytes + 1024
    )]
    TooLarge { bytes: u64, limit: u64 },
    /// The copy is not what was copied.
    #[error("the copy has {found}, and the log has {expected}; do not use it")]
    Mismatch { found: String, expected: String },
    /// A task ended before its time.
    #[error("interrupted: {0}")]
    Interrupted(String),
}

impl TransferError {
    /// Does something on a thread that may block.
    pub(super) async fn blocking<T: Send + 'static, E: Into<Self> + Send + 'static>(
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, Self> {
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| Self::Interrupted(error.to_string()))?.map_err(Into::into)
    }

    pub(super) fn file(path: &object_store::path::Path, error: &Error) -> Self {
        Self::File { path: path.to_string(), reason: error_chain(error) }
    }

    pub(super) fn stored(path: &object_store::path::Path, error: &object_store::Error) -> Self {
        Self::File { path: path.to_string(), reason: error_chain(error) }
    }
}
