//! What the child gives up before it reads anything.

use rustix::process::{Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit};
use rustix::thread::set_no_new_privs;

use crate::protocol::Request;

/// Open files: the three standard ones and a few for the loader and threads.
const MAX_FILES: u64 = 32;

/// Dies with its parent, gains no rights, writes no files, uses no more than it was given.
pub(super) fn give_up_privileges(request: &Request) -> std::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before that call.
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if parent != Some(request.parent) {
        return Err(std::io::Error::other("the parent is gone"));
    }
    set_no_new_privs(true)?;
    limit(Resource::As, request.memory_bytes)?;
    limit(Resource::Cpu, request.cpu_seconds)?;
    limit(Resource::Fsize, 0)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, MAX_FILES)
}

fn limit(resource: Resource, most: u64) -> std::io::Result<()> {
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    Ok(())
}
