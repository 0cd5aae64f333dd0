//! One attempt at one job: what a handler reads, reports and writes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use courant_proto::v1::work_request::Message;
use courant_proto::v1::{
    Assignment, FinishedPages, JobError, Page, Password, ReportExportCompleted, ReportExportFailed,
    ReportExportProgress, ReportExportStarted, ReportOutput, ReportPage, ReportPlan, ReportProgress, ReportZone,
    ResultFormat, Stage, Welcome, Zone,
};
use tokio_util::sync::CancellationToken;

use crate::attempt::Attempt;
use crate::calls::Calls;
use crate::outbox::Slot;
use crate::split::Split;
use crate::trace::{self, AttemptTrace};
use crate::{Span, TaskError};

/// The largest report that is sent. Servers take messages of up to 4 MiB.
const MAX_REPORT_BYTES: usize = 3 << 20;

/// One attempt at one job. Cheap to clone; all clones are the same attempt.
///
/// Durable reports (`plan`, `page`, `export_*`) reach the server, in order, even if the connection breaks; they wait
/// when [`Config::outbox`](crate::Config::outbox) of them are not acknowledged yet, and fail with
/// [`CallError::Stopped`] once the attempt was stopped. Progress and zones are of the moment: the newest wins.
#[derive(Clone)]
pub struct Task {
    pub(crate) attempt: Arc<Attempt>,
    pub(crate) assignment: Arc<Assignment>,
    pub(crate) calls: Calls,
    pub(crate) artifacts: ArtifactLimits,
    pub(crate) trace: Arc<AttemptTrace>,
}

/// The largest artifacts that the server takes, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ArtifactLimits {
    by_itself: u64,
    /// Within the report of its page; 0 of a server that takes none so.
    with_page: u64,
}

impl ArtifactLimits {
    pub(crate) fn of(welcome: &Welcome) -> Self {
        let by_itself = u64::try_from(welcome.max_artifact_bytes).ok().filter(|&max| max > 0);
        Self {
            by_itself: by_itself.unwrap_or(u64::MAX),
            with_page: u64::try_from(welcome.max_page_artifact_bytes).unwrap_or(0),
        }
    }
}

/// Where an artifact's bytes come from. Must be readable twice, since a broken connection starts the call over.
#[derive(Clone, Debug)]
pub enum Source {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A local file, read in pieces, and again from its beginning when the call starts over. It must not change before the
    /// call returns: what was read is stored, and a change meanwhile goes unnoticed.
    File(PathBuf),
}

impl From<Bytes> for Source {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Source {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<String> for Source {
    fn from(text: String) -> Self {
        Self::Bytes(text.into())
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

/// What the server says of an artifact that it has stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the content, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// A page that an earlier attempt has finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinishedPage {
    /// The number of the page, counted from 1.
    pub number: u32,
    /// The attempt that wrote its artifact, for [`Task::read_artifact`].
    pub written_by: i32,
}

/// Why a call of a [`Task`] failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The attempt was stopped: return from the handler, the result is not looked at.
    #[error("the attempt was stopped")]
    Stopped,
    /// The server did not answer for as long as [`Config::patience`](crate::Config::patience) says.
    #[error("the server cannot be reached: {0}")]
    Unavailable(String),
    /// The password cannot be read any more: the job must be tried again with it.
    #[error("the password of the document cannot be read any more")]
    PasswordUnreadable,
    /// The server refused the call, with its reason; trying again will not help.
    #[error("the server refused: {0}")]
    Refused(String),
    /// A fault of the server or of its store, with what it said.
    #[error("the server could not do it: {0}")]
    Failed(String),
    /// No attempt of that number wrote an artifact of that name.
    #[error("there is no such artifact")]
    NotFound,
    /// The artifact is larger than [`Task::max_artifact_bytes`].
    #[error("the artifact is too large: {0}")]
    TooLarge(String),
    /// The bytes that arrived do not have the promised size and checksum, also when they were read again.
    #[error("the bytes that arrived do not match their checksum")]
    Corrupt,
    /// A local file could not be read or written.
    #[error("a local file cannot be used: {0}")]
    Io(#[from] std::io::Error),
}

impl From<CallError> for TaskError {
    fn from(error: CallError) -> Self {
        let message = format!("The worker could not talk to the server: {error}.");
        match error {
            CallError::Stopped => Self::transient("STOPPED", "The attempt was stopped."),
            CallError::Unavailable(_) => Self::transient("SERVER_UNAVAILABLE", message),
            // Not the document's fault: a later attempt may find it mended.
            CallError::Failed(_) => Self::transient("SERVER_FAILED", message),
            CallError::Corrupt => Self::transient("CHECKSUM_MISMATCH", message),
            CallError::Io(error) => {
                Self::transient("WORKER_DISK", format!("The worker could not use its own disk: {error}."))
            }
            CallError::PasswordUnreadable => Self::permanent(
                "PASSWORD_REQUIRED",
                "The password of the document is not kept any more. Retry the job with its password.",
            ),
            CallError::TooLarge(_) => Self::permanent("RESULT_TOO_LARGE", message),
            CallError::Refused(_) | CallError::NotFound => Self::permanent("SERVER_REFUSED", message),
        }
    }
}

impl Task {
    /// The id of the job, unique in the service.
    pub fn job_id(&self) -> &str {
        &self.attempt.key.job_id
    }

    /// The number of this attempt, from 1.
    pub fn number(&self) -> i32 {
        self.attempt.key.number
    }

    /// The kind of the job, one of [`Config::kinds`](crate::Config::kinds).
    pub fn kind(&self) -> &str {
        &self.assignment.kind
    }

    /// The document's name, for people; never a path to trust.
    pub fn filename(&self) -> &str {
        &self.assignment.filename
    }

    /// Size of the document in bytes.
    pub fn document_bytes(&self) -> u64 {
        self.assignment.document_bytes.max(0).unsigned_abs()
    }

    /// SHA-256 of the document, 64 lower-case hexadecimal digits.
    pub fn document_sha256(&self) -> &str {
        &self.assignment.document_sha256
    }

    /// The formats to export, in this order. Formats unknown to this version are left out.
    pub fn formats(&self) -> Vec<ResultFormat> {
        let known = |&number: &i32| ResultFormat::try_from(number).ok();
        self.assignment.formats.iter().filter_map(known).filter(|f| *f != ResultFormat::Unspecified).collect()
    }

    /// What the caller asks for: a JSON object as text, byte for byte as it was submitted. Empty for none.
    pub fn parameters(&self) -> &str {
        &self.assignment.parameters
    }

    /// The labels that the caller gave the job.
    pub fn labels(&self) -> &HashMap<String, String> {
        &self.assignment.labels
    }

    /// Pages to be done, when an earlier attempt found out.
    pub fn pages_total(&self) -> Option<u32> {
        u32::try_from(self.assignment.pages_total).ok().filter(|&pages| pages > 0)
    }

    /// Pages that are done already: do not do them again, read their artifacts.
    pub fn finished_pages(&self) -> impl Iterator<Item = FinishedPage> + '_ {
        each_page(&self.assignment.finished_pages)
    }

    /// Has other workers do pages of this document. To be asked for once in an attempt, and only by who holds the whole job.
    pub fn split(&self) -> Split {
        Split::new(self.attempt.clone())
    }

    /// The largest artifact the server takes, in bytes.
    pub fn max_artifact_bytes(&self) -> u64 {
        self.artifacts.by_itself
    }

    /// Cancelled when the attempt must stop: the job was cancelled, its lease is lost, or this worker shuts down and its grace
    /// is over. The handler should return within a second.
    pub fn cancelled(&self) -> &CancellationToken {
        self.attempt.stopped()
    }

    /// Writes the document to `path`. Its size and checksum have been verified when this returns. Tries again while the server
    /// is away, for [`Config::patience`](crate::Config::patience).
    pub async fn read_document(&self, path: &Path) -> Result<(), CallError> {
        let promised = (self.assignment.document_bytes, self.document_sha256());
        self.in_span("read document", self.calls.read_document(&self.attempt, path, promised)).await
    }

    /// A step of the work, in the trace of the job: from now until it is dropped. `name`: one of few. Nothing where that trace is
    /// not recorded; the first 1,000 of an attempt are kept.
    pub fn span(&self, name: &'static str) -> Span {
        self.trace.step(name)
    }

    /// The same as a part of another step.
    pub fn span_within(&self, step: &Span, name: &'static str) -> Span {
        self.trace.step_within(step.context(), name)
    }

    async fn in_span<T>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let mut span = self.span(name);
        let result = trace::within(&span, call).await;
        if let Err(error) = &result {
            span.fail(error.to_string());
        }
        result
    }

    /// The password the job carries for its document; `None` if it carries none. Keep it out of logs, command lines and
    /// files.
    pub async fn password(&self) -> Result<Option<Password>, CallError> {
        match self.assignment.has_password {
            true => self.calls.read_password(&self.attempt).await.map(Some),
            false => Ok(None),
        }
    }

    /// Stores something made from the document; durable when this returns. `name`: 1 to 128 of `[a-z0-9._-]` in at
    /// most two parts divided by `/`.
    pub async fn write_artifact(&self, name: &str, source: impl Into<Source>) -> Result<Artifact, CallError> {
        let source = source.into();
        let call = self.calls.write_artifact(&self.attempt, name, &source);
        let stored = self.in_span("write artifact", call).await?;
        Ok(Artifact { bytes: stored.size_bytes.max(0).unsigned_abs(), sha256: stored.sha256 })
    }

    /// Reads an artifact that this or an earlier attempt wrote, for example `pages/000001.json`, whole into memory.
    /// `written_by`: the number of the attempt. [`CallError::NotFound`] if it wrote none of that name.
    pub async fn read_artifact(&self, written_by: i32, name: &str) -> Result<Bytes, CallError> {
        let limit = usize::try_from(self.artifacts.by_itself).unwrap_or(usize::MAX);
        self.in_span("read artifact", self.calls.read_artifact(&self.attempt, written_by, name, limit)).await
    }

    /// Stores something that users of the job can list and read, under a name as for [`write_artifact`](Self::write_artifact); not
    /// `result.<json|md|txt|html>`, which exports have, and not under `pages/`. `media_type` as in RFC 9110, for example
    /// `text/csv; charset=utf-8`. One of this name is replaced, also of an earlier attempt; the others stay. A job has at most
    /// 256. Durable.
    pub async fn write_output(&self, name: &str, media_type: &str, source: impl Into<Source>) -> Result<(), CallError> {
        let artifact = match source.into() {
            Source::Bytes(bytes) if self.goes_with_report(bytes.len()) => Some(bytes),
            source => self.write_artifact(name, source).await.map(|_| None)?,
        };
        let attempt = Some(self.attempt.key.to_ref());
        let (name, media_type) = (name.to_owned(), media_type.to_owned());
        self.durable(Message::Output(ReportOutput { attempt, name, media_type, artifact })).await
    }

    /// Says how far the attempt is: 0 to 100 percent, a sentence for people (at most 255 bytes, the rest is cut off),
    /// and units done of all. Transient.
    pub fn progress(&self, percent: f64, stage: Stage, operation: &str, units: (u32, u32)) {
        let report = ReportProgress {
            attempt: Some(self.attempt.key.to_ref()),
            percent: if percent.is_finite() { percent.clamp(0.0, 100.0) } else { 0.0 },
            stage: stage.into(),
            operation: operation[..operation.floor_char_boundary(255)].to_owned(),
            units_done: clamp(units.0),
            units_total: clamp(units.1),
        };
        self.attempt.report_latest(Slot::Progress, Message::Progress(report));
    }

    /// Says that work on a zone began. Transient.
    pub fn zone(&self, zone: Zone) {
        let report = ReportZone { attempt: Some(self.attempt.key.to_ref()), zone: Some(zone) };
        self.attempt.report_latest(Slot::Zone, Message::Zone(report));
    }

    /// Says how many pages the document has. Durable.
    pub async fn plan(&self, pages: u32) -> Result<(), CallError> {
        self.plan_selected(pages, pages).await
    }

    /// Says how many pages are to be done of how many that the document has: pages keep their numbers. Durable.
    pub async fn plan_selected(&self, pages: u32, document_pages: u32) -> Result<(), CallError> {
        let attempt = Some(self.attempt.key.to_ref());
        let (pages_total, document_pages) = (clamp(pages), clamp(document_pages));
        self.durable(Message::Plan(ReportPlan { attempt, pages_total, document_pages })).await
    }

    /// Says that a page is done. Its artifact `pages/<number, six digits>.json` must have been written. At most 1,000
    /// zones. Durable.
    pub async fn page(&self, page: Page) -> Result<(), CallError> {
        let attempt = Some(self.attempt.key.to_ref());
        self.durable(Message::Page(ReportPage { attempt, page: Some(page), artifact: Bytes::new() })).await
    }

    /// Says that a page is done, with its artifact: what [`write_artifact`](Self::write_artifact) and [`page`](Self::page)
    /// do one after the other, in one step where the server takes artifacts of this size so. Durable.
    pub async fn page_with_artifact(&self, page: Page, artifact: impl Into<Bytes>) -> Result<(), CallError> {
        let artifact = artifact.into();
        if artifact.is_empty() || !self.goes_with_page(artifact.len()) {
            self.write_artifact(&format!("pages/{:06}.json", page.number), artifact).await?;
            return self.page(page).await;
        }
        let attempt = Some(self.attempt.key.to_ref());
        self.durable(Message::Page(ReportPage { attempt, page: Some(page), artifact })).await
    }

    /// An empty artifact could not be told from none in the report of a page; in that of an output it can.
    fn goes_with_report(&self, artifact_bytes: usize) -> bool {
        self.artifacts.with_page > 0 && self.goes_with_page(artifact_bytes)
    }

    /// Whether [`page_with_artifact`](Self::page_with_artifact) stores so many bytes in one step. Where it does not, several
    /// artifacts written at the same time are faster than one after the other.
    pub fn goes_with_page(&self, artifact_bytes: usize) -> bool {
        artifact_bytes as u64 <= self.artifacts.with_page
    }

    /// Says that an export began. Durable.
    pub async fn export_started(&self, format: ResultFormat) -> Result<(), CallError> {
        let attempt = Some(self.attempt.key.to_ref());
        self.durable(Message::ExportStarted(ReportExportStarted { attempt, format: format.into() })).await
    }

    /// Says how far an export is, 0 to 100. Transient.
    pub fn export_progress(&self, format: ResultFormat, percent: f64) {
        let attempt = Some(self.attempt.key.to_ref());
        let report = ReportExportProgress { attempt, format: format.into(), percent };
        self.attempt.report_latest(Slot::Export, Message::ExportProgress(report));
    }

    /// Says that an export is done. Its artifact `result.<json|md|txt|html>` must have been written. Durable.
    pub async fn export_completed(&self, format: ResultFormat) -> Result<(), CallError> {
        let attempt = Some(self.attempt.key.to_ref());
        self.durable(Message::ExportCompleted(ReportExportCompleted { attempt, format: format.into() })).await
    }

    /// Says that an export failed; the other formats and the job are not affected. Durable.
    pub async fn export_failed(&self, format: ResultFormat, error: TaskError) -> Result<(), CallError> {
        let TaskError { code, message, retryable } = error;
        let attempt = Some(self.attempt.key.to_ref());
        let error = Some(JobError { code, message, retryable });
        self.durable(Message::ExportFailed(ReportExportFailed { attempt, format: format.into(), error })).await
    }

    async fn durable(&self, message: Message) -> Result<(), CallError> {
        // The server would end the stream, and find it there again on the next.
        if message.encoded_len() > MAX_REPORT_BYTES {
            return Err(CallError::Refused(format!("a report has more than {MAX_REPORT_BYTES} bytes")));
        }
        if self.attempt.report(message).await { Ok(()) } else { Err(CallError::Stopped) }
    }
}

pub(crate) fn each_page(finished: &[FinishedPages]) -> impl Iterator<Item = FinishedPage> + '_ {
    finished.iter().flat_map(|range| {
        let first = u32::try_from(range.first).unwrap_or(0).max(1);
        let last = u32::try_from(range.last).unwrap_or(0);
        (first..=last).map(|number| FinishedPage { number, written_by: range.attempt })
    })
}

fn clamp(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
