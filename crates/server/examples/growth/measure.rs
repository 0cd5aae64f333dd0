//! Time of the processors, and memory.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// What an operation took, on the clock and of the processors, over all threads. What writes to the disk is told by the
/// processors: the disk's share depends on the disk alone. The rest is told by the clock, which is finer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub clock: Duration,
    pub processor: Duration,
}

impl Cost {
    /// Microseconds of the processors for each of so many.
    pub fn processor_us(self, of: usize) -> f64 {
        self.processor.as_secs_f64() * 1e6 / of.max(1) as f64
    }

    /// Microseconds on the clock for each of so many.
    pub fn clock_us(self, of: usize) -> f64 {
        self.clock.as_secs_f64() * 1e6 / of.max(1) as f64
    }
}

pub struct Stopwatch {
    begun: Instant,
    threads: HashMap<String, u64>,
}

impl Stopwatch {
    pub fn start() -> Self {
        Self { threads: threads(), begun: Instant::now() }
    }

    pub fn stop(self) -> Cost {
        let clock = self.begun.elapsed();
        let spent = threads().into_iter().map(|(id, ns)| ns - self.threads.get(&id).copied().unwrap_or(0).min(ns));
        Cost { clock, processor: Duration::from_nanos(spent.sum()) }
    }
}

/// How often that is measured which is told by the clock: the quickest counts, since others may use the machine meanwhile.
const ROUNDS: usize = 3;

/// Microseconds on the clock for each of so many, in the quickest round.
pub async fn quickest_us(of: usize, mut what: impl AsyncFnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut quickest = f64::INFINITY;
    for _ in 0..ROUNDS {
        let watch = Stopwatch::start();
        what().await?;
        quickest = quickest.min(watch.stop().clock_us(of));
    }
    Ok(quickest)
}

/// Nanoseconds that each thread of this process ran, by Linux. A thread that ended is missing: only idle ones do.
fn threads() -> HashMap<String, u64> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let ran = |path: std::path::PathBuf| {
        std::fs::read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
    };
    tasks.filter_map(|task| Some((task.file_name().into_string().ok()?, ran(task.path())?))).collect()
}

/// What this process has in memory, in bytes.
pub fn resident() -> anyhow::Result<f64> {
    status("VmRSS")
}

/// The most it ever had.
pub fn peak() -> anyhow::Result<f64> {
    status("VmHWM")
}

fn status(name: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("this needs Linux")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).context("no such line")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
}

/// Less than so many bytes is not told apart from what else a process does.
const LEAST: f64 = 1024.0 * 1024.0;

/// More bytes for each of so many; no number where that is too few to tell.
pub fn bytes_each(before: f64, after: f64, of: usize) -> f64 {
    let more = after - before;
    if more < LEAST { f64::NAN } else { more / of as f64 }
}
