//! What every program says of its process, under the names that all programs of this world use, and of the processes it has
//! started.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;

use rustix::process::{Resource, getrlimit};

use crate::samples::Samples;

/// Who says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

/// One process, as `/proc/<id>/stat` has it.
#[derive(Clone, Copy, Debug, Default)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    /// After the machine's start.
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

/// Children of children are looked for so deep, and so many are looked at.
const MAX_CHILDREN: usize = 4096;

impl Program {
    pub(crate) fn write(self, samples: &mut Samples<'_>) -> fmt::Result {
        let labels = [([self.name, self.version], 1.0)];
        samples.gauges(
            "courant_build_info",
            "The program and its version; always 1.",
            ["program", "version"],
            labels,
        )?;
        let own = Stat::of("self").unwrap_or_default();
        let ticks = rustix::param::clock_ticks_per_second().max(1) as f64;
        let page = rustix::param::page_size() as f64;
        let cpu = own.cpu_ticks as f64 / ticks;
        samples.counter_of("process_cpu_seconds", "Processor time of the process, of user and system.", cpu)?;
        let resident = own.resident_pages as f64 * page;
        samples.gauge("process_resident_memory_bytes", "Memory of the process that is in RAM.", resident)?;
        let virtual_bytes = own.virtual_bytes as f64;
        samples.gauge("process_virtual_memory_bytes", "Address space of the process.", virtual_bytes)?;
        samples.gauge("process_threads", "Threads of the process.", own.threads as f64)?;
        let started = boot_seconds().unwrap_or_default() + own.start_ticks as f64 / ticks;
        samples.gauge("process_start_time_seconds", "When the process was started, in seconds since 1970.", started)?;
        samples.gauge("process_open_fds", "Open file descriptors.", open_files())?;
        let most = getrlimit(Resource::Nofile).current.map_or(f64::INFINITY, |most| most as f64);
        samples.gauge("process_max_fds", "Open file descriptors that the process may have.", most)?;
        let children = descendants();
        let of_children = children.iter().filter_map(|id| Stat::of(&id.to_string()));
        let memory: u64 = of_children.map(|stat| stat.resident_pages).sum();
        samples.gauge(
            "courant_process_children",
            "Processes that this one has started and that run.",
            children.len() as f64,
        )?;
        let help = "Memory in RAM of the processes that this one has started.";
        samples.gauge("courant_process_children_resident_memory_bytes", help, memory as f64 * page)
    }
}

impl Stat {
    fn of(process: &str) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        Self::parse(&text)
    }

    /// `1234 (name) S 1 …`: what follows the name, which may hold anything, begins with the third field.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// When the machine was started, in seconds since 1970.
fn boot_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn open_files() -> f64 {
    // The folder itself is open while it is read.
    fs::read_dir("/proc/self/fd").map_or(f64::NAN, |files| files.count().saturating_sub(1) as f64)
}

/// The processes that this one has started, and those that they have.
fn descendants() -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut next = vec![std::process::id()];
    while let Some(process) = next.pop() {
        for child in children(process) {
            if found.len() < MAX_CHILDREN && found.insert(child) {
                next.push(child);
            }
        }
    }
    found
}

fn children(process: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let text = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 700 50 13 14 15 16 9 18 5000 1048576 256 rest";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.cpu_ticks, stat.threads, stat.start_ticks), (750, 9, 5000));
        assert_eq!((stat.virtual_bytes, stat.resident_pages), (1 << 20, 256));
    }

    #[test]
    fn a_started_process_is_seen_while_it_runs() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(descendants().contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!descendants().contains(&child.id()));
    }
}
