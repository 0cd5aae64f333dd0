//! What the audit log counts of itself.

use courant_runtime::stats::Counter;

/// Lines that were written, and events that have none.
#[derive(Debug, Default)]
pub struct AuditStats {
    pub lines: Counter,
    dropped: [Counter; Drop::ALL.len()],
}

/// Why an event has no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// Its actor had too many.
    Rate,
    /// The writer's queue was full.
    QueueFull,
    /// The file could not be written.
    WriteFailed,
}

impl Drop {
    /// All, with their names in metrics.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Rate, "rate"), (Self::QueueFull, "queue"), (Self::WriteFailed, "disk")];
}

impl AuditStats {
    pub fn drop_of(&self, why: Drop) -> &Counter {
        &self.dropped[why as usize]
    }

    pub fn dropped(&self, why: Drop) -> u64 {
        self.drop_of(why).get()
    }
}
