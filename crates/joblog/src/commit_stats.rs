//! What the commits of an engine cost.

use courant_runtime::stats::{Histogram, LATENCIES, SIZES};

/// Written by the engine's writer for each transaction that it commits.
#[derive(Debug)]
pub struct CommitStats {
    /// How long a commit took until it was on the disk.
    pub took: Histogram,
    /// How many entries were in it.
    pub entries: Histogram,
}

impl Default for CommitStats {
    fn default() -> Self {
        Self { took: Histogram::of_seconds(LATENCIES), entries: Histogram::of_numbers(SIZES) }
    }
}
