//! The job in JSON, the same in snapshots, durable messages and over HTTP (`PROTOCOL.md`, section 4).

use std::collections::BTreeMap;

use courant_proto::v1;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::names;
#[cfg(feature = "schema")]
use super::schema_enums;

/// A job, the same in snapshots, events and HTTP answers. Spans are seconds, times RFC 3339; what does not apply is `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Job {
    pub job_id: String,
    /// The caller's id of the document, or one the server chose.
    pub document_id: String,
    /// `null`: the job belongs to no batch.
    pub batch_id: Option<String>,
    pub owner: String,
    /// What work it is, such as `pdf`: only workers that take this kind get it.
    pub kind: String,
    /// The document's name as it was submitted.
    pub filename: String,
    pub document_bytes: i64,
    /// In lower-case hexadecimal.
    pub document_sha256: String,
    #[cfg_attr(feature = "schema", schemars(with = "schema_enums::Lane"))]
    pub lane: String,
    pub labels: BTreeMap<String, String>,
    /// What the workers are to do: the object that was submitted. `null` for none; and, but for the answer to a request for this job,
    /// where `parametersBytes` is over 2048.
    pub parameters: Option<Map<String, Value>>,
    /// The size of the parameters as they were submitted; 0 for none.
    #[serde(default)]
    pub parameters_bytes: i32,
    /// Where the job is in its life. `succeeded`, `failed` and `cancelled` are the ends, unless someone retries.
    #[cfg_attr(feature = "schema", schemars(with = "schema_enums::JobState"))]
    pub state: String,
    /// A finer word that follows from the job.
    #[cfg_attr(feature = "schema", schemars(with = "schema_enums::JobStatus"))]
    pub status: String,
    /// 0 to 100, with one decimal; never goes back within an attempt.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub progress: f64,
    #[cfg_attr(feature = "schema", schemars(with = "schema_enums::Step"))]
    pub step: String,
    /// One sentence for people.
    pub operation: String,
    /// In the units of the step: pages, or exports.
    pub units_done: i32,
    /// In the units of the step; 0 when it is not known.
    pub units_total: i32,
    /// What a worker is extracting at the moment.
    pub current_zone: Option<Zone>,
    pub zones_completed: i32,
    pub zones_total: i32,
    pub pages_done: i32,
    /// `null` until the document has been analysed.
    pub pages_total: Option<i32>,
    /// Pages in the document: more than `pagesTotal` where only some were asked for. `null` until it has been analysed.
    pub document_pages: Option<i32>,
    /// How many jobs of its lane are taken up to and with this one: 1 is next. Owners take turns, so it may grow.
    pub queue_position: Option<i32>,
    /// Seconds until a worker takes it; `null` unless it is queued and there is something to go by.
    pub estimated_wait: Option<f64>,
    /// Seconds until it ends; `null` unless it is running and there is something to go by.
    pub estimated_time_remaining: Option<f64>,
    /// Seconds since its attempt began.
    pub elapsed: Option<f64>,
    /// From 1; 0 before the first.
    pub attempt: i32,
    /// So many attempts in a row may finish no page; then the job fails.
    pub max_attempts: i32,
    /// Attempts that ended without success, oldest first.
    pub attempts: Vec<Attempt>,
    /// `null` until the first export began.
    pub result: Option<JobResult>,
    /// What else workers have made, in the order in which it was stored.
    #[serde(default)]
    pub outputs: Vec<Output>,
    /// Why it failed, or why its last attempt did.
    pub error: Option<JobError>,
    /// Sentences for people: what is wrong with the result.
    pub warnings: Vec<String>,
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub create_time: Option<String>,
    pub start_time: Option<String>,
    pub end_time: Option<String>,
    /// No attempt begins before.
    pub retry_time: Option<String>,
    /// When the job is removed; set once it has ended, unless the server keeps everything.
    pub expire_time: Option<String>,
    /// Of the newest durable event. Grows, with gaps; compare, never compute.
    pub revision: i64,
    /// When the event happened; of a job alone, when its state last changed.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub timestamp: Option<String>,
}

/// A region of a page that is extracted as one thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Zone {
    /// Unique within the job, the same in all attempts.
    pub zone_id: String,
    /// The position in the reading order of its page, from 1.
    pub index: i32,
    /// The number of its page, from 1.
    pub page: i32,
    pub bounding_box: BoundingBox,
    #[cfg_attr(feature = "schema", schemars(with = "schema_enums::ZoneKind"))]
    pub kind: String,
    /// What extracted it, such as `text-layer` or `ocr:tesseract`.
    pub tool: String,
    #[cfg_attr(feature = "schema", schemars(with = "schema_enums::ZoneStatus"))]
    pub status: String,
    /// 0 (guess) to 1 (certain).
    pub confidence: f64,
    pub duration_ms: f64,
    /// Why it was skipped or failed.
    pub note: Option<String>,
}

/// A rectangle on a page, in points (1/72 inch) from the top left corner.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct BoundingBox {
    pub x0: f64,
    pub y0: f64,
    pub x1: f64,
    pub y1: f64,
}

/// A finished page, without its zones: they came just before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// From 1.
    pub number: i32,
    /// In points.
    pub width: f64,
    /// In points.
    pub height: f64,
    pub zone_count: usize,
    pub duration_ms: f64,
    /// Sentences for people.
    pub warnings: Vec<String>,
}

/// What a job has made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct JobResult {
    #[cfg_attr(feature = "schema", schemars(extend("x-unknown" = "skip")))]
    pub formats: Vec<Export>,
}

/// One format of the result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Export {
    #[cfg_attr(feature = "schema", schemars(with = "schema_enums::ResultFormat"))]
    pub format: String,
    #[cfg_attr(feature = "schema", schemars(with = "schema_enums::ExportState"))]
    pub state: String,
    /// 0 to 100.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub progress: f64,
    /// `null` until it is completed.
    pub size_bytes: Option<i64>,
    /// In lower-case hexadecimal; `null` until it is completed.
    pub sha256: Option<String>,
    /// A path on the bridge; `null` until it is completed.
    pub url: Option<String>,
    /// Why this format failed; the others are not affected.
    pub error: Option<JobError>,
}

/// Something that a worker has made of the document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Unique within the job.
    pub name: String,
    /// As in RFC 9110, such as `text/csv; charset=utf-8`.
    pub media_type: String,
    pub size_bytes: i64,
    /// In lower-case hexadecimal.
    pub sha256: String,
    /// The attempt that made it.
    pub attempt: i32,
    /// A path on the bridge.
    pub url: String,
}

/// An attempt that did not succeed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// From 1.
    pub number: i32,
    pub start_time: Option<String>,
    pub end_time: Option<String>,
    pub error: Option<JobError>,
    pub pages_done: i32,
}

/// Why a job or an export failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct JobError {
    /// For programs, such as `DOCUMENT_ENCRYPTED`.
    pub code: String,
    /// For people: what is wrong and what to do.
    pub message: String,
    /// Whether trying again can help.
    pub retryable: bool,
}

impl From<&v1::Job> for Job {
    fn from(job: &v1::Job) -> Self {
        let nothing = v1::Progress::default();
        let progress = job.progress.as_ref().unwrap_or(&nothing);
        let place = job.queue_position.as_ref();
        let changed = job.end_time.as_ref().or(job.start_time.as_ref()).or(job.create_time.as_ref());
        Self {
            job_id: job.job_id.clone(),
            document_id: job.document_id.clone(),
            batch_id: some_text(&job.batch_id),
            owner: job.owner.clone(),
            kind: job.kind.clone(),
            filename: job.filename.clone(),
            document_bytes: job.document_bytes,
            document_sha256: job.document_sha256.clone(),
            lane: names::lane(job.lane()).to_owned(),
            labels: job.labels.clone().into_iter().collect(),
            parameters: parameters(&job.parameters),
            parameters_bytes: job.parameters_bytes,
            state: names::state(job.state()).to_owned(),
            status: names::status(job).to_owned(),
            progress: tenths(progress.percent),
            step: names::step(progress.stage()).to_owned(),
            operation: progress.operation.clone(),
            units_done: progress.units_done,
            units_total: progress.units_total,
            current_zone: progress.current_zone.as_ref().map(Zone::from),
            zones_completed: job.zones_completed,
            zones_total: job.zones_completed.saturating_add(i32::from(progress.current_zone.is_some())),
            pages_done: job.pages_done,
            pages_total: (job.pages_total > 0).then_some(job.pages_total),
            document_pages: (job.document_pages > 0).then_some(job.document_pages),
            queue_position: place.map(|place| place.position),
            estimated_wait: place.and_then(|place| place.estimated_wait.as_ref()).map(seconds),
            estimated_time_remaining: progress.estimated_remaining.as_ref().map(seconds),
            elapsed: progress.elapsed.as_ref().map(seconds),
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            attempts: job.attempts.iter().map(Attempt::from).collect(),
            result: exports(job),
            outputs: job.outputs.iter().map(|output| Output::new(&job.job_id, output)).collect(),
            error: job.error.as_ref().map(JobError::from),
            warnings: job.warnings.clone(),
            create_time: time(job.create_time.as_ref()),
            start_time: time(job.start_time.as_ref()),
            end_time: time(job.end_time.as_ref()),
            retry_time: time(job.retry_time.as_ref()),
            expire_time: time(job.expire_time.as_ref()),
            revision: job.revision,
            timestamp: time(changed),
        }
    }
}

impl From<&v1::Zone> for Zone {
    fn from(zone: &v1::Zone) -> Self {
        let area = zone.bounding_box.as_ref();
        Self {
            zone_id: zone.zone_id.clone(),
            index: zone.index,
            page: zone.page,
            bounding_box: area.map_or_else(BoundingBox::default, |area| BoundingBox {
                x0: hundredths(area.x0),
                y0: hundredths(area.y0),
                x1: hundredths(area.x1),
                y1: hundredths(area.y1),
            }),
            kind: names::zone_kind(zone.kind()).to_owned(),
            tool: zone.tool.clone(),
            status: names::zone_status(zone.status()).to_owned(),
            confidence: hundredths(zone.confidence),
            duration_ms: zone.duration.as_ref().map_or(0.0, millis),
            note: some_text(&zone.note),
        }
    }
}

impl From<&v1::Page> for Page {
    fn from(page: &v1::Page) -> Self {
        Self {
            number: page.number,
            width: hundredths(page.width),
            height: hundredths(page.height),
            zone_count: page.zones.len(),
            duration_ms: page.duration.as_ref().map_or(0.0, millis),
            warnings: page.warnings.clone(),
        }
    }
}

impl Export {
    /// The export of a job; `url` is a path on this bridge.
    pub fn new(job_id: &str, export: &v1::Export) -> Self {
        let format = names::format(export.format());
        let done = export.state() == v1::ExportState::Completed;
        Self {
            format: format.to_owned(),
            state: names::export_state(export.state()).to_owned(),
            progress: if done { 100.0 } else { 0.0 },
            size_bytes: done.then_some(export.size_bytes),
            sha256: done.then(|| export.sha256.clone()),
            url: done.then(|| format!("/v1/jobs/{job_id}/results/{format}")),
            error: export.error.as_ref().map(JobError::from),
        }
    }

    /// An export that is under way.
    pub fn running(format: v1::ResultFormat, percent: f64) -> Self {
        Self {
            format: names::format(format).to_owned(),
            state: names::export_state(v1::ExportState::Started).to_owned(),
            progress: tenths(percent),
            size_bytes: None,
            sha256: None,
            url: None,
            error: None,
        }
    }
}

impl Output {
    /// The output of a job; `url` is a path on this bridge.
    pub fn new(job_id: &str, output: &v1::Output) -> Self {
        Self {
            name: output.name.clone(),
            media_type: output.media_type.clone(),
            size_bytes: output.size_bytes,
            sha256: output.sha256.clone(),
            attempt: output.attempt,
            // Names have nothing in them that would be written otherwise in a path.
            url: format!("/v1/jobs/{job_id}/outputs/{}", output.name),
        }
    }
}

impl From<&v1::Attempt> for Attempt {
    fn from(attempt: &v1::Attempt) -> Self {
        Self {
            number: attempt.number,
            start_time: time(attempt.start_time.as_ref()),
            end_time: time(attempt.end_time.as_ref()),
            error: attempt.error.as_ref().map(JobError::from),
            pages_done: attempt.pages_done,
        }
    }
}

impl From<&v1::JobError> for JobError {
    fn from(error: &v1::JobError) -> Self {
        Self { code: error.code.clone(), message: error.message.clone(), retryable: error.retryable }
    }
}

/// Of a text that is empty for none. The server has checked that it is an object.
fn parameters(text: &str) -> Option<Map<String, Value>> {
    if text.is_empty() { None } else { serde_json::from_str(text).ok() }
}

fn exports(job: &v1::Job) -> Option<JobResult> {
    let formats: Vec<_> = job.exports.iter().map(|export| Export::new(&job.job_id, export)).collect();
    (!formats.is_empty()).then_some(JobResult { formats })
}

/// RFC 3339 in UTC.
pub fn time(stamp: Option<&prost_types::Timestamp>) -> Option<String> {
    stamp.map(ToString::to_string)
}

fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// JSON has no infinities: what is not a number becomes 0.
pub(super) fn rounded(value: f64, steps: f64) -> f64 {
    if value.is_finite() { (value * steps).round() / steps } else { 0.0 }
}

pub(super) fn tenths(value: f64) -> f64 {
    rounded(value, 10.0).clamp(0.0, 100.0)
}

fn hundredths(value: f64) -> f64 {
    rounded(value, 100.0)
}

pub(super) fn seconds(span: &prost_types::Duration) -> f64 {
    rounded(span.seconds as f64 + f64::from(span.nanos) / 1e9, 1e3)
}

fn millis(span: &prost_types::Duration) -> f64 {
    rounded(span.seconds as f64 * 1e3 + f64::from(span.nanos) / 1e6, 10.0)
}
