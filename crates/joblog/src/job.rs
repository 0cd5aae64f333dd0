//! The job as a snapshot: everything one needs to know about it, without its history.
//!
//! Written only by [`apply`](crate::apply::apply). Kept in every log entry, so every entry stands by itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::handover::{INLINE_PARAMETERS_BYTES, MAX_OUTPUTS, Output, Parameters};
use crate::ids::{BatchId, DocumentId, JobId, Owner, RequestId, Timestamp, WorkerId};
pub use crate::later_fields::LaterFields;

/// How many past attempts a job remembers.
pub const KEPT_ATTEMPTS: usize = 20;
/// After so many attempts in a row without a finished page a job loses its position in the queue.
pub const MAX_ATTEMPTS_KEEPING_POSITION: usize = 5;
/// How many warnings a job keeps.
pub const KEPT_WARNINGS: usize = 100;

/// One document on its way through the pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub id: JobId,
    pub owner: Owner,
    pub document: Document,
    /// Submitted together with others.
    pub batch: Option<BatchId>,
    /// The submit it came from, when that may be repeated.
    pub request: Option<RequestId>,
    /// The kind of work, matched with what workers take.
    pub kind: Box<str>,
    /// The lane it waits in.
    pub lane: Lane,
    /// Labels of the caller.
    pub labels: BTreeMap<String, String>,
    /// What to export, in this order, without repeats.
    pub formats: Vec<Format>,
    /// Where it is in its life.
    pub state: State,
    /// The current or last attempt; 0 before the first.
    pub attempt: u32,
    /// How many attempts without a finished page end the job.
    pub max_attempts: u32,
    /// Attempts in a row that ended without finishing a page. Stored under the name that version 1 gave it.
    #[serde(rename = "fruitless")]
    pub attempts_without_progress: u32,
    /// Who holds it; only while running or cancelling.
    pub worker: Option<WorkerId>,
    /// How far it is, as of the last durable event.
    pub progress: Progress,
    /// Pages, as far as known.
    pub pages: Pages,
    /// Zones found on finished pages.
    pub zones: u32,
    /// Exports begun so far.
    pub exports: Vec<Export>,
    /// For the reader of the result.
    pub warnings: Vec<String>,
    /// Why the last attempt failed.
    pub error: Option<JobError>,
    /// Attempts that did not succeed, oldest first, at most [`KEPT_ATTEMPTS`].
    pub attempts: Vec<Attempt>,
    /// When it was submitted.
    pub created: Timestamp,
    /// Since when it is in its queue: when it was submitted, queued again by hand, or put at the queue's end. A retry keeps
    /// its position.
    pub queued: Timestamp,
    /// When the first attempt started.
    pub started: Option<Timestamp>,
    /// When the current or last attempt started.
    pub attempt_started: Option<Timestamp>,
    /// When it reached its terminal state.
    pub ended: Option<Timestamp>,
    /// Not before this time may the next attempt start.
    pub not_before: Option<Timestamp>,
    /// Who asked for the cancel, once someone did.
    pub cancelled_by: Option<Box<str>>,
    /// How many jobs its batch will have, as declared by the caller.
    #[serde(default)]
    pub batch_size: Option<u32>,
    /// Milliseconds without a watcher after which the job is cancelled.
    #[serde(default)]
    pub cancel_unwatched_ms: Option<u64>,
    /// Where the document's password lies, sealed, until the job has ended. Never the password.
    #[serde(default)]
    pub password: Option<Box<str>>,
    /// How long the last attempt ran, in milliseconds, once it ended: by [`Event::ran_ms`](crate::event::Event::ran_ms).
    #[serde(default)]
    pub ran_ms: Option<u64>,
    /// Not written where there is nothing in it, so that older programs read such records.
    #[serde(default, rename = "folder", skip_serializing_if = "LaterFields::is_empty")]
    pub later: LaterFields,
}

impl Job {
    /// How long the attempt with which the job ended ran, in milliseconds: as it was measured or, in old logs, by the
    /// wall clock. `None` if it has not ended or no attempt was made.
    pub fn ran_for_ms(&self) -> Option<u64> {
        let by_wall = || Some(self.ended?.ms_since(self.attempt_started?).unsigned_abs());
        self.ended.and(self.ran_ms).or_else(by_wall)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    pub id: DocumentId,
    /// Its name, for people.
    pub name: Box<str>,
    pub bytes: u64,
    /// Its checksum, lower-case hexadecimal.
    pub sha256: Box<str>,
}

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    Queued,
    /// Held by a worker.
    Running,
    Cancelling,
    Succeeded,
    /// Ended badly. Terminal, but may be retried by hand.
    Failed,
    /// Stopped. Terminal, but may be retried by hand.
    Cancelled,
}

impl State {
    /// Whether the job has ended.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// Whether a worker holds the job.
    pub fn is_held(self) -> bool {
        matches!(self, Self::Running | Self::Cancelling)
    }
}

/// The lane a job waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Lane {
    Premium,
    Normal,
    Large,
}

impl Lane {
    /// All lanes, first served first.
    pub const ALL: [Self; 3] = [Self::Premium, Self::Normal, Self::Large];
}

/// Where in the pipeline an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stage {
    Queued,
    Analyse,
    Extract,
    /// Putting the pages together.
    Merge,
    Export,
    /// Nothing more to do.
    Done,
}

/// How far an attempt is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// 0 to 100, never back within an attempt.
    pub percent: f64,
    pub stage: Stage,
    /// One sentence for people.
    pub operation: String,
    pub units_done: u32,
    /// Units in all; 0 until known.
    pub units_total: u32,
}

/// Pages, as far as known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pages {
    /// To be done, once the document was opened: all that it has, or those that were asked for.
    pub total: Option<u32>,
    /// Finished, in order, neighbours of one attempt joined.
    pub done: Vec<PageRange>,
    /// In the document, as declared by the caller: for lanes and estimates only.
    #[serde(default)]
    pub expected: Option<u32>,
    /// In the document, where not all of them are to be done. Not stored where it is `None`, as before there was a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<u32>,
}

/// Finished pages and who finished them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRange {
    /// The first, from 1.
    pub first: u32,
    pub last: u32,
    pub attempt: u32,
}

/// The format of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Format {
    /// Pages, zones and text.
    Json,
    Markdown,
    Text,
    /// One page of HTML.
    Html,
}

impl Format {
    /// All formats, in the order they are written by default.
    pub const ALL: [Self; 4] = [Self::Json, Self::Markdown, Self::Text, Self::Html];

    /// The usual end of a file name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Markdown => "md",
            Self::Text => "txt",
            Self::Html => "html",
        }
    }
}

/// One result format of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Export {
    pub format: Format,
    /// The attempt that writes or wrote it.
    pub attempt: u32,
    pub state: ExportState,
}

/// How an export stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ExportState {
    Started,
    Completed {
        bytes: u64,
        /// Its checksum, lower-case hexadecimal.
        sha256: Box<str>,
    },
    Failed(JobError),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// For programs, upper case.
    pub code: Box<str>,
    pub message: Box<str>,
    /// Whether trying again can help.
    pub retryable: bool,
}

/// An attempt that did not succeed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    pub worker: WorkerId,
    pub started: Timestamp,
    pub ended: Timestamp,
    pub error: JobError,
    pub pages_done: u32,
    /// How long it ran, in milliseconds. `None` where that was not measured.
    #[serde(default)]
    pub ran_ms: Option<u64>,
}

/// A region of a page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Zone {
    /// Unique within the job.
    pub id: Box<str>,
    /// Reading order on the page, from 1.
    pub index: u32,
    /// The page, from 1.
    pub page: u32,
    /// Left, top, right, bottom in points from the top left corner.
    pub bbox: [f64; 4],
    pub kind: ZoneKind,
    pub tool: Box<str>,
    pub status: ZoneStatus,
    pub confidence: f64,
    pub duration_ms: u64,
    /// Why it was skipped or failed; empty otherwise.
    pub note: Box<str>,
}

/// What a zone holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ZoneKind {
    Heading,
    Paragraph,
    List,
    Table,
    /// A picture or drawing.
    Figure,
    Header,
    Footer,
    /// A scanned region without a text layer.
    Scan,
}

/// How the extraction of a zone ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ZoneStatus {
    Processing,
    Completed,
    /// Left out on purpose.
    Skipped,
    /// Could not be extracted.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// From 1.
    pub number: u32,
    pub width: f64,
    pub height: f64,
    /// In reading order.
    pub zones: Vec<Zone>,
    pub duration_ms: u64,
    pub warnings: Vec<String>,
}

impl PageRange {
    /// How many pages it has.
    pub fn pages(&self) -> u32 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

impl Pages {
    /// How many are finished.
    pub fn done_count(&self) -> u32 {
        self.done.iter().map(PageRange::pages).fold(0, u32::saturating_add)
    }

    /// Whether this page is finished.
    pub fn is_done(&self, page: u32) -> bool {
        self.attempt_of_page(page).is_some()
    }

    /// The attempt that finished this page.
    pub fn attempt_of_page(&self, page: u32) -> Option<u32> {
        self.done.iter().find(|range| (range.first..=range.last).contains(&page)).map(|range| range.attempt)
    }

    /// How many the document has, which is the highest number of a page.
    pub fn in_document(&self) -> Option<u32> {
        self.document.or(self.total)
    }

    /// How many were finished by this attempt.
    pub fn done_by(&self, attempt: u32) -> u32 {
        let ranges = self.done.iter().filter(|range| range.attempt == attempt);
        ranges.map(PageRange::pages).fold(0, u32::saturating_add)
    }
}
