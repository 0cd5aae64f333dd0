//! The words of the browser protocol for the enums of the server.

use courant_proto::v1;

/// The word for a job's state: `queued`, `running`, …
pub fn state(state: v1::JobState) -> &'static str {
    match state {
        v1::JobState::Unspecified => "unknown",
        v1::JobState::Queued => "queued",
        v1::JobState::Running => "running",
        v1::JobState::Cancelling => "cancelling",
        v1::JobState::Succeeded => "succeeded",
        v1::JobState::Failed => "failed",
        v1::JobState::Cancelled => "cancelled",
    }
}

/// The state of that name.
pub fn parse_state(name: &str) -> Option<v1::JobState> {
    use v1::JobState::{Cancelled, Cancelling, Failed, Queued, Running, Succeeded};
    [Queued, Running, Cancelling, Succeeded, Failed, Cancelled].into_iter().find(|known| state(*known) == name)
}

/// The word for a lane: `premium`, `normal`, `large`.
pub fn lane(lane: v1::Lane) -> &'static str {
    match lane {
        // The server always chooses one; to be safe, the default.
        v1::Lane::Unspecified | v1::Lane::Normal => "normal",
        v1::Lane::Premium => "premium",
        v1::Lane::Large => "large",
    }
}

/// The lane of that name.
pub fn parse_lane(name: &str) -> Option<v1::Lane> {
    [v1::Lane::Premium, v1::Lane::Normal, v1::Lane::Large].into_iter().find(|known| lane(*known) == name)
}

/// The word for a stage: `analyse`, `extract`, …
pub fn step(stage: v1::Stage) -> &'static str {
    match stage {
        v1::Stage::Unspecified | v1::Stage::Queued => "queued",
        v1::Stage::Analyse => "analyse",
        v1::Stage::Extract => "extract",
        v1::Stage::Merge => "merge",
        v1::Stage::Export => "export",
        v1::Stage::Done => "done",
    }
}

/// The word for what a zone holds: `heading`, `paragraph`, …
pub fn zone_kind(kind: v1::ZoneKind) -> &'static str {
    match kind {
        v1::ZoneKind::Unspecified => "unknown",
        v1::ZoneKind::Heading => "heading",
        v1::ZoneKind::Paragraph => "paragraph",
        v1::ZoneKind::List => "list",
        v1::ZoneKind::Table => "table",
        v1::ZoneKind::Figure => "figure",
        v1::ZoneKind::Header => "header",
        v1::ZoneKind::Footer => "footer",
        v1::ZoneKind::Scan => "scan",
    }
}

/// The word for a zone's outcome: `processing`, `completed`, …
pub fn zone_status(status: v1::ZoneStatus) -> &'static str {
    match status {
        v1::ZoneStatus::Unspecified | v1::ZoneStatus::Processing => "processing",
        v1::ZoneStatus::Completed => "completed",
        v1::ZoneStatus::Skipped => "skipped",
        v1::ZoneStatus::Failed => "failed",
    }
}

/// `json`, `md`, `txt`, `html`: also the last part of a result's path.
pub fn format(format: v1::ResultFormat) -> &'static str {
    match format {
        v1::ResultFormat::Unspecified => "unknown",
        v1::ResultFormat::Json => "json",
        v1::ResultFormat::Markdown => "md",
        v1::ResultFormat::Text => "txt",
        v1::ResultFormat::Html => "html",
    }
}

/// The format of that name.
pub fn parse_format(name: &str) -> Option<v1::ResultFormat> {
    use v1::ResultFormat::{Html, Json, Markdown, Text};
    [Json, Markdown, Text, Html].into_iter().find(|known| format(*known) == name)
}

/// The word for an export's state: `started`, `completed`, `failed`.
pub fn export_state(state: v1::ExportState) -> &'static str {
    match state {
        v1::ExportState::Unspecified | v1::ExportState::Started => "started",
        v1::ExportState::Completed => "completed",
        v1::ExportState::Failed => "failed",
    }
}

/// `info`, `success`, `warning`, `error`.
pub fn severity(severity: v1::NotificationSeverity) -> &'static str {
    match severity {
        v1::NotificationSeverity::Unspecified | v1::NotificationSeverity::Info => "info",
        v1::NotificationSeverity::Success => "success",
        v1::NotificationSeverity::Warning => "warning",
        v1::NotificationSeverity::Error => "error",
    }
}

/// The severity of that name.
pub fn parse_severity(name: &str) -> Option<v1::NotificationSeverity> {
    use v1::NotificationSeverity::{Error, Info, Success, Warning};
    [Info, Success, Warning, Error].into_iter().find(|known| severity(*known) == name)
}

/// Why a cursor cannot be continued from.
pub fn gap_reason(reason: v1::GapReason) -> &'static str {
    match reason {
        v1::GapReason::Unspecified | v1::GapReason::HistoryTrimmed => "HISTORY_TRIMMED",
        v1::GapReason::LogReplaced => "LOG_REPLACED",
    }
}

/// `status` of a job: follows from the job alone, so that it is the same in every place.
pub fn status(job: &v1::Job) -> &'static str {
    match job.state() {
        v1::JobState::Unspecified => "unknown",
        v1::JobState::Queued if job.attempt > 0 => "retrying",
        v1::JobState::Queued => "queued",
        v1::JobState::Running if job.progress.as_ref().is_none_or(|progress| progress.percent <= 5.0) => "started",
        v1::JobState::Running => "progress",
        v1::JobState::Cancelling => "cancelling",
        v1::JobState::Succeeded => "completed",
        v1::JobState::Failed => "failed",
        v1::JobState::Cancelled => "cancelled",
    }
}
