//! Jobs, and what is in them, on the wire.

use std::time::{Duration, UNIX_EPOCH};

use courant_engine::estimate::Estimate;
use courant_engine::quota::Usage;
use courant_engine::snapshot::{EstimatedPosition, JobSnapshot};
use courant_engine::view::CurrentJob;
use courant_joblog::ids::Timestamp;
use courant_joblog::job::{
    Attempt, Export, ExportState, Format, Job, JobError, Lane, Output, Page, Parameters, Progress, Stage, State, Zone,
    ZoneKind, ZoneStatus,
};
use courant_proto::v1;

use crate::config::Retention;

pub fn time(at: Timestamp) -> prost_types::Timestamp {
    (UNIX_EPOCH + Duration::from_millis(at.0.max(0) as u64)).into()
}

/// A span in milliseconds.
pub fn span(ms: u64) -> prost_types::Duration {
    prost_types::Duration { seconds: (ms / 1000) as i64, nanos: (ms % 1000) as i32 * 1_000_000 }
}

/// A span of the standard library.
pub fn duration(span: Duration) -> prost_types::Duration {
    prost_types::Duration { seconds: span.as_secs() as i64, nanos: span.subsec_nanos() as i32 }
}

/// A job as a reader sees it now.
pub fn snapshot(snapshot: &JobSnapshot) -> v1::Job {
    let mut job = current_job(&snapshot.current, snapshot.remaining, snapshot.elapsed);
    job.queue_position = snapshot.position.map(position);
    job
}

/// With the time when the job is removed: that depends on the server, not on the job.
pub fn with_expire_time(keep: Retention, mut job: v1::Job) -> v1::Job {
    job.expire_time = keep.0.zip(job.end_time.as_ref()).and_then(|(keep, ended)| {
        let ended = std::time::SystemTime::try_from(*ended).ok()?;
        Some(ended.checked_add(keep)?.into())
    });
    job
}

/// Where a job waits.
pub fn position(estimated: EstimatedPosition) -> v1::QueuePosition {
    v1::QueuePosition {
        position: i32::try_from(estimated.position).unwrap_or(i32::MAX),
        estimated_wait: estimated.wait.map(|wait| span(wait.ms)),
        estimated_wait_band: estimated.wait.map(band),
        pages_ahead: i64::try_from(estimated.pages_ahead).unwrap_or(i64::MAX),
    }
}

/// How sure an estimate is.
pub fn band(estimate: Estimate) -> v1::EstimateBand {
    v1::EstimateBand { low: Some(span(estimate.low)), high: Some(span(estimate.high)) }
}

/// A job with its live progress.
pub fn current_job(current: &CurrentJob, remaining: Option<Estimate>, elapsed_ms: Option<u64>) -> v1::Job {
    let mut out = job(&current.job, current.revision.0, elapsed_ms);
    out.progress = Some(live_progress(current, remaining, elapsed_ms));
    out
}

/// Of a job with its live progress only what changes without an event, and what says whether that is old.
pub fn updated_job(current: &CurrentJob, remaining: Option<Estimate>, elapsed_ms: Option<u64>) -> v1::Job {
    let job = &current.job;
    v1::Job {
        job_id: job.id.to_string(),
        state: state(job.state).into(),
        progress: Some(live_progress(current, remaining, elapsed_ms)),
        attempt: job.attempt as i32,
        pages_done: job.pages.done_count() as i32,
        zones_completed: job.zones as i32,
        revision: current.revision.0 as i64,
        ..v1::Job::default()
    }
}

fn live_progress(current: &CurrentJob, remaining: Option<Estimate>, elapsed_ms: Option<u64>) -> v1::Progress {
    let mut progress = progress(current.progress(), elapsed_ms);
    estimate(&mut progress, remaining);
    progress.current_zone = current.live.as_ref().and_then(|live| live.zone.as_ref()).map(zone);
    progress
}

/// Puts in how long it may still take.
pub(super) fn estimate(progress: &mut v1::Progress, remaining: Option<Estimate>) {
    progress.estimated_remaining = remaining.map(|remaining| span(remaining.ms));
    progress.estimated_remaining_band = remaining.map(band);
}

/// A job as the log has it, when its attempt runs or ran for so long.
pub fn job(job: &Job, revision: u64, elapsed_ms: Option<u64>) -> v1::Job {
    let parameters = job.later.parameters.as_ref();
    v1::Job {
        job_id: job.id.as_str().to_owned(),
        owner: job.owner.as_str().to_owned(),
        document_id: job.document.id.as_str().to_owned(),
        batch_id: job.batch.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default(),
        request_id: job.request.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default(),
        kind: String::from(&*job.kind),
        filename: String::from(&*job.document.name),
        document_bytes: job.document.bytes as i64,
        document_sha256: String::from(&*job.document.sha256),
        lane: lane(job.lane).into(),
        labels: job.labels.clone().into_iter().collect(),
        state: state(job.state).into(),
        progress: Some(progress(&job.progress, elapsed_ms)),
        attempt: job.attempt as i32,
        max_attempts: job.max_attempts as i32,
        error: job.error.as_ref().map(error),
        exports: job.exports.iter().map(export).collect(),
        attempts: job.attempts.iter().map(attempt).collect(),
        warnings: job.warnings.clone(),
        pages_total: job.pages.total.unwrap_or(0) as i32,
        document_pages: job.pages.in_document().unwrap_or(0) as i32,
        pages_done: job.pages.done_count() as i32,
        zones_completed: job.zones as i32,
        queue_position: None,
        worker_id: job.worker.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default(),
        create_time: Some(time(job.created)),
        start_time: job.started.map(time),
        end_time: job.ended.map(time),
        retry_time: job.not_before.map(time),
        revision: revision as i64,
        expire_time: None,
        cancel_when_unwatched: job.cancel_unwatched_ms.map(span),
        parameters: parameters.and_then(Parameters::inline).unwrap_or_default().to_owned(),
        parameters_bytes: parameters.map_or(0, Parameters::bytes) as i32,
        outputs: job.later.outputs.iter().map(output).collect(),
    }
}

fn progress(progress: &Progress, elapsed_ms: Option<u64>) -> v1::Progress {
    v1::Progress {
        percent: progress.percent,
        stage: stage(progress.stage).into(),
        operation: progress.operation.clone(),
        units_done: progress.units_done as i32,
        units_total: progress.units_total as i32,
        elapsed: elapsed_ms.map(span),
        estimated_remaining: None,
        current_zone: None,
        estimated_remaining_band: None,
    }
}

fn attempt(attempt: &Attempt) -> v1::Attempt {
    v1::Attempt {
        number: attempt.number as i32,
        worker_id: attempt.worker.to_string(),
        start_time: Some(time(attempt.started)),
        end_time: Some(time(attempt.ended)),
        error: Some(error(&attempt.error)),
        pages_done: attempt.pages_done as i32,
    }
}

pub fn error(error: &JobError) -> v1::JobError {
    v1::JobError { code: error.code.to_string(), message: error.message.to_string(), retryable: error.retryable }
}

pub fn export(export: &Export) -> v1::Export {
    let mut out = v1::Export { format: format(export.format).into(), ..v1::Export::default() };
    match &export.state {
        ExportState::Started => out.set_state(v1::ExportState::Started),
        ExportState::Completed { bytes, sha256 } => {
            out.set_state(v1::ExportState::Completed);
            out.size_bytes = *bytes as i64;
            out.sha256 = sha256.to_string();
        }
        ExportState::Failed(why) => {
            out.set_state(v1::ExportState::Failed);
            out.error = Some(error(why));
        }
    }
    out
}

pub fn output(output: &Output) -> v1::Output {
    v1::Output {
        name: output.name.to_string(),
        media_type: output.media_type.to_string(),
        size_bytes: output.bytes as i64,
        sha256: output.sha256.to_string(),
        attempt: output.attempt as i32,
    }
}

pub fn page(page: &Page) -> v1::Page {
    v1::Page {
        number: page.number as i32,
        width: page.width,
        height: page.height,
        zones: page.zones.iter().map(zone).collect(),
        duration: Some(span(page.duration_ms)),
        warnings: page.warnings.clone(),
    }
}

pub fn zone(zone: &Zone) -> v1::Zone {
    let [x0, y0, x1, y1] = zone.bbox;
    v1::Zone {
        zone_id: zone.id.to_string(),
        index: zone.index as i32,
        page: zone.page as i32,
        bounding_box: Some(v1::BoundingBox { x0, y0, x1, y1 }),
        kind: zone_kind(zone.kind).into(),
        tool: zone.tool.to_string(),
        status: zone_status(zone.status).into(),
        confidence: zone.confidence,
        duration: Some(span(zone.duration_ms)),
        note: zone.note.to_string(),
    }
}

pub fn format(format: Format) -> v1::ResultFormat {
    match format {
        Format::Json => v1::ResultFormat::Json,
        Format::Markdown => v1::ResultFormat::Markdown,
        Format::Text => v1::ResultFormat::Text,
        Format::Html => v1::ResultFormat::Html,
    }
}

pub fn state(state: State) -> v1::JobState {
    match state {
        State::Queued => v1::JobState::Queued,
        State::Running => v1::JobState::Running,
        State::Cancelling => v1::JobState::Cancelling,
        State::Succeeded => v1::JobState::Succeeded,
        State::Failed => v1::JobState::Failed,
        State::Cancelled => v1::JobState::Cancelled,
    }
}

pub fn lane(lane: Lane) -> v1::Lane {
    match lane {
        Lane::Premium => v1::Lane::Premium,
        Lane::Normal => v1::Lane::Normal,
        Lane::Large => v1::Lane::Large,
    }
}

fn stage(stage: Stage) -> v1::Stage {
    match stage {
        Stage::Queued => v1::Stage::Queued,
        Stage::Analyse => v1::Stage::Analyse,
        Stage::Extract => v1::Stage::Extract,
        Stage::Merge => v1::Stage::Merge,
        Stage::Export => v1::Stage::Export,
        Stage::Done => v1::Stage::Done,
    }
}

fn zone_kind(kind: ZoneKind) -> v1::ZoneKind {
    match kind {
        ZoneKind::Heading => v1::ZoneKind::Heading,
        ZoneKind::Paragraph => v1::ZoneKind::Paragraph,
        ZoneKind::List => v1::ZoneKind::List,
        ZoneKind::Table => v1::ZoneKind::Table,
        ZoneKind::Figure => v1::ZoneKind::Figure,
        ZoneKind::Header => v1::ZoneKind::Header,
        ZoneKind::Footer => v1::ZoneKind::Footer,
        ZoneKind::Scan => v1::ZoneKind::Scan,
    }
}

fn zone_status(status: ZoneStatus) -> v1::ZoneStatus {
    match status {
        ZoneStatus::Processing => v1::ZoneStatus::Processing,
        ZoneStatus::Completed => v1::ZoneStatus::Completed,
        ZoneStatus::Skipped => v1::ZoneStatus::Skipped,
        ZoneStatus::Failed => v1::ZoneStatus::Failed,
    }
}

/// How much of a quota is used.
pub fn quota(usage: Usage) -> v1::Quota {
    let Usage { which, limit, used, retry_after } = usage;
    let retry_after = retry_after.map(duration);
    v1::Quota { name: which.name().into(), limit: limit as i64, used: used as i64, retry_after }
}
