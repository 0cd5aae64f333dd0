//! The values that fields of the protocol may have, for the schemas alone: `names.rs` writes them, and a test compares both.
//!
//! `x-unknown` says what a client does with a value that it does not know, because the bridge is newer: take another value in its
//! place, `keep` it as text, or, of a list, `skip` the item. Without it the message is refused.

#![allow(dead_code, reason = "only their schemas are used")]

use schemars::JsonSchema;

/// The state of a job. `succeeded`, `failed` and `cancelled` are the ends, unless someone retries.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    Queued,
    Running,
    Cancelling,
    Succeeded,
    Failed,
    Cancelled,
}

/// A finer word than the state: `retrying` is queued after an attempt, `started` is running but hardly begun.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    Queued,
    Retrying,
    Started,
    Progress,
    Cancelling,
    Completed,
    Failed,
    Cancelled,
}

/// The stage of the pipeline.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-unknown" = "extract"))]
pub enum Step {
    Queued,
    Analyse,
    Extract,
    Merge,
    Export,
    Done,
}

/// The lane a job waits in.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-unknown" = "normal"))]
pub enum Lane {
    Premium,
    Normal,
    Large,
}

/// What a zone of a page holds.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-unknown" = "unknown"))]
pub enum ZoneKind {
    Heading,
    Paragraph,
    List,
    Table,
    Figure,
    Header,
    Footer,
    Scan,
    Unknown,
}

/// How the extraction of a zone ended.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-unknown" = "processing"))]
pub enum ZoneStatus {
    Processing,
    Completed,
    Skipped,
    Failed,
}

/// The format of a result.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResultFormat {
    Json,
    Md,
    Txt,
    Html,
}

/// The state of one export.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExportState {
    Started,
    Completed,
    Failed,
}

/// How serious a notification is.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-unknown" = "info"))]
pub enum Severity {
    Info,
    Success,
    Warning,
    Error,
}

/// Why a cursor cannot be continued from.
#[derive(JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schemars(extend("x-unknown" = "keep"))]
pub enum GapReason {
    HistoryTrimmed,
    LogReplaced,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use courant_proto::v1;
    use schemars::{JsonSchema, schema_for};

    use crate::wire::names;

    fn of_schema<T: JsonSchema>() -> BTreeSet<String> {
        let schema = schema_for!(T).to_value();
        let words = schema["enum"].as_array().expect("plain words");
        words.iter().map(|word| word.as_str().expect("a text").to_owned()).collect()
    }

    /// What is written for all values of the proto but `UNSPECIFIED`.
    fn written<E: TryFrom<i32>>(name: impl Fn(E) -> &'static str) -> BTreeSet<String> {
        (1..100).filter_map(|value| E::try_from(value).ok()).map(|value| name(value).to_owned()).collect()
    }

    #[test]
    fn are_those_that_are_written() {
        assert_eq!(of_schema::<super::JobState>(), written(names::state));
        assert_eq!(of_schema::<super::Step>(), written(names::step));
        assert_eq!(of_schema::<super::Lane>(), written(names::lane));
        let kinds = &of_schema::<super::ZoneKind>() - &BTreeSet::from(["unknown".to_owned()]);
        assert_eq!(kinds, written(names::zone_kind));
        assert_eq!(of_schema::<super::ZoneStatus>(), written(names::zone_status));
        assert_eq!(of_schema::<super::ResultFormat>(), written(names::format));
        assert_eq!(of_schema::<super::ExportState>(), written(names::export_state));
        assert_eq!(of_schema::<super::Severity>(), written(names::severity));
        assert_eq!(of_schema::<super::GapReason>(), written(names::gap_reason));
    }

    #[test]
    fn of_a_status_are_all_that_a_job_can_have() {
        let mut seen = BTreeSet::new();
        for state in (1..100).filter_map(|value| v1::JobState::try_from(value).ok()) {
            for (attempt, percent) in [(0, None), (1, Some(50.0))] {
                let progress = percent.map(|percent| v1::Progress { percent, ..Default::default() });
                let job = v1::Job { state: state.into(), attempt, progress, ..Default::default() };
                seen.insert(names::status(&job).to_owned());
            }
        }
        assert_eq!(of_schema::<super::JobStatus>(), seen);
    }
}
