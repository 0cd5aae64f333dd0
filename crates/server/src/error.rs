//! What can go wrong in the service, in words that tell the caller what to do. How it looks on the wire is decided in
//! one other place, `status`.

use std::borrow::Cow;

use courant_engine::quota::QuotaExceeded;
use courant_engine::watch::WatchError;
use courant_joblog::ids::{BatchId, JobId};
use courant_joblog::job::Format;
use courant_joblog::log::ReadError;

use crate::fault::Fault;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine refused, or its log failed.
    #[error(transparent)]
    Engine(#[from] courant_engine::Error),
    #[error("no token was sent; send the metadata `authorization: Bearer <token>`")]
    TokenMissing,
    /// A bad or old token.
    #[error(transparent)]
    Token(#[from] courant_auth::TokenError),
    /// The token is good but not for this.
    #[error("this needs a token with the role {0}")]
    RoleRequired(&'static str),
    /// The job is not asked to export that.
    #[error("job {job} has no {} result", format.extension())]
    ResultNotFound { job: JobId, format: Format },
    /// The job has no output of this name, or none yet.
    #[error("job {job} has no output {name:?}; ListOutputs says which it has")]
    OutputNotFound { job: JobId, name: String },
    #[error("the {} result of job {job} is not written yet; watch the job and read it when it is", format.extension())]
    ResultNotReady { job: JobId, format: Format },
    /// The job has no such page.
    #[error("job {job} has no page {page} that was read")]
    PageNotFound { job: JobId, page: u32 },
    #[error("page {page} of job {job} is not done yet; watch the job and read it when it is")]
    PageNotReady { job: JobId, page: u32 },
    /// A field is out of its range.
    #[error("{field} {problem}")]
    Field {
        /// Its name in the request, or its path where it is in `parameters`.
        field: Cow<'static, str>,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Messages of a stream in the wrong order.
    #[error("{0}")]
    WrongOrder(&'static str),
    #[error("the document is empty; send its bytes after the header")]
    DocumentEmpty,
    /// Too much was uploaded.
    #[error("the document is larger than the limit of {limit} bytes")]
    DocumentTooLarge { limit: u64 },
    /// Damaged on the way.
    #[error("the document's SHA-256 is {found}, not the promised one; send it again")]
    ChecksumMismatch { found: String },
    /// Not as large as its header promised.
    #[error("the document has {found} bytes where its header promised {promised}; send it again, whole")]
    DocumentCut {
        /// What the header said.
        promised: u64,
        /// What arrived, up to the first piece too many.
        found: u64,
    },
    /// No such upload, or not the caller's, or expired. All look the same.
    #[error("there is no upload {0}, or it is not yours, or it has expired; begin a new one")]
    UploadNotFound(String),
    /// The bytes do not belong at the end of what is there.
    #[error(
        "the upload goes on at byte {offset}, not at {given}; another writer may have been quicker: read it and go on"
    )]
    UploadOffset {
        /// Where the upload ends.
        offset: u64,
        /// Where the bytes were to go.
        given: u64,
    },
    /// No such batch, or not the caller's. Both look the same.
    #[error("there is no batch {0}, or it is not yours")]
    BatchNotFound(BatchId),
    /// The filter cannot be read.
    #[error("filter, at byte {}: {}", .0.at, .0.problem)]
    Filter(courant_engine::filter::InvalidFilter),
    /// A request id used twice.
    #[error("the request id was used for another document; use a new one")]
    RequestIdMismatch,
    #[error(transparent)]
    Cursor(#[from] courant_engine::cursor::InvalidCursor),
    /// Not a page token.
    #[error("not a page token of this list; use one exactly as it was given, with the same filter")]
    PageToken,
    /// No password, or none that can be read.
    #[error(
        "the password of job {0} cannot be read: it has none, or it was sealed under another key; retry it with one"
    )]
    PasswordUnreadable(JobId),
    #[error("there is no artifact {0}")]
    ArtifactNotFound(String),
    /// The artifact is too large.
    #[error("the artifact is larger than the limit of {limit} bytes")]
    ArtifactTooLarge { limit: u64 },
    #[error("the offset {offset} is behind the end of the result, which has {size} bytes")]
    Offset { offset: u64, size: u64 },
    /// The server is stopping.
    #[error("the server is stopping; connect again and continue from your cursor")]
    Draining,
    /// The server that a worker is connected to did not do what it was asked for.
    #[error("the server that worker {0} is connected to does not answer; try again")]
    PeerSilent(courant_joblog::ids::WorkerId),
    /// A stream was replaced by a newer one of the same worker.
    #[error("another stream with the same worker id took over; give each worker its own id")]
    Replaced,
    /// Another user's worker has the id.
    #[error("the worker id {0} belongs to a worker of another user; give each worker an id of its own")]
    WorkerIdTaken(courant_joblog::ids::WorkerId),
    #[error("no worker {0} is known; `courant workers` lists them")]
    WorkerNotFound(String),
    /// The object store failed.
    #[error("{}", Fault::of(.0).client_message())]
    Objects(#[from] object_store::Error),
    /// Nothing is pushed here.
    #[error("this service sends no Web Push; its operator turns it on with --push-contact")]
    PushDisabled,
    /// The store of notifications cannot be read or written: why, for the log.
    #[error("the store of notifications does not answer; try again")]
    NotificationStore(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No such webhook, or not the caller's. Both look the same.
    #[error("there is no webhook {0}, or it is not yours")]
    WebhookNotFound(String),
    /// The store of webhooks cannot be read or written: why, for the log.
    #[error("the store of webhooks does not answer; try again")]
    WebhookStore(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The audit log cannot be read: why, for the log.
    #[error("the audit log cannot be read; the server's log says why")]
    AuditLog(#[source] std::io::Error),
    /// What was done to a lane cannot be kept: why, for the log.
    #[error("what operators do to lanes cannot be kept now; try again, the server's log says why")]
    Lanes(#[source] Box<crate::lanes::LanesError>),
    /// A share of something that all users have in common is used up.
    #[error(transparent)]
    TooMany(#[from] crate::share::Exhausted),
    /// Nothing came for too long.
    #[error("no bytes came for {} s; send the document without such pauses, or use a resumable upload", .0.as_secs())]
    UploadStalled(std::time::Duration),
    /// What comes is too little for what it holds.
    #[error("the document comes too slowly: fewer than {0} bytes per second; use a resumable upload")]
    UploadTooSlow(u64),
}

impl Error {
    /// A field out of its range.
    pub fn field(field: impl Into<Cow<'static, str>>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into() }
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<QuotaExceeded> for Error {
    fn from(refusal: QuotaExceeded) -> Self {
        Self::Engine(refusal.into())
    }
}

impl From<WatchError> for Error {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Stopping => Self::Draining,
            WatchError::TokenExpired => courant_auth::TokenError::Expired.into(),
            WatchError::Engine(error) => error.into(),
        }
    }
}
