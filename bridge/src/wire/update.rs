//! How a job goes on between two events: the fields that change without one (`PROTOCOL.md`, section 3).

use std::borrow::Cow;
use std::sync::Arc;

use courant_proto::v1::{self, job_event::Change};
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::{Export, Zone, seconds, tenths, time};
use super::names;
#[cfg(feature = "schema")]
use super::schema_enums;

/// The fields of a job that change without an event, all of them; what does not apply is `null`. All others are as the event or
/// snapshot of this `revision` said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct JobUpdate {
    pub topic: Arc<str>,
    /// How many older messages of the same job and type this one replaced; left out: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coalesced: Option<i32>,
    pub job_id: Arc<str>,
    /// Of the job's newest durable event when this was made: to a job with a greater one this is old.
    pub revision: i64,
    /// From 1; 0 before the first.
    pub attempt: i32,
    #[cfg_attr(feature = "schema", schemars(with = "schema_enums::JobStatus"))]
    pub status: Cow<'static, str>,
    /// 0 to 100, with one decimal; never goes back within an attempt.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub progress: f64,
    #[cfg_attr(feature = "schema", schemars(with = "schema_enums::Step"))]
    pub step: Cow<'static, str>,
    /// One sentence for people.
    pub operation: String,
    /// In the units of the step: pages, or exports.
    pub units_done: i32,
    /// In the units of the step; 0 when it is not known.
    pub units_total: i32,
    /// What a worker is extracting at the moment; in `zone-processing` always the zone that it is about.
    pub current_zone: Option<Zone>,
    pub zones_completed: i32,
    pub zones_total: i32,
    /// How many jobs of its lane are taken up to and with this one: 1 is next. Owners take turns, so it may grow.
    pub queue_position: Option<i32>,
    /// Seconds until a worker takes it; `null` unless it is queued and there is something to go by.
    pub estimated_wait: Option<f64>,
    /// Seconds until it ends; `null` unless it is running and there is something to go by.
    pub estimated_time_remaining: Option<f64>,
    /// Seconds since its attempt began.
    pub elapsed: Option<f64>,
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub timestamp: Option<String>,
    /// `export-progress` only: the format that is being written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export: Option<Export>,
}

impl JobUpdate {
    /// Of a transient event. Reads only what it needs of the job: most of it does not go over the wire.
    pub fn new(topic: &Arc<str>, job_id: Arc<str>, event: &v1::JobEvent, job: &v1::Job, change: &Change) -> Self {
        let nothing = v1::Progress::default();
        let progress = job.progress.as_ref().unwrap_or(&nothing);
        let position = job.queue_position.as_ref();
        // A newer update that was merged into the job while this one was held back may have ended the zone.
        let zone = match change {
            Change::ZoneStarted(started) => started.zone.as_ref(),
            _ => progress.current_zone.as_ref(),
        };
        Self {
            topic: topic.clone(),
            coalesced: Some(event.coalesced).filter(|count| *count > 0),
            job_id,
            revision: job.revision,
            attempt: job.attempt,
            status: names::status(job).into(),
            progress: tenths(progress.percent),
            step: names::step(progress.stage()).into(),
            operation: progress.operation.clone(),
            units_done: progress.units_done,
            units_total: progress.units_total,
            current_zone: zone.map(Zone::from),
            zones_completed: job.zones_completed,
            zones_total: job.zones_completed.saturating_add(i32::from(zone.is_some())),
            queue_position: position.map(|position| position.position),
            estimated_wait: position.and_then(|position| position.estimated_wait.as_ref()).map(seconds),
            estimated_time_remaining: progress.estimated_remaining.as_ref().map(seconds),
            elapsed: progress.elapsed.as_ref().map(seconds),
            timestamp: time(event.event_time.as_ref()),
            export: match change {
                Change::ExportProgressed(moved) => Some(Export::running(moved.format(), moved.percent)),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::super::encode::Push;
    use super::super::job::Job;
    use super::*;

    /// A job that has come far: everything that may be long is there.
    fn running() -> v1::Job {
        let error =
            Some(v1::JobError { code: "WORKER_LOST".into(), message: "the worker went away".into(), retryable: true });
        let mut job = v1::Job {
            job_id: "01K9Z3V5Q6W7E8R9T0Y1M2N3P4".into(),
            owner: "alice".into(),
            document_id: "doc-7".into(),
            batch_id: "b-1".into(),
            kind: "pdf".into(),
            filename: "report.pdf".into(),
            document_bytes: 48_213,
            document_sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
            labels: [("team".to_owned(), "law".to_owned())].into(),
            attempt: 2,
            max_attempts: 3,
            attempts: vec![v1::Attempt { number: 1, error: error.clone(), pages_done: 4, ..Default::default() }],
            error,
            warnings: vec!["page 3 is a scan and no OCR engine is configured".into()],
            pages_total: 12,
            pages_done: 5,
            zones_completed: 61,
            revision: 57,
            ..Default::default()
        };
        job.set_state(v1::JobState::Running);
        let mut progress = v1::Progress {
            percent: 41.66,
            operation: "Processed 5/12 pages".into(),
            units_done: 5,
            units_total: 12,
            elapsed: Some(prost_types::Duration { seconds: 3, nanos: 100_000_000 }),
            estimated_remaining: Some(prost_types::Duration { seconds: 4, nanos: 200_000_000 }),
            ..Default::default()
        };
        progress.set_stage(v1::Stage::Extract);
        job.progress = Some(progress);
        job
    }

    fn zone() -> v1::Zone {
        v1::Zone { zone_id: "p6z2".into(), index: 2, page: 6, tool: "text-layer".into(), ..Default::default() }
    }

    fn pushed(topic: &str, job: v1::Job, change: Change) -> String {
        let event_time = Some(prost_types::Timestamp { seconds: 1_795_249_804, nanos: 100_000_000 });
        let event = v1::JobEvent { job: Some(Box::new(job)), event_time, change: Some(change), ..Default::default() };
        let push = Push::event(&topic.into(), String::new(), &event).unwrap();
        assert_eq!(push.frames.len(), 1);
        push.frames[0].as_str().to_owned()
    }

    fn value(job: v1::Job, change: Change) -> Value {
        serde_json::from_str(&pushed("mine", job, change)).unwrap()
    }

    #[test]
    fn a_percent_carries_what_changes_without_an_event_and_is_short() {
        let text = pushed("mine", running(), Change::Progressed(v1::JobProgressed {}));
        let expected = concat!(
            r#"{"type":"job-progress","topic":"mine","jobId":"01K9Z3V5Q6W7E8R9T0Y1M2N3P4","revision":57,"attempt":2,"#,
            r#""status":"progress","progress":41.7,"step":"extract","operation":"Processed 5/12 pages","unitsDone":5,"#,
            r#""unitsTotal":12,"currentZone":null,"zonesCompleted":61,"zonesTotal":61,"queuePosition":null,"#,
            r#""estimatedWait":null,"estimatedTimeRemaining":4.2,"elapsed":3.1,"timestamp":"2026-11-21T08:30:04.100Z"}"#,
        );
        assert_eq!(text, expected);
        assert!(text.len() < 400, "{} bytes", text.len());
    }

    #[test]
    fn a_waiting_job_has_the_same_fields_with_nothing_for_what_does_not_apply() {
        let mut job = v1::Job { job_id: "J".into(), revision: 41, ..Default::default() };
        job.set_state(v1::JobState::Queued);
        let estimated_wait = Some(prost_types::Duration { seconds: 12, nanos: 500_000_000 });
        job.queue_position = Some(v1::QueuePosition { position: 3, estimated_wait, ..Default::default() });
        let waiting = value(job, Change::QueuePositionChanged(v1::QueuePositionChanged {}));
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(&waiting), names(&value(running(), Change::Progressed(v1::JobProgressed {}))));
        assert_eq!(waiting["type"], "queue-position");
        assert_eq!((&waiting["queuePosition"], &waiting["estimatedWait"]), (&json!(3), &json!(12.5)));
        assert_eq!((&waiting["estimatedTimeRemaining"], &waiting["elapsed"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn a_zone_is_current_where_its_message_says_so_and_where_a_job_has_one() {
        // The job has been merged with a newer update by then.
        let started = value(running(), Change::ZoneStarted(v1::ZoneStarted { zone: Some(zone()) }));
        assert_eq!((&started["currentZone"]["zoneId"], &started["zonesTotal"]), (&json!("p6z2"), &json!(62)));
        let mut job = running();
        job.progress.as_mut().unwrap().current_zone = Some(zone());
        let moved = value(job, Change::Progressed(v1::JobProgressed {}));
        assert_eq!((&moved["currentZone"], &moved["zonesTotal"]), (&started["currentZone"], &json!(62)));
    }

    #[test]
    fn an_export_under_way_has_its_format_and_percent() {
        let mut change = v1::ExportProgressed { percent: 40.04, ..Default::default() };
        change.set_format(v1::ResultFormat::Markdown);
        let moved = value(running(), Change::ExportProgressed(change));
        assert_eq!((&moved["export"]["format"], &moved["export"]["progress"]), (&json!("md"), &json!(40.0)));
    }

    /// A new field of a job must be sorted: into the update if it may change without an event.
    #[test]
    fn all_other_fields_of_a_job_change_with_an_event_only() {
        let job = serde_json::to_value(Job::from(&running())).unwrap();
        let update = value(running(), Change::Progressed(v1::JobProgressed {}));
        let others = job.as_object().unwrap().keys().filter(|name| update.get(name.as_str()).is_none());
        let expected = [
            "documentId",
            "batchId",
            "owner",
            "kind",
            "filename",
            "documentBytes",
            "documentSha256",
            "lane",
            "labels",
            "parameters",
            "parametersBytes",
            "state",
            "pagesDone",
            "pagesTotal",
            "documentPages",
            "maxAttempts",
            "attempts",
            "result",
            "outputs",
            "error",
            "warnings",
            "createTime",
            "startTime",
            "endTime",
            "retryTime",
            "expireTime",
        ];
        assert_eq!(others.map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(expected));
    }
}
