//! What a process gives up before it touches anything that strangers made.
//!
//! In this order, each step keeping the ones before it: it dies with its parent, gains no rights, has limits, sees no
//! files but those named, has no network, and may ask the kernel only for what its work needs. Steps that a kernel does
//! not know are left out; what is on is told, so that the parent can log it.

mod calls;
mod files;
mod limits;

use std::path::PathBuf;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use rustix::thread::set_no_new_privs;
use serde::{Deserialize, Serialize};

/// What a process may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Address space, in bytes.
    pub memory_bytes: u64,
    /// Processor time, in seconds.
    pub cpu_seconds: u64,
    /// Open files, the three standard ones among them.
    pub open_files: u64,
}

/// What a process is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It computes: reads and writes what is open already, and nothing else.
    Compute,
    /// It becomes another program, which reads these files and folders.
    Become {
        /// The program and what loads it.
        execute: Vec<PathBuf>,
        /// What it may read.
        read: Vec<PathBuf>,
    },
}

/// Gives up everything that `purpose` does not need, for good. Gives what is on, in the words of the log.
pub fn enter(parent: u32, limits: &Limits, purpose: &Purpose) -> std::io::Result<Vec<String>> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before that call.
    let now = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if now != Some(parent) {
        return Err(std::io::Error::other("the parent is gone"));
    }
    set_no_new_privs(true)?;
    limits::set(limits, purpose)?;
    let mut on = vec!["limits".to_owned()];
    on.extend(files::hide(purpose).map_err(std::io::Error::other)?);
    on.extend(calls::forbid(purpose).map_err(std::io::Error::other)?);
    Ok(on)
}
