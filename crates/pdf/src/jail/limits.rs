//! Limits of the kernel on one process.

use rustix::process::{Resource, Rlimit, setrlimit};

use super::{Limits, Purpose};

/// Processor time between the first and the last signal.
const CPU_GRACE_SECONDS: u64 = 5;

/// No more than this; no core dumps, no written files. A program has no threads either; what computes has them, and
/// their stacks count against its memory.
pub(super) fn set(limits: &Limits, purpose: &Purpose) -> std::io::Result<()> {
    limit(Resource::As, limits.memory_bytes)?;
    // Ended by SIGXCPU, which can be told from being killed from outside, and by SIGKILL should it not end of that.
    let cpu = limits.cpu_seconds;
    setrlimit(Resource::Cpu, Rlimit { current: Some(cpu), maximum: Some(cpu.saturating_add(CPU_GRACE_SECONDS)) })?;
    limit(Resource::Fsize, 0)?;
    limit(Resource::Core, 0)?;
    if matches!(purpose, Purpose::Become { .. }) {
        limit(Resource::Nproc, 0)?;
    }
    limit(Resource::Nofile, limits.open_files)
}

fn limit(resource: Resource, most: u64) -> std::io::Result<()> {
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    Ok(())
}
