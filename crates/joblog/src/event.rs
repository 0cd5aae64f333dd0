//! What can happen to a job, durably. Transient updates (percent, current zone, queue position) are not here: they
//! never touch the log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{BatchId, JobId, Owner, RequestId, Timestamp, WorkerId};
use crate::job::{Document, Format, JobError, Lane, LaterFields, Output, Page};

/// One change and when it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, by the clock of the server that wrote it. Not an order: the revision is.
    pub at: Timestamp,
    pub change: Change,
    /// How long the attempt under way had run, in milliseconds by a clock that nobody sets. `None` while no worker holds
    /// the job, when that is not known, and in logs of versions before 0.2.
    #[serde(default)]
    pub ran_ms: Option<u64>,
}

impl Event {
    /// A change at a time, of which is not known how long the attempt had run.
    pub fn new(at: Timestamp, change: Change) -> Self {
        Self { at, change, ran_ms: None }
    }
}

/// What happened. Changes of an attempt carry its number, so that late reports are recognised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// The job came into being.
    Submitted(Box<Submission>),
    /// A worker took it.
    Started {
        /// The new attempt: the last one plus 1.
        attempt: u32,
        worker: WorkerId,
    },
    /// The number of pages is known.
    Planned {
        attempt: u32,
        /// Pages to be done.
        pages: u32,
        /// The lane the job moves to, now that its size is known.
        #[serde(default)]
        lane: Option<Lane>,
        /// Pages in the document, where not all of them are to be done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        document: Option<u32>,
    },
    /// A page is done and stored.
    PageFinished {
        attempt: u32,
        page: Box<Page>,
    },
    ExportStarted {
        attempt: u32,
        format: Format,
    },
    /// An export is stored.
    ExportCompleted {
        attempt: u32,
        format: Format,
        bytes: u64,
        /// Its checksum, lower-case hexadecimal.
        sha256: Box<str>,
    },
    ExportFailed {
        attempt: u32,
        format: Format,
        error: JobError,
    },
    /// An output is stored, or another one in its place.
    OutputStored {
        attempt: u32,
        /// Its attempt is this one.
        output: Box<Output>,
    },
    /// The attempt ended badly, and another will be made.
    Retrying {
        /// The attempt that ended.
        attempt: u32,
        error: JobError,
        /// When the next may start.
        not_before: Timestamp,
        /// Whether the attempt is charged to the job.
        #[serde(rename = "counts")]
        charge: AttemptCharge,
    },
    /// A person asked for another try of an ended job.
    Requeued {
        by: Box<str>,
        /// Where the document's password for this try lies, sealed.
        #[serde(default)]
        password: Option<Box<str>>,
    },
    /// A cancel was asked for while a worker holds the job.
    Cancelling {
        by: Box<str>,
    },
    /// The job ended well.
    Succeeded {
        attempt: u32,
        /// For the reader of the result.
        warnings: Vec<String>,
    },
    /// The job ended badly.
    Failed {
        attempt: u32,
        error: JobError,
    },
    /// The job was stopped.
    Cancelled {
        by: Box<str>,
    },
}

impl Change {
    /// Whether it ends a job or an attempt, or asks for the end: what must still be possible when there is no space for more
    /// work.
    pub fn is_end(&self) -> bool {
        match self {
            Self::Retrying { .. }
            | Self::Cancelling { .. }
            | Self::Succeeded { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. } => true,
            Self::Submitted(_)
            | Self::Started { .. }
            | Self::Planned { .. }
            | Self::PageFinished { .. }
            | Self::ExportStarted { .. }
            | Self::ExportCompleted { .. }
            | Self::ExportFailed { .. }
            | Self::OutputStored { .. }
            | Self::Requeued { .. } => false,
        }
    }
}

/// Whether an attempt that ended badly is charged against `max_attempts`. Stored under the names that version 1 gave them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttemptCharge {
    /// It does, unless it finished a page.
    #[serde(rename = "Yes")]
    Charged,
    /// It does not: the worker handed the job back in good order.
    #[serde(rename = "No")]
    Free,
}

/// What is fixed when a job comes into being.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    pub id: JobId,
    pub owner: Owner,
    pub document: Document,
    /// Submitted together with others.
    pub batch: Option<BatchId>,
    /// The submit, when it may be repeated.
    pub request: Option<RequestId>,
    /// The kind of work.
    pub kind: Box<str>,
    /// The lane to wait in.
    pub lane: Lane,
    /// Labels of the caller.
    pub labels: BTreeMap<String, String>,
    pub formats: Vec<Format>,
    /// How many attempts without progress in a row end the job, at least 1.
    pub max_attempts: u32,
    /// Pages in the document, as declared by the caller.
    #[serde(default)]
    pub pages: Option<u32>,
    /// How many jobs the batch will have, as declared by the caller.
    #[serde(default)]
    pub batch_size: Option<u32>,
    /// Milliseconds without a watcher after which the job is cancelled.
    #[serde(default)]
    pub cancel_unwatched_ms: Option<u64>,
    /// Where the document's password lies, sealed. Never the password.
    #[serde(default)]
    pub password: Option<Box<str>>,
    /// Those of the job; no outputs.
    #[serde(default, rename = "folder", skip_serializing_if = "LaterFields::is_empty")]
    pub later: LaterFields,
}
