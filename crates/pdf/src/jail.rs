//! What a process gives up before it touches anything that strangers made.
//!
//! In this order, each layer keeping the ones before it: it has no descriptors but its own ([`close_inherited`]), its own
//! namespaces, no capabilities, another user where it was root, dies with its parent, gains no rights, has limits, opens no
//! files but those named, has no network, and may ask the kernel only for what its work needs (`calls/lists.rs`).
//!
//! Layers that a kernel or a container does not allow are left out; [`Layers`] says which and why, so that the parent can log
//! it. There is no PID namespace: a process would have to fork to enter one, and every call that names another process is
//! refused anyway.

mod calls;
mod descriptors;
mod files;
mod identity;
mod limits;
mod namespaces;

use std::fmt;
use std::path::PathBuf;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use rustix::thread::set_no_new_privs;
use serde::{Deserialize, Serialize};

pub use descriptors::close_inherited;

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
        /// The program and what loads it; the program comes first.
        execute: Vec<PathBuf>,
        /// What it may read.
        read: Vec<PathBuf>,
    },
}

/// Which layers are on, and which are not and why. Shows as `landlock abi 6, seccomp, namespaces off (EPERM)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    on: Vec<String>,
    off: Vec<String>,
}

impl Layers {
    fn on(&mut self, layer: impl Into<String>) {
        self.on.push(layer.into());
    }

    fn off(&mut self, layer: &str, why: impl fmt::Display) {
        self.off.push(format!("{layer} off ({why})"));
    }
}

impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<&str> = self.on.iter().chain(&self.off).map(String::as_str).collect();
        f.write_str(&all.join(", "))
    }
}

/// Gives up everything that `purpose` does not need, for good. Must be called while the process has one thread.
pub fn enter(parent: u32, limits: &Limits, purpose: &Purpose) -> std::io::Result<Layers> {
    let mut layers = Layers::default();
    let left = namespaces::leave();
    identity::give_up(purpose, &mut layers)?;
    namespaces::leave_as_user(left, &mut layers)?;
    layers.on("no capabilities");
    // After the change of the user, which clears it.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before that call.
    let now = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if now != Some(parent) {
        return Err(std::io::Error::other("the parent is gone"));
    }
    set_no_new_privs(true)?;
    limits::set(limits, purpose)?;
    layers.on("limits");
    files::hide(purpose, &mut layers).map_err(std::io::Error::other)?;
    calls::forbid(purpose, &mut layers).map_err(std::io::Error::other)?;
    Ok(layers)
}

/// The name of an error of the kernel, as manuals have it.
fn errno(error: rustix::io::Errno) -> String {
    match error {
        rustix::io::Errno::PERM => "EPERM".into(),
        rustix::io::Errno::NOSYS => "ENOSYS".into(),
        rustix::io::Errno::INVAL => "EINVAL".into(),
        rustix::io::Errno::NOSPC => "ENOSPC".into(),
        rustix::io::Errno::USERS => "EUSERS".into(),
        other => other.to_string(),
    }
}
