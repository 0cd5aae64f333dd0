//! The newest entries in memory, so that followers who keep up cost no reading and no decoding.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use crate::ids::{JobId, Revision};
use crate::log::{Entry, Filter};

/// Bounded by count and bytes; the oldest make room for the newest.
#[derive(Debug)]
pub(super) struct Ring {
    entries: VecDeque<Kept>,
    /// Every entry of the log above this is here.
    floor: Revision,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
}

/// An entry and its size as stored.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) entry: Arc<Entry>,
    pub(super) bytes: usize,
}

impl Ring {
    pub(super) fn new(head: Revision, max_entries: usize, max_bytes: usize) -> Self {
        Self { entries: VecDeque::new(), floor: head, bytes: 0, max_entries, max_bytes }
    }

    /// Takes in what was committed; of the forgotten jobs only that remains.
    pub(super) fn push(&mut self, committed: Vec<Kept>, forgotten: &HashSet<JobId>) {
        if !forgotten.is_empty() {
            self.entries.retain(|kept| !forgotten.contains(&kept.entry.key.job));
            self.bytes = self.entries.iter().map(|kept| kept.bytes).sum();
        }
        for kept in committed {
            self.bytes += kept.bytes;
            self.entries.push_back(kept);
        }
        while self.entries.len() > self.max_entries || self.bytes > self.max_bytes {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.bytes;
            self.floor = oldest.entry.revision;
        }
    }

    /// Like [`Log::read`](crate::log::Log::read); `None` when it begins too late for that.
    pub(super) fn read(&self, after: Revision, filter: &Filter, limit: usize) -> Option<Vec<Arc<Entry>>> {
        if after < self.floor {
            return None;
        }
        let from = self.entries.partition_point(|kept| kept.entry.revision <= after);
        let entries = self.entries.range(from..).map(|kept| &kept.entry);
        Some(entries.filter(|entry| filter.matches(&entry.key)).take(limit).cloned().collect())
    }
}
