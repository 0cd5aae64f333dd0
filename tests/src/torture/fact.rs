//! What a client was told about a job, in one form for gRPC and WebSocket, so that two tellings can be compared.

use courant_proto::v1::job_event::Change;
use courant_proto::v1::{ExportState, Job, JobEvent, JobState, ResultFormat};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kind of work the tool's own workers take.
pub const KIND: &str = "torture";
/// The last event of a job that was removed. It has the job's names only.
pub const DELETED: &str = "deleted";
/// Begins the code of an error that a worker of the tool made; its message says which attempt.
pub const MADE: &str = "TORTURE";

/// A durable event as somebody heard it. Names are short because there are millions of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fact {
    /// The revision.
    pub rev: i64,
    pub job: String,
    /// What happened, in the words of the browser protocol without `job-`.
    pub ev: String,
    /// Whose job, by the event's own word.
    pub own: String,
    /// Its document.
    pub doc: String,
    /// Its batch.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bat: String,
    /// The state afterwards.
    pub st: String,
    /// The attempt.
    pub att: i32,
    /// Percent, in tenths.
    pub pct: i64,
    /// Pages done.
    pub done: i32,
    /// Zones on them.
    pub zon: i32,
    /// The page or format that the event is about.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub of: String,
    /// Zones of the page that the event is about.
    #[serde(skip_serializing_if = "is_zero")]
    pub pz: i32,
    /// The worker that took it; gRPC says this, WebSocket does not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub who: String,
    /// The attempt that made what the event is about, by the word of the tool's own worker; 0 where it leaves no mark.
    #[serde(skip_serializing_if = "is_zero")]
    pub by: i32,
    /// Stands for all content that must be the same for everybody, percent left out: live news may be ahead of the log.
    pub dig: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// What a watch says beside durable events.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchUpdate {
    Fact(Box<Fact>),
    /// News that is not in the log: job, attempt, tenths of a percent.
    Transient(String, i32, i64),
}

/// Reads an event of gRPC.
pub fn of_event(event: &JobEvent) -> Option<WatchUpdate> {
    let (job, change) = (event.job.as_ref()?, event.change.as_ref()?);
    let (ev, of, pz) = named(change);
    if event.revision == 0 {
        return Some(WatchUpdate::Transient(job.job_id.clone(), job.attempt, tenths(percent(job))));
    }
    let width = match change {
        Change::PageFinished(finished) => finished.page.as_ref().map_or(0.0, |page| page.width),
        _ => 0.0,
    };
    let time = event.event_time.map(|time| time.to_string()).unwrap_or_default();
    let mut fact = Fact { ev: ev.to_owned(), of, pz, ..of_job(job) };
    if ev == DELETED {
        // The log keeps a removed job's names; its batch is told only by a server that has known the job.
        fact.bat.clear();
    }
    if let Change::Started(started) = change {
        fact.who.clone_from(&started.worker_id);
    }
    let error = job.error.as_ref().map_or_else(Default::default, |error| (error.code.clone(), error.message.clone()));
    fact.by = mark(&job.kind, &fact.ev, width, &job.warnings, &error);
    let exports = job.exports.iter().map(|export| format!("{}:{}", format(export.format()), export.sha256));
    let outputs = job.outputs.iter().map(|output| format!("{}:{}", output.name, output.sha256));
    fact.dig = digest(&fact, &time, &error, &job.warnings, exports.chain(outputs).collect());
    fact.rev = event.revision;
    Some(WatchUpdate::Fact(Box::new(fact)))
}

/// Reads the state of a job over gRPC.
pub fn of_job(job: &Job) -> Fact {
    Fact {
        rev: job.revision,
        job: job.job_id.clone(),
        own: job.owner.clone(),
        doc: job.document_id.clone(),
        bat: job.batch_id.clone(),
        st: state(job.state()).to_owned(),
        att: job.attempt,
        pct: tenths(percent(job)),
        done: job.pages_done,
        zon: job.zones_completed,
        ..Fact::default()
    }
}

/// Reads a message of the browser protocol that is about a job.
pub fn of_message(message: &Value) -> Option<WatchUpdate> {
    let kind = message["type"].as_str()?;
    let ev = kind.strip_prefix("job-").unwrap_or(kind);
    let mut fact = of_json(message)?;
    if !message["cursor"].is_string() {
        return Some(WatchUpdate::Transient(fact.job, fact.att, fact.pct));
    }
    fact.ev = if ev == "page-completed" { "page" } else { ev }.to_owned();
    if ev == DELETED {
        fact.bat.clear();
    }
    let page = &message["page"];
    (fact.of, fact.pz) = match page["number"].as_i64() {
        Some(number) => (number.to_string(), whole(&page["zoneCount"])),
        None if message["output"].is_object() => (text(&message["output"]["name"]), 0),
        None => (text(&message["export"]["format"]), 0),
    };
    let error = (text(&message["error"]["code"]), text(&message["error"]["message"]));
    let words = |list: &Value| list.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    let warnings = words(&message["warnings"]);
    fact.by = mark(&text(&message["kind"]), &fact.ev, page["width"].as_f64().unwrap_or(0.0), &warnings, &error);
    let exports = message["result"]["formats"].as_array().into_iter().flatten();
    let exports = exports.map(|export| format!("{}:{}", text(&export["format"]), text(&export["sha256"])));
    let outputs = message["outputs"].as_array().into_iter().flatten();
    let outputs = outputs.map(|output| format!("{}:{}", text(&output["name"]), text(&output["sha256"])));
    fact.dig = digest(&fact, &text(&message["timestamp"]), &error, &warnings, exports.chain(outputs).collect());
    Some(WatchUpdate::Fact(Box::new(fact)))
}

/// Reads the state of a job in JSON.
pub fn of_json(job: &Value) -> Option<Fact> {
    Some(Fact {
        rev: job["revision"].as_i64()?,
        job: job["jobId"].as_str()?.to_owned(),
        own: text(&job["owner"]),
        doc: text(&job["documentId"]),
        bat: text(&job["batchId"]),
        st: text(&job["state"]),
        att: whole(&job["attempt"]),
        pct: tenths(job["progress"].as_f64().unwrap_or(0.0)),
        done: whole(&job["pagesDone"]),
        zon: whole(&job["zonesCompleted"]),
        ..Fact::default()
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn whole(value: &Value) -> i32 {
    value.as_i64().and_then(|number| i32::try_from(number).ok()).unwrap_or(0)
}

fn percent(job: &Job) -> f64 {
    job.progress.as_ref().map_or(0.0, |progress| progress.percent)
}

#[allow(clippy::cast_possible_truncation, reason = "0 to 1000")]
fn tenths(percent: f64) -> i64 {
    (percent * 10.0).round() as i64
}

/// The attempt that the tool's worker wrote into what it made.
#[allow(clippy::cast_possible_truncation, reason = "a small whole number")]
fn mark(kind: &str, ev: &str, width: f64, warnings: &[String], error: &(String, String)) -> i32 {
    let number = |text: &str| text.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
    match ev {
        _ if kind != KIND => 0,
        "page" => width as i32,
        "completed" => warnings.last().map_or(0, |warning| number(warning)),
        "failed" | "retrying" if error.0.starts_with(MADE) => number(&error.1),
        _ => 0,
    }
}

fn digest(fact: &Fact, time: &str, error: &(String, String), warnings: &[String], exports: Vec<String>) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (&fact.job, &fact.ev, &fact.own, &fact.doc, &fact.bat, &fact.st, fact.att).hash(&mut hasher);
    (fact.done, fact.zon, &fact.of, fact.pz, time, error, warnings, exports).hash(&mut hasher);
    hasher.finish()
}

fn named(change: &Change) -> (&'static str, String, i32) {
    let plain = |ev| (ev, String::new(), 0);
    match change {
        Change::Queued(_) => plain("queued"),
        Change::Started(_) => plain("started"),
        Change::Planned(_) => plain("planned"),
        Change::Progressed(_) => plain("progress"),
        Change::ZoneStarted(_) => plain("zone-processing"),
        Change::QueuePositionChanged(_) => plain("queue-position"),
        Change::PageFinished(finished) => {
            let page = finished.page.as_ref();
            let zones = page.map_or(0, |page| i32::try_from(page.zones.len()).unwrap_or(i32::MAX));
            ("page", page.map_or(0, |page| page.number).to_string(), zones)
        }
        Change::ExportStarted(export) => ("export-started", format(export.format()).to_owned(), 0),
        Change::ExportProgressed(export) => ("export-progress", format(export.format()).to_owned(), 0),
        Change::ExportCompleted(done) => {
            ("export-completed", done.export.as_ref().map_or("", |export| format(export.format())).to_owned(), 0)
        }
        Change::ExportFailed(done) => {
            ("export-failed", done.export.as_ref().map_or("", |export| format(export.format())).to_owned(), 0)
        }
        Change::OutputStored(stored) => {
            ("output-stored", stored.output.as_ref().map_or_else(String::new, |output| output.name.clone()), 0)
        }
        Change::Retrying(_) => plain("retrying"),
        Change::Cancelling(_) => plain("cancelling"),
        Change::Succeeded(_) => plain("completed"),
        Change::Failed(_) => plain("failed"),
        Change::Cancelled(_) => plain("cancelled"),
        Change::Deleted(_) => plain(DELETED),
    }
}

/// A state in the words of the browser protocol.
pub fn state(state: JobState) -> &'static str {
    match state {
        JobState::Unspecified => "",
        JobState::Queued => "queued",
        JobState::Running => "running",
        JobState::Cancelling => "cancelling",
        JobState::Succeeded => "succeeded",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
    }
}

/// A format in the words of the browser protocol.
pub fn format(format: ResultFormat) -> &'static str {
    match format {
        ResultFormat::Unspecified => "",
        ResultFormat::Json => "json",
        ResultFormat::Markdown => "md",
        ResultFormat::Text => "txt",
        ResultFormat::Html => "html",
    }
}

/// Whether a state is an end.
pub fn is_end(state: &str) -> bool {
    matches!(state, "succeeded" | "failed" | "cancelled")
}

/// The exports of a job that can be read, with their checksums.
pub fn exports(job: &Job) -> impl Iterator<Item = (ResultFormat, &str)> {
    let done = job.exports.iter().filter(|export| export.state() == ExportState::Completed);
    done.map(|export| (export.format(), export.sha256.as_str()))
}
