//! How many appends a second NATS gives, beside SQLite in the same loop:
//! `cargo run --release -p courant-natslog --example append_rate -- nats://user:password@host:port [replicas]`, or with a folder
//! instead of a URL.
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
use courant_joblog::sqlite::SqliteLog;
use courant_natslog::{NatsLog, Options};

const RUN: Duration = Duration::from_secs(4);
const ENTRIES_PER_JOB: u32 = 10;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let target = arguments.next().ok_or("name the URL of a NATS server, or a folder")?;
    let replicas = arguments.next().map_or(Ok(1), |replicas| replicas.parse())?;
    println!("{:>9}  {:>9}  {:>8}  {:>8}", "appenders", "appends/s", "p50 ms", "p99 ms");
    for appenders in [1, 128] {
        let log = open(&target, replicas).await?;
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
    let began = Instant::now();
    let log = open(&target, replicas).await?;
    let opened = began.elapsed();
    let jobs = log.latest().await?.all().await?.len();
    println!("open {opened:.2?}, latest of {jobs} jobs {:.2?}", began.elapsed() - opened);
    Ok(())
}

async fn open(target: &str, replicas: usize) -> Result<Arc<dyn Log>> {
    if !target.contains("://") {
        return Ok(Arc::new(SqliteLog::open(target.as_ref(), courant_joblog::sqlite::Options::default())?));
    }
    let options = Options { replicas, allow_lossy: true, stream: "append-rate".into(), ..Options::new([target]) };
    Ok(Arc::new(NatsLog::open(options).await?))
}

async fn appender(log: Arc<dyn Log>, number: u32, began: Instant) -> Result<Vec<Duration>> {
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
