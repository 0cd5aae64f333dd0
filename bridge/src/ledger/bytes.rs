//! Bytes that wait in the outboxes of one user, over all connections. Counted without a lock: each message is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::bounds::Bound;

/// What waits for one user.
#[derive(Debug)]
pub struct UserBytes {
    bound: Bound,
    waiting: AtomicUsize,
    all: Arc<AtomicUsize>,
    /// UploadStatus when less than half of what the user may have waits.
    pub drained: Notify,
}

impl UserBytes {
    pub(super) fn new(bound: Bound, all: Arc<AtomicUsize>) -> Self {
        Self { bound, waiting: AtomicUsize::new(0), all, drained: Notify::new() }
    }

    /// Bytes that wait to be written, over all connections of the user.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// What waits for the user may become larger by this.
    pub fn has_space(&self, bytes: usize) -> bool {
        let (own, all) = (self.waiting(), self.all.load(Ordering::Relaxed));
        own.saturating_add(bytes) <= self.allowance(all)
    }

    /// Less than half of what may wait for the user does.
    pub fn is_half_free(&self) -> bool {
        let all = self.all.load(Ordering::Relaxed);
        self.waiting() <= self.allowance(all) / 2
    }

    fn allowance(&self, all: usize) -> usize {
        let Bound { total, per_user } = self.bound;
        per_user.min(total.saturating_sub(all))
    }

    /// Counts a change of what waits in one outbox.
    pub fn record_change(&self, before: usize, after: usize) {
        if after >= before {
            self.waiting.fetch_add(after - before, Ordering::Relaxed);
            self.all.fetch_add(after - before, Ordering::Relaxed);
            return;
        }
        let less = before - after;
        self.all.fetch_sub(less, Ordering::Relaxed);
        let had = self.waiting.fetch_sub(less, Ordering::Relaxed);
        let half = self.bound.per_user / 2;
        if had > half && had - less <= half {
            self.drained.notify_waiters();
        }
    }
}
