//! Questions to the log that many may ask at the same time.

use std::sync::atomic::AtomicU64;

use tokio::sync::Mutex;

/// Asks for all who ask at the same time once.
#[derive(Debug, Default)]
pub(super) struct Inquiries {
    /// How often was asked so far.
    pub(super) asked: AtomicU64,
    /// Those of them that are answered, and whether the last answer was good; held while the log is asked.
    pub(super) answered: Mutex<(u64, bool)>,
}
