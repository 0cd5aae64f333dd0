//! How many durable appends a second this disk gives:
//! `cargo run --release -p courant-joblog --features conformance --example append_rate [folder]`.
//!
//! Each appender waits for its answer before it appends again, as a server's callers do; each job gets 10 entries.

use std::sync::Arc;
use std::time::{Duration, Instant};

use courant_joblog::apply::apply;
use courant_joblog::event::{Change, Event};
use courant_joblog::ids::{JobId, Timestamp};
use courant_joblog::job::Job;
use courant_joblog::log::{Append, Log};
use courant_joblog::samples;
use courant_joblog::sqlite::{Options, SqliteLog};

const RUN: Duration = Duration::from_secs(5);
const ENTRIES_PER_JOB: u32 = 10;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let parent = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    println!("{:>9}  {:>9}  {:>8}  {:>8}", "appenders", "appends/s", "p50 ms", "p99 ms");
    for appenders in [1, 16, 256] {
        let dir = tempfile::tempdir_in(&parent)?;
        let log = Arc::new(SqliteLog::open(dir.path(), Options::default())?);
        let began = Instant::now();
        let running: Vec<_> = (0..appenders).map(|number| tokio::spawn(appender(log.clone(), number, began))).collect();
        let mut times = Vec::new();
        for appender in running {
            times.extend(appender.await??);
        }
        let rate = times.len() as f64 / began.elapsed().as_secs_f64();
        times.sort_unstable();
        let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1_000.0;
        println!("{appenders:>9}  {rate:>9.0}  {:>8.2}  {:>8.2}", at(0.5), at(0.99));
    }
    Ok(())
}

async fn appender(log: Arc<SqliteLog>, number: u32, began: Instant) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    while began.elapsed() < RUN {
        let (event, job) = submitted(number)?;
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

fn submitted(number: u32) -> Result<(Event, Job)> {
    let submission = samples::minimal_submission(JobId::random().as_str(), &format!("owner-{number}"));
    let event = Event::new(Timestamp::now(), Change::Submitted(Box::new(submission)));
    let job = apply(None, &event)?;
    Ok((event, job))
}
