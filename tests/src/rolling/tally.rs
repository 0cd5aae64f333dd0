//! What clients met with while parts were restarted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;

/// The kinds of waiting that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wait {
    /// For the answer to an HTTP request, with all that had to be repeated.
    Http,
    /// For the answer to a gRPC call, the same.
    Grpc,
    /// From the loss of a WebSocket until it follows again on another one.
    Away,
    /// From an event of a job until a browser has it.
    Event,
    /// From the loss of a gRPC watch until there is another one.
    Watch,
}

impl Wait {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP requests",
            Self::Grpc => "gRPC calls",
            Self::Away => "browsers that reconnected",
            Self::Event => "events until a browser had them",
            Self::Watch => "gRPC watches that began again",
        }
    }
}

/// Shared by all clients.
#[derive(Default)]
pub(super) struct Tally(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    waits: BTreeMap<Wait, Waits>,
    /// What failed, and how often: it was repeated then.
    failures: BTreeMap<String, u64>,
    /// Calls that were answered with UNAVAILABLE, which clients of gRPC know: try again.
    unavailable: u64,
    /// Jobs whose submit was answered.
    submitted: BTreeSet<String>,
    violations: Vec<String>,
}

#[derive(Default)]
struct Waits {
    count: u64,
    longest: Duration,
    /// Which it was.
    longest_of: String,
}

impl Tally {
    pub(super) fn waited(&self, wait: Wait, time: Duration, of: impl FnOnce() -> String) {
        let mut inner = self.0.lock();
        let waits = inner.waits.entry(wait).or_default();
        waits.count += 1;
        if time > waits.longest {
            (waits.longest, waits.longest_of) = (time, of());
        }
    }

    pub(super) fn failed(&self, what: String) {
        *self.0.lock().failures.entry(what).or_default() += 1;
    }

    pub(super) fn unavailable(&self) {
        self.0.lock().unavailable += 1;
    }

    pub(super) fn submitted(&self, job: String) {
        self.0.lock().submitted.insert(job);
    }

    pub(super) fn violation(&self, what: String) {
        self.0.lock().violations.push(what);
    }

    pub(super) fn jobs(&self) -> BTreeSet<String> {
        self.0.lock().submitted.clone()
    }

    /// The longest wait of any client.
    pub(super) fn longest(&self) -> Duration {
        self.0.lock().waits.values().map(|waits| waits.longest).max().unwrap_or_default()
    }

    /// Whether all went well: nothing was lost, and no answer was an error. Where there is one server, an ingress may say that it
    /// is away.
    pub(super) fn is_clean(&self, one_server: bool) -> bool {
        let inner = self.0.lock();
        inner.violations.is_empty() && inner.failures.is_empty() && (one_server || inner.unavailable == 0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.0.lock();
        writeln!(f, "| what clients waited for | number | longest | which |\n| --- | ---: | ---: | --- |")?;
        for (wait, waits) in &inner.waits {
            let seconds = waits.longest.as_secs_f64();
            writeln!(f, "| {} | {} | {seconds:.2} s | {} |", wait.name(), waits.count, waits.longest_of)?;
        }
        writeln!(f, "\n{} jobs.", inner.submitted.len())?;
        if inner.unavailable > 0 {
            writeln!(f, "{} gRPC calls were told UNAVAILABLE, and repeated.", inner.unavailable)?;
        }
        for (what, times) in &inner.failures {
            writeln!(f, "FAILED {times} times: {what}")?;
        }
        inner.violations.iter().take(20).try_for_each(|violation| writeln!(f, "LOST: {violation}"))
    }
}
