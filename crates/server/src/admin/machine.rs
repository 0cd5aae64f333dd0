//! What this process takes of its machine.

use std::time::Duration;

use parking_lot::Mutex;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use tokio::time::Instant;

/// CPU is measured over at least this long: a shorter time says nothing.
const MEASURED_OVER: Duration = Duration::from_secs(1);

/// Looks at the machine when asked.
pub struct ProcessSampler {
    pid: Option<Pid>,
    seen: Mutex<Sample>,
}

struct Sample {
    system: System,
    at: Instant,
    cpu: Duration,
    usage: Usage,
}

/// What the process takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Resident memory in bytes.
    pub memory_bytes: u64,
    /// CPU in percent of one core.
    pub cpu_percent: f64,
    /// Load averages over 1, 5 and 15 minutes; empty where the machine has none.
    pub load_average: Vec<f64>,
}

impl Default for ProcessSampler {
    fn default() -> Self {
        let pid = sysinfo::get_current_pid().ok();
        let mut seen =
            Sample { system: System::new(), at: Instant::now(), cpu: Duration::ZERO, usage: Usage::default() };
        seen.sample(pid);
        Self { pid, seen: Mutex::new(seen) }
    }
}

impl ProcessSampler {
    /// What the process takes now; at most a second old.
    pub fn usage(&self) -> Usage {
        let mut seen = self.seen.lock();
        if seen.at.elapsed() >= MEASURED_OVER {
            seen.sample(self.pid);
        }
        seen.usage.clone()
    }
}

impl Sample {
    fn sample(&mut self, pid: Option<Pid>) {
        let load = System::load_average();
        let has_load = cfg!(unix) && [load.one, load.five, load.fifteen].iter().all(|load| load.is_finite());
        self.usage.load_average = if has_load { vec![load.one, load.five, load.fifteen] } else { Vec::new() };
        let Some(pid) = pid else { return };
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, what);
        let Some(process) = self.system.process(pid) else { return };
        let (cpu, elapsed) = (Duration::from_millis(process.accumulated_cpu_time()), self.at.elapsed());
        self.usage.memory_bytes = process.memory();
        if !elapsed.is_zero() {
            self.usage.cpu_percent = 100.0 * cpu.saturating_sub(self.cpu).as_secs_f64() / elapsed.as_secs_f64();
        }
        (self.at, self.cpu) = (Instant::now(), cpu);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn memory_and_load_are_those_of_this_process_and_machine() {
        let machine = ProcessSampler::default();
        let first = machine.usage();
        assert!(first.memory_bytes > 1 << 20, "{first:?}");
        tokio::time::advance(MEASURED_OVER).await;
        let mut sink = vec![1u8; 32 << 20];
        sink.iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
        let second = machine.usage();
        assert!(second.memory_bytes >= first.memory_bytes + (16 << 20), "{first:?} {second:?} {}", sink.len());
        assert!((0.0..=100_000.0).contains(&second.cpu_percent));
    }
}
