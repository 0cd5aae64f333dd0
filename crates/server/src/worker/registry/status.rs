//! A worker, as it declares itself, as operators see it, and as servers tell each other of it.

use std::sync::Arc;

use courant_joblog::ids::WorkerId;
use tokio::time::Duration;

/// The most jobs a worker may take at once.
pub const MAX_SLOTS: i32 = 1024;

/// What a worker declares in its hello.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerCapabilities {
    /// The kinds of work it takes.
    pub kinds: Arc<[Box<str>]>,
    /// Jobs it takes at once.
    pub slots: u32,
    /// Name and version of its program.
    pub software: Box<str>,
    /// Whether it takes parts of documents that others do.
    pub takes_parts: bool,
    /// A random number of its process; 0: not said.
    pub process: u64,
    /// Which stream of that process this is.
    pub stream: u64,
}

impl WorkerCapabilities {
    /// Whether this is declared on a later stream of the same process. `None` where that cannot be told.
    pub(super) fn is_later_than(&self, other: &Self) -> Option<bool> {
        (self.process != 0 && self.process == other.process).then_some(self.stream > other.stream)
    }
}

/// A worker as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSummary {
    pub worker: WorkerId,
    pub capabilities: WorkerCapabilities,
    /// Whether its stream is open.
    pub connected: bool,
    /// Whether it is to take nothing new.
    pub drained: bool,
    /// How long ago something was received from it.
    pub silence: Duration,
    /// What the server that looks after it is called; empty where there is only one.
    pub server: Arc<str>,
}

/// A server, for as long as it runs: a random number of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub u64);

/// What a server knows of a worker that is connected to it, or was last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerStatus {
    pub worker: WorkerId,
    /// Whose token it came with.
    pub subject: Box<str>,
    pub capabilities: WorkerCapabilities,
    /// Whether its stream is open.
    pub connected: bool,
    /// Whether it is to take nothing new.
    pub drained: bool,
    /// How long ago something was received from it.
    pub silence: Duration,
}
