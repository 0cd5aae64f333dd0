//! How many appends a second a log gives, for examples and other measurements.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::apply::apply;
use crate::event::{Change, Event};
use crate::ids::{JobId, Timestamp};
use crate::log::{Append, AppendError, Log};
use crate::samples;

const ENTRIES_PER_JOB: u32 = 10;

/// What a run came to.
#[derive(Debug)]
pub struct AppendRate {
    /// So many waited for their answers at the same time.
    pub appenders: u32,
    pub per_second: f64,
    /// Between question and answer.
    pub p50: Duration,
    pub p99: Duration,
}

/// Appends for so long. Each appender waits for its answer before it appends again, as a server's callers do; each job gets 10
/// entries.
pub async fn measure(log: &Arc<dyn Log>, appenders: u32, run: Duration) -> Result<AppendRate, AppendError> {
    let began = Instant::now();
    let running: Vec<_> =
        (0..appenders).map(|number| tokio::spawn(appender(log.clone(), number, began, run))).collect();
    let mut times = Vec::new();
    for appender in running {
        let unknown = |error: tokio::task::JoinError| AppendError::Unknown { reason: error.to_string().into() };
        times.extend(appender.await.map_err(unknown)??);
    }
    let per_second = times.len() as f64 / began.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
    Ok(AppendRate { appenders, per_second, p50: at(0.5), p99: at(0.99) })
}

async fn appender(log: Arc<dyn Log>, number: u32, began: Instant, run: Duration) -> Result<Vec<Duration>, AppendError> {
    let mut times = Vec::new();
    while began.elapsed() < run {
        let submission = samples::minimal_submission(JobId::random().as_str(), &format!("owner-{number}"));
        let event = Event::new(Timestamp::now(), Change::Submitted(Box::new(submission)));
        let job = apply(None, &event).map_err(|error| AppendError::Unencodable { reason: error.to_string() })?;
        let job = Arc::new(job);
        let mut expect = None;
        for _ in 0..ENTRIES_PER_JOB {
            let append = Append::one(expect, event.clone(), job.clone());
            let asked = Instant::now();
            expect = Some(log.append(append).await?);
            times.push(asked.elapsed());
        }
    }
    Ok(times)
}

impl AppendRate {
    /// The names of the columns of its text.
    pub const COLUMNS: &str = "appenders  appends/s    p50 ms    p99 ms";
}

impl std::fmt::Display for AppendRate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [p50, p99] = [self.p50, self.p99].map(|time| time.as_secs_f64() * 1_000.0);
        write!(f, "{:>9}  {:>9.0}  {p50:>8.2}  {p99:>8.2}", self.appenders, self.per_second)
    }
}
