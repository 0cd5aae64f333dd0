//! What the engine counts of itself, for operators. Written where it happens, without a lock; read when somebody looks.

use std::sync::Arc;

use courant_runtime::stats::{Counter, Histogram, LATENCIES};

#[derive(Debug)]
pub struct EngineStats {
    /// How long appends of jobs took until they were durable, those that were refused too.
    pub appends: Histogram,
    /// How long it took to start a waiting job for a worker.
    pub claims: Histogram,
    pub watches: Arc<WatchStats>,
}

impl Default for EngineStats {
    fn default() -> Self {
        let latencies = || Histogram::of_seconds(LATENCIES);
        Self { appends: latencies(), claims: latencies(), watches: Arc::default() }
    }
}

/// What became of messages to watchers that did not reach them one by one.
#[derive(Debug, Default)]
pub struct WatchStats {
    /// Transient updates that a newer one replaced before they were sent.
    pub coalesced: Counter,
    /// Messages thrown away with the queue of a watcher that was too slow: it reads them from the log.
    pub dropped: Counter,
    /// How often that happened to a watcher.
    pub lagged: Counter,
}
