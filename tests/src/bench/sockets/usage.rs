//! Processor time and memory of what is measured, and processor time of all else.

use std::time::Instant;

use anyhow::Context as _;

use crate::bench::cpu::{TICKS, seconds};
use crate::program::group_members;

/// Groups of processes with their names.
#[derive(Clone, Debug)]
pub struct Processes(pub Vec<(&'static str, i32)>);

/// Bytes in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Resident: pages shared with other processes count in full.
    pub rss: f64,
    /// Proportional: of a page shared by two, half.
    pub pss: f64,
}

impl Processes {
    /// Those with this name alone.
    pub fn only(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|(of, _)| *of == name).copied().collect())
    }

    fn ids(&self) -> anyhow::Result<Vec<u32>> {
        let mut ids = Vec::new();
        for (_, group) in &self.0 {
            ids.extend(group_members(*group)?);
        }
        Ok(ids)
    }

    /// Processor seconds so far.
    pub fn seconds(&self) -> anyhow::Result<f64> {
        Ok(self.ids()?.iter().filter_map(|id| precise_seconds(&id.to_string()).ok()).sum())
    }

    pub fn memory(&self) -> anyhow::Result<Memory> {
        let mut memory = Memory::default();
        for id in self.ids()? {
            let path = format!("/proc/{id}/smaps_rollup");
            let text = std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
            memory.rss += bytes(&text, "Rss:")?;
            memory.pss += bytes(&text, "Pss:")?;
        }
        Ok(memory)
    }
}

/// Processor seconds of a process to the nanosecond, which Linux knows of threads that still run. Where much is of others that have
/// ended, it is what is counted in ticks.
fn precise_seconds(process: &str) -> anyhow::Result<f64> {
    const MUCH: f64 = 0.05;
    let in_ticks = seconds(process)?;
    let mut nanoseconds = 0.0;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))?.flatten() {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text.split_whitespace().next().map_or(Ok(0.0), str::parse::<f64>)?;
    }
    let running = nanoseconds / 1e9;
    Ok(if in_ticks - running > MUCH { in_ticks } else { running })
}

/// The value of a line such as `Rss:   1234 kB`.
fn bytes(text: &str, key: &str) -> anyhow::Result<f64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("no {key}"))?;
    Ok(value.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
}

/// Processor seconds up to a moment.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    pub at: Instant,
    server: f64,
    load: f64,
    machine: f64,
}

/// Cores' worth of processor time over a while.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    pub server: f64,
    /// This process. Near 1, it is what is measured, and not the server.
    pub load: f64,
    /// What neither of both used: other work on the machine, which spoils a figure from about 0.15 on.
    pub foreign: f64,
}

impl Used {
    pub fn now(server: &Processes) -> anyhow::Result<Self> {
        Ok(Self { at: Instant::now(), server: server.seconds()?, load: seconds("self")?, machine: machine_seconds()? })
    }

    /// Processor seconds of the server since then.
    pub fn server_since(&self, server: &Processes) -> anyhow::Result<f64> {
        Ok(server.seconds()? - self.server)
    }

    pub fn since(&self, server: &Processes) -> anyhow::Result<Cores> {
        let now = Self::now(server)?;
        let elapsed = (now.at - self.at).as_secs_f64();
        let (server, load) = (now.server - self.server, now.load - self.load);
        let machine = now.machine - self.machine;
        Ok(Cores { server: server / elapsed, load: load / elapsed, foreign: (machine - server - load) / elapsed })
    }
}

/// Processor seconds in which any core was busy.
fn machine_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("an empty /proc/stat")?;
    // User, nice, system, idle, iowait, irq, softirq, steal.
    let ticks = line.split_whitespace().skip(1).take(8).map(str::parse::<f64>).collect::<Result<Vec<_>, _>>()?;
    let idle = ticks.get(3..5).map_or(0.0, |idle| idle.iter().sum());
    Ok((ticks.iter().sum::<f64>() - idle) / TICKS)
}
