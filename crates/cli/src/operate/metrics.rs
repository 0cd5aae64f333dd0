//! The server's metrics as people and programs read them.

use std::collections::BTreeMap;
use std::time::Duration;

use courant_bridge::wire::names;
use courant_proto::v1::SystemMetrics;
use serde::Serialize;

use crate::failure::Failure;
use crate::out;

/// The metrics, named as the browser protocol names things.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    version: String,
    uptime_seconds: i64,
    workers_total: i32,
    workers_active: i32,
    slots_total: i32,
    slots_used: i32,
    memory_bytes: i64,
    cpu_percent: f64,
    load_average: Vec<f64>,
    jobs_succeeded: i64,
    jobs_failed: i64,
    jobs_cancelled: i64,
    average_duration_seconds: Option<f64>,
    error_rate: f64,
    throughput_per_hour: i64,
    pages_per_hour: i64,
    jobs: BTreeMap<&'static str, i64>,
    watchers: i32,
    log_revision: i64,
}

/// Prints them as lines, or as one line of JSON.
pub fn print(metrics: &SystemMetrics, json: bool) -> Result<(), Failure> {
    let metrics = Metrics::from(metrics);
    if json {
        return out::line(serde_json::to_string(&metrics)?);
    }
    out::line(metrics)
}

impl From<&SystemMetrics> for Metrics {
    fn from(from: &SystemMetrics) -> Self {
        let seconds = |time: &Option<prost_types::Timestamp>| time.as_ref().map_or(0, |time| time.seconds);
        let average = from.average_duration.and_then(|span| Duration::try_from(span).ok());
        Self {
            version: from.version.clone(),
            uptime_seconds: seconds(&from.sample_time).saturating_sub(seconds(&from.start_time)).max(0),
            workers_total: from.workers_total,
            workers_active: from.workers_active,
            slots_total: from.slots_total,
            slots_used: from.slots_used,
            memory_bytes: from.memory_bytes,
            cpu_percent: from.cpu_percent,
            load_average: from.load_average.clone(),
            jobs_succeeded: from.jobs_succeeded,
            jobs_failed: from.jobs_failed,
            jobs_cancelled: from.jobs_cancelled,
            average_duration_seconds: average.map(|span| span.as_secs_f64()),
            error_rate: from.error_rate,
            throughput_per_hour: from.throughput_per_hour,
            pages_per_hour: from.pages_per_hour,
            jobs: from.jobs.iter().map(|count| (names::state(count.state()), count.jobs)).collect(),
            watchers: from.watchers,
            log_revision: from.log_revision,
        }
    }
}

impl std::fmt::Display for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let up = humantime::format_duration(Duration::from_secs(self.uptime_seconds.unsigned_abs()));
        let mib = self.memory_bytes as f64 / f64::from(1 << 20);
        let jobs: Vec<String> = self.jobs.iter().map(|(state, jobs)| format!("{jobs} {state}")).collect();
        let load: Vec<String> = self.load_average.iter().map(|load| format!("{load:.2}")).collect();
        let average = self.average_duration_seconds.map_or("none yet".to_owned(), |seconds| format!("{seconds:.1} s"));
        let failed = 100.0 * self.error_rate;
        writeln!(f, "server     {}, up {up}", self.version)?;
        writeln!(f, "machine    {mib:.0} MiB, CPU {:.0} %, load {}", self.cpu_percent, load.join(" "))?;
        writeln!(f, "workers    {} connected, {} busy", self.workers_total, self.workers_active)?;
        writeln!(f, "slots      {} of {} used", self.slots_used, self.slots_total)?;
        writeln!(f, "jobs       {}", jobs.join(", "))?;
        let Self { throughput_per_hour, pages_per_hour, jobs_succeeded, jobs_failed, jobs_cancelled, .. } = self;
        writeln!(f, "last hour  {throughput_per_hour} ended, {failed:.0} % failed, {pages_per_hour} pages")?;
        writeln!(
            f,
            "ended      {jobs_succeeded} succeeded, {jobs_failed} failed, {jobs_cancelled} cancelled since the start"
        )?;
        writeln!(f, "a job      {average} on average")?;
        write!(f, "watches    {}, log at {}", self.watchers, self.log_revision)
    }
}

#[cfg(test)]
mod tests {
    use courant_proto::v1::{JobState, JobStateCount};

    use super::*;

    #[test]
    fn metrics_are_lines_for_people_and_one_object_for_programs() {
        let queued = JobStateCount { state: JobState::Queued.into(), jobs: 3 };
        let metrics = SystemMetrics {
            version: "1.2.3".into(),
            memory_bytes: 64 << 20,
            load_average: vec![0.5, 1.0, 1.5],
            error_rate: 0.25,
            jobs: vec![queued],
            ..SystemMetrics::default()
        };
        let metrics = Metrics::from(&metrics);
        let text = metrics.to_string();
        assert!(
            text.contains("64 MiB") && text.contains("load 0.50 1.00 1.50") && text.contains("25 % failed"),
            "{text}"
        );
        assert!(text.contains("3 queued") && text.contains("none yet"), "{text}");
        let json = serde_json::to_value(&metrics).unwrap();
        assert_eq!((json["jobs"]["queued"].as_i64(), json["memoryBytes"].as_i64()), (Some(3), Some(64 << 20)));
    }
}
