//! What is counted while webhooks are sent.

use courant_runtime::stats::{Counter, Histogram, LATENCIES};

/// See `docs/metrics.md`.
#[derive(Debug)]
pub struct WebhookStats {
    /// Events that were received.
    pub delivered: Counter,
    /// Attempts that failed.
    pub failed: Counter,
    /// Events that are not tried again.
    pub given_up: Counter,
    /// Endpoints that were switched off.
    pub switched_off: Counter,
    /// How long receivers took to answer, or not to.
    pub took: Histogram,
}

impl Default for WebhookStats {
    fn default() -> Self {
        let [delivered, failed, given_up, switched_off] = Default::default();
        Self { delivered, failed, given_up, switched_off, took: Histogram::of_seconds(LATENCIES) }
    }
}
