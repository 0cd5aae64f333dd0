//! What finished jobs take in memory: `cargo run --release -p courant-engine --example memory [JOBS] [FOLDER]`.
//!
//! Makes a log of finished jobs, then starts an engine on it in a process of its own, and prints what that has in memory: at
//! its peak, and once it is open. A folder that is named is kept, and used again if it has a log.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use courant_engine::config::Config;
use courant_engine::engine::Engine;
use courant_engine::projection::Projections;
use courant_engine::view::Weights;
use courant_joblog::event::{Change, Event};
use courant_joblog::ids::{DocumentId, JobId, Owner, Timestamp};
use courant_joblog::job::{Document, Export, ExportState, Format, Job, Lane, PageRange, Pages, Progress, Stage, State};
use courant_joblog::log::{Append, Log};
use courant_joblog::sqlite::{Options, SqliteLog};
use tokio::task::JoinSet;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const OWNERS: usize = 1000;
/// Appends under way at a time.
const AT_ONCE: usize = 256;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next().unwrap_or_else(|| "100000".into());
    if first == "--open" {
        return open(Path::new(&arguments.next().ok_or("--open needs a folder")?)).await;
    }
    let (jobs, named) = (first.parse()?, arguments.next().map(PathBuf::from));
    let own = || std::env::temp_dir().join(format!("courant-memory-{}", std::process::id()));
    let folder = named.clone().unwrap_or_else(own);
    if !folder.join("log.db").exists() {
        fill(&folder, jobs).await?;
    }
    let status = Command::new(std::env::current_exe()?).arg("--open").arg(&folder).status()?;
    if named.is_none() {
        std::fs::remove_dir_all(folder)?;
    }
    if status.success() { Ok(()) } else { Err("the log could not be opened".into()) }
}

async fn fill(folder: &Path, jobs: usize) -> Result<()> {
    let log = Arc::new(SqliteLog::open(folder, Options::default())?);
    let mut running = JoinSet::new();
    for number in 0..jobs {
        if running.len() >= AT_ONCE {
            running.join_next().await.transpose()?.transpose()?;
        }
        let log = log.clone();
        running.spawn(async move {
            let event = Event::new(Timestamp::now(), Change::Succeeded { attempt: 1, warnings: Vec::new() });
            log.append(Append::one(None, event, Arc::new(finished(number)))).await
        });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(())
}

async fn open(folder: &Path) -> Result<()> {
    let empty = status("VmRSS")?;
    let begun = Instant::now();
    let log = Arc::new(SqliteLog::open(folder, Options::default())?);
    let opened = (begun.elapsed(), status("VmRSS")?);
    let config = Config {
        weights: Weights::default(),
        owner_share: 0.75,
        owner_running: 0,
        watch_buffer: 1024,
        bookmark_interval: std::time::Duration::from_secs(25),
    };
    let begun = Instant::now();
    let engine = Engine::open(config, log, Projections::default()).await?;
    let (started, memory, peak) = (begun.elapsed(), status("VmRSS")?, status("VmHWM")?);
    let jobs = engine.read(|view| view.list(None, None).count()).max(1);
    let each = |kib: u64| (kib * 1024) / jobs as u64;
    println!("jobs             {jobs}");
    println!("log opened       {:>8.1?}  {:>6} bytes a job", opened.0, each(opened.1.saturating_sub(empty)));
    println!("engine opened    {started:>8.1?}  {:>6} bytes a job", each(memory.saturating_sub(opened.1)));
    println!("in memory        {:>8} MiB  {:>6} bytes a job", memory / 1024, each(memory - empty));
    println!("at its peak      {:>8} MiB  {:>6} bytes a job", peak / 1024, each(peak - empty));
    Ok(())
}

/// A line of what Linux says of this process, in KiB.
fn status(name: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).ok_or("no such line")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// A document of 12 pages that was read an hour ago, with four exports.
fn finished(number: usize) -> Job {
    let id = JobId::random();
    let at = |second: i64| Timestamp(Timestamp::now().0 - 3_600_000 + second * 1_000 + (number % 997) as i64);
    let sha256 = |seed: usize| -> Box<str> {
        let mut random = fastrand::Rng::with_seed((number * 8 + seed) as u64);
        format!("{:032x}{:032x}", random.u128(..), random.u128(..)).into()
    };
    let export = |(format, seed): (Format, usize)| Export {
        format,
        attempt: 1,
        state: ExportState::Completed { bytes: 40_000 + (number % 9_973) as u64, sha256: sha256(seed) },
    };
    Job {
        owner: Owner::new(format!("user-{:04}@example.com", number % OWNERS)),
        document: Document {
            id: DocumentId::new(JobId::random().as_str()),
            name: format!("Quarterly report {number}.pdf").into(),
            bytes: 1_500_000 + number as u64,
            sha256: sha256(0),
        },
        id,
        batch: None,
        request: None,
        kind: "pdf".into(),
        lane: Lane::Normal,
        labels: BTreeMap::new(),
        formats: Format::ALL.to_vec(),
        state: State::Succeeded,
        attempt: 1,
        max_attempts: 3,
        attempts_without_progress: 0,
        worker: None,
        progress: Progress {
            percent: 100.0,
            stage: Stage::Done,
            operation: "Done".into(),
            units_done: 12,
            units_total: 12,
        },
        pages: Pages { total: Some(12), done: vec![PageRange { first: 1, last: 12, attempt: 1 }], expected: None },
        zones: 143,
        exports: Format::ALL.into_iter().zip(1..).map(export).collect(),
        warnings: Vec::new(),
        error: None,
        attempts: Vec::new(),
        created: at(0),
        queued: at(0),
        started: Some(at(2)),
        attempt_started: Some(at(2)),
        ended: Some(at(14)),
        not_before: None,
        cancelled_by: None,
        batch_size: None,
        cancel_unwatched_ms: None,
        password: None,
        ran_ms: Some(12_034),
    }
}
