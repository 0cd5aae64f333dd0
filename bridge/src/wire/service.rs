//! The service in JSON: the queue, the workers, the statistics and the batches (`PROTOCOL.md`, sections 4 and 8).

use courant_proto::v1;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::{rounded, seconds, time};
use super::names;
#[cfg(feature = "schema")]
use super::schema_enums;

/// What waits and who works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    pub lanes: Vec<QueueLane>,
    pub workers_total: i32,
    pub workers_active: i32,
    pub slots_total: i32,
    pub slots_used: i32,
    /// Kinds of work that jobs wait for and no connected worker takes.
    pub unserved_kinds: Vec<String>,
}

/// One lane of one kind of work. Spans are seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct QueueLane {
    pub kind: String,
    /// `premium`, `normal` or `large`.
    pub lane: String,
    pub waiting: i32,
    /// Of those that wait: how many wait for the time of their next attempt.
    pub delayed: i32,
    pub active: i32,
    /// Pages of the jobs that wait, as far as they are known.
    pub pages_waiting: i64,
    /// How long jobs waited lately; `null` until there is something to go by.
    pub average_wait: Option<f64>,
    /// How long the job has waited that waits longest; `null` when none does.
    pub oldest_wait: Option<f64>,
    /// How long a job that came now would wait at most; `null` until there is something to go by.
    pub estimated_wait: Option<f64>,
    /// The range of that estimate.
    pub estimated_wait_band: Option<Band>,
    /// The lane's part of the service while all lanes have jobs waiting, 0 to 1.
    pub share: f64,
}

/// The range an estimate had in 8 of 10 cases.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Band {
    /// In seconds.
    pub low: f64,
    /// In seconds.
    pub high: f64,
}

/// Statistics of the server and its work. Spans are seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    /// When they were taken.
    pub sample_time: Option<String>,
    /// When the server started.
    pub start_time: Option<String>,
    pub version: String,
    pub workers_total: i32,
    pub workers_active: i32,
    pub slots_total: i32,
    pub slots_used: i32,
    /// Resident memory of the server.
    pub memory_bytes: i64,
    /// In percent of one CPU core; more than 100 when the server uses several cores.
    pub cpu_percent: f64,
    /// Of the server's machine over 1, 5 and 15 minutes.
    pub load_average: Vec<f64>,
    /// Since the server started.
    pub jobs_succeeded: i64,
    /// Since the server started.
    pub jobs_failed: i64,
    /// Since the server started.
    pub jobs_cancelled: i64,
    /// Seconds from start to end; `null` before the first job ended.
    pub average_duration: Option<f64>,
    /// Of the jobs that ended within the last hour, 0 to 1.
    pub error_rate: f64,
    /// Jobs that ended within the last hour.
    pub throughput_per_hour: i64,
    pub pages_per_hour: i64,
    /// How many jobs there are, by state.
    pub jobs: std::collections::BTreeMap<String, i64>,
    /// Streams that follow jobs.
    pub watchers: i32,
    /// The newest revision in the log.
    pub log_revision: i64,
}

/// A worker and what it works on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Worker {
    pub worker_id: String,
    pub software: String,
    /// Kinds of work it takes.
    pub kinds: Vec<String>,
    /// How many jobs it works on at the same time.
    pub slots: i32,
    pub connected: bool,
    /// It gets no new jobs.
    pub draining: bool,
    /// When the last message of it came.
    pub last_seen_time: Option<String>,
    pub jobs: Vec<WorkerJob>,
    /// How long a page took lately; `null` before the first.
    pub page_duration_ms: Option<f64>,
    /// Since it connected.
    pub pages_done: i64,
}

/// A job in a worker's hands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WorkerJob {
    pub job_id: String,
    /// From 1.
    pub attempt: i32,
    /// 0 to 100.
    pub progress: f64,
    pub start_time: Option<String>,
}

/// The jobs of a batch as one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    pub batch_id: String,
    pub owner: String,
    /// As many as were announced, or have come.
    pub jobs_total: i32,
    pub jobs_queued: i32,
    pub jobs_running: i32,
    pub jobs_cancelling: i32,
    pub jobs_succeeded: i32,
    pub jobs_failed: i32,
    pub jobs_cancelled: i32,
    /// 0 to 100.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub progress: f64,
    /// As far as they are known.
    pub pages_total: i64,
    pub pages_done: i64,
    /// All jobs have come and ended.
    pub complete: bool,
    pub create_time: Option<String>,
    pub end_time: Option<String>,
    /// Of the newest event of its jobs.
    pub revision: i64,
}

/// What one may submit and has used of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// Such as `jobs-waiting`.
    pub name: String,
    /// `used` may be as large as this.
    pub limit: i64,
    pub used: i64,
    /// Seconds until more may be used; `null` when it may be now.
    pub retry_after: Option<f64>,
}

/// A notification as its user sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    pub id: String,
    /// `job-succeeded`, `job-failed`, or `message`: from an operator or a service.
    pub kind: String,
    #[cfg_attr(feature = "schema", schemars(with = "schema_enums::Severity"))]
    pub severity: String,
    /// One line.
    pub title: String,
    /// Further text, which may have several lines; may be empty.
    pub body: String,
    /// The job it is about.
    pub job_id: Option<String>,
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub create_time: Option<String>,
    /// `null`: unread on every device.
    pub read_time: Option<String>,
}

impl From<&v1::Notification> for Notification {
    fn from(notification: &v1::Notification) -> Self {
        Self {
            id: notification.notification_id.clone(),
            kind: notification.kind.clone(),
            severity: names::severity(notification.severity()).to_owned(),
            title: notification.title.clone(),
            body: notification.body.clone(),
            job_id: Some(notification.job_id.clone()).filter(|id| !id.is_empty()),
            create_time: time(notification.create_time.as_ref()),
            read_time: time(notification.read_time.as_ref()),
        }
    }
}

impl From<&v1::Queue> for Queue {
    fn from(queue: &v1::Queue) -> Self {
        Self {
            lanes: queue.lanes.iter().map(QueueLane::from).collect(),
            workers_total: queue.workers_total,
            workers_active: queue.workers_active,
            slots_total: queue.slots_total,
            slots_used: queue.slots_used,
            unserved_kinds: queue.unserved_kinds.clone(),
        }
    }
}

impl From<&v1::QueueLane> for QueueLane {
    fn from(lane: &v1::QueueLane) -> Self {
        let band = |band: &v1::EstimateBand| Band {
            low: band.low.as_ref().map_or(0.0, seconds),
            high: band.high.as_ref().map_or(0.0, seconds),
        };
        Self {
            kind: lane.kind.clone(),
            lane: names::lane(lane.lane()).to_owned(),
            waiting: lane.waiting,
            delayed: lane.delayed,
            active: lane.active,
            pages_waiting: lane.pages_waiting,
            average_wait: lane.average_wait.as_ref().map(seconds),
            oldest_wait: lane.oldest_wait.as_ref().map(seconds),
            estimated_wait: lane.estimated_wait.as_ref().map(seconds),
            estimated_wait_band: lane.estimated_wait_band.as_ref().map(band),
            share: thousandths(lane.share),
        }
    }
}

impl From<&v1::SystemMetrics> for Statistics {
    fn from(metrics: &v1::SystemMetrics) -> Self {
        let states = metrics.jobs.iter().map(|count| (names::state(count.state()).to_owned(), count.jobs));
        Self {
            sample_time: time(metrics.sample_time.as_ref()),
            start_time: time(metrics.start_time.as_ref()),
            version: metrics.version.clone(),
            workers_total: metrics.workers_total,
            workers_active: metrics.workers_active,
            slots_total: metrics.slots_total,
            slots_used: metrics.slots_used,
            memory_bytes: metrics.memory_bytes,
            cpu_percent: thousandths(metrics.cpu_percent),
            load_average: metrics.load_average.iter().map(|load| thousandths(*load)).collect(),
            jobs_succeeded: metrics.jobs_succeeded,
            jobs_failed: metrics.jobs_failed,
            jobs_cancelled: metrics.jobs_cancelled,
            average_duration: metrics.average_duration.as_ref().map(seconds),
            error_rate: thousandths(metrics.error_rate),
            throughput_per_hour: metrics.throughput_per_hour,
            pages_per_hour: metrics.pages_per_hour,
            jobs: states.collect(),
            watchers: metrics.watchers,
            log_revision: metrics.log_revision,
        }
    }
}

impl From<&v1::Worker> for Worker {
    fn from(worker: &v1::Worker) -> Self {
        let job = |job: &v1::WorkerJob| WorkerJob {
            job_id: job.job_id.clone(),
            attempt: job.attempt,
            progress: rounded(job.percent, 10.0),
            start_time: time(job.start_time.as_ref()),
        };
        Self {
            worker_id: worker.worker_id.clone(),
            software: worker.software.clone(),
            kinds: worker.kinds.clone(),
            slots: worker.slots,
            connected: worker.connected,
            draining: worker.draining,
            last_seen_time: time(worker.last_seen_time.as_ref()),
            jobs: worker.jobs.iter().map(job).collect(),
            page_duration_ms: worker.page_duration.as_ref().map(|span| rounded(seconds(span) * 1e3, 10.0)),
            pages_done: worker.pages_done,
        }
    }
}

impl From<&v1::Batch> for Batch {
    fn from(batch: &v1::Batch) -> Self {
        Self {
            batch_id: batch.batch_id.clone(),
            owner: batch.owner.clone(),
            jobs_total: batch.jobs_total,
            jobs_queued: batch.jobs_queued,
            jobs_running: batch.jobs_running,
            jobs_cancelling: batch.jobs_cancelling,
            jobs_succeeded: batch.jobs_succeeded,
            jobs_failed: batch.jobs_failed,
            jobs_cancelled: batch.jobs_cancelled,
            progress: rounded(batch.percent, 10.0),
            pages_total: batch.pages_total,
            pages_done: batch.pages_done,
            complete: batch.complete,
            create_time: time(batch.create_time.as_ref()),
            end_time: time(batch.end_time.as_ref()),
            revision: batch.revision,
        }
    }
}

impl From<&v1::Quota> for Quota {
    fn from(quota: &v1::Quota) -> Self {
        Self {
            name: quota.name.clone(),
            limit: quota.limit,
            used: quota.used,
            retry_after: quota.retry_after.as_ref().map(seconds),
        }
    }
}

fn thousandths(value: f64) -> f64 {
    rounded(value, 1e3)
}
