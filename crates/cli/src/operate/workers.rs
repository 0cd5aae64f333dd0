//! Workers as people and programs read them.

use courant_proto::v1::Worker;
use serde::Serialize;

use crate::failure::Failure;
use crate::out;

const ID_WIDTH: usize = 24;

/// What is shown of a worker. What only says that it lives is left out: it would change all the time.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    worker_id: String,
    state: &'static str,
    slots: i32,
    jobs: Vec<JobRow>,
    pages_done: i64,
    seconds_per_page: Option<f64>,
    kinds: Vec<String>,
    software: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct JobRow {
    job_id: String,
    attempt: i32,
    percent: f64,
}

pub fn rows(workers: &[Worker]) -> Vec<Row> {
    workers.iter().map(Row::from).collect()
}

/// Prints a table, or JSON lines.
pub fn print(workers: &[Worker], json: bool) -> Result<(), Failure> {
    let rows = rows(workers);
    if json {
        return rows.iter().try_for_each(|row| out::line(serde_json::to_string(row)?));
    }
    let (id, program) = ("WORKER", "PROGRAM");
    out::line(format_args!("{id:<ID_WIDTH$}  STATE      BUSY   PAGES  S/PAGE  KINDS         {program}"))?;
    for row in &rows {
        out::line(row)?;
        for job in &row.jobs {
            out::line(format_args!("  {}  {:>3.0} %  attempt {}", job.job_id, job.percent, job.attempt))?;
        }
    }
    Ok(())
}

impl From<&Worker> for Row {
    fn from(worker: &Worker) -> Self {
        let per_page = worker.page_duration.and_then(|span| std::time::Duration::try_from(span).ok());
        let jobs = worker.jobs.iter().map(|job| JobRow {
            job_id: job.job_id.clone(),
            attempt: job.attempt,
            percent: job.percent,
        });
        Self {
            worker_id: worker.worker_id.clone(),
            state: match (worker.connected, worker.draining) {
                (_, true) => "drained",
                (true, false) => "connected",
                (false, false) => "lost",
            },
            slots: worker.slots,
            jobs: jobs.collect(),
            pages_done: worker.pages_done,
            seconds_per_page: per_page.map(|span| span.as_secs_f64()),
            kinds: worker.kinds.clone(),
            software: worker.software.clone(),
        }
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { worker_id, state, pages_done, software, .. } = self;
        let busy = format!("{}/{}", self.jobs.len(), self.slots);
        let per_page = self.seconds_per_page.map_or("-".to_owned(), |seconds| format!("{seconds:.2}"));
        let kinds = self.kinds.join(",");
        write!(
            f,
            "{worker_id:<ID_WIDTH$}  {state:<9}  {busy:<5}  {pages_done:>5}  {per_page:>6}  {kinds:<12}  {software}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_one_line_and_a_sign_of_life_is_no_change() {
        let worker = |seconds| Worker {
            worker_id: "w-1".into(),
            slots: 2,
            connected: true,
            kinds: vec!["pdf".into()],
            page_duration: Some(prost_types::Duration { seconds: 0, nanos: 250_000_000 }),
            last_seen_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
            ..Worker::default()
        };
        assert_eq!(rows(&[worker(1)]), rows(&[worker(2)]));
        let line = rows(&[worker(1)])[0].to_string();
        assert_eq!(line, "w-1                       connected  0/2        0    0.25  pdf           ");
        let drained = Worker { draining: true, ..worker(1) };
        assert_eq!(rows(&[drained])[0].state, "drained");
    }
}
