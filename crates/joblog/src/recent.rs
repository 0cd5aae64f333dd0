//! The newest entries in memory, so that followers who keep up cost no reading and no decoding. For engines that have the rest
//! on a disk or behind a network.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::ids::{JobId, Revision};
use crate::log::{Entry, Filter, Record};

/// Bounded by count and bytes; the oldest make room for the newest.
#[derive(Debug)]
pub struct Ring {
    entries: VecDeque<StoredEntry>,
    /// Jobs whose removal is among the entries, and where: what is older of them is not shown. Looked up when somebody reads, so
    /// that a removal costs the same however much is kept.
    forgotten: HashMap<JobId, Revision>,
    /// Every entry of the log above this is here.
    floor: Revision,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
}

/// An entry and its size as stored.
#[derive(Debug)]
pub struct StoredEntry {
    pub entry: Arc<Entry>,
    pub bytes: usize,
}

impl Ring {
    /// An empty one, for what is newer than `head`.
    pub fn new(head: Revision, max_entries: usize, max_bytes: usize) -> Self {
        Self { entries: VecDeque::new(), forgotten: HashMap::new(), floor: head, bytes: 0, max_entries, max_bytes }
    }

    /// Takes in what was committed; of the forgotten jobs only that remains.
    pub fn push(&mut self, committed: Vec<StoredEntry>, forgotten: &HashSet<JobId>) {
        for kept in committed {
            self.bytes += kept.bytes;
            if kept.entry.record == Record::Forgotten && forgotten.contains(&kept.entry.key.job) {
                self.forgotten.insert(kept.entry.key.job.clone(), kept.entry.revision);
            }
            self.entries.push_back(kept);
        }
        while self.entries.len() > self.max_entries || self.bytes > self.max_bytes {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.bytes;
            self.floor = oldest.entry.revision;
            if self.forgotten.get(&oldest.entry.key.job) == Some(&oldest.entry.revision) {
                self.forgotten.remove(&oldest.entry.key.job);
            }
        }
    }

    /// Like [`Log::read`](crate::log::Log::read); `None` when it begins too late for that.
    pub fn read(&self, after: Revision, filter: &Filter, limit: usize) -> Option<Vec<Arc<Entry>>> {
        if after < self.floor {
            return None;
        }
        let from = self.entries.partition_point(|kept| kept.entry.revision <= after);
        let entries = self.entries.range(from..).map(|kept| &kept.entry);
        let wanted = entries.filter(|entry| filter.matches(&entry.key) && self.is_there(entry));
        Some(wanted.take(limit).cloned().collect())
    }

    fn is_there(&self, entry: &Entry) -> bool {
        self.forgotten.get(&entry.key.job).is_none_or(|forgotten| entry.revision >= *forgotten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn kept(revision: u64, job: &str, bytes: usize) -> StoredEntry {
        let key = samples::create(job, "alice").key;
        StoredEntry { entry: Arc::new(Entry { revision: Revision(revision), key, record: Record::Forgotten }), bytes }
    }

    fn read(ring: &Ring, after: u64) -> Option<Vec<u64>> {
        let entries = ring.read(Revision(after), &Filter::All, 100)?;
        Some(entries.iter().map(|entry| entry.revision.0).collect())
    }

    #[test]
    fn begins_where_the_log_was_opened() {
        let ring = Ring::new(Revision(5), 10, 100);
        assert_eq!((read(&ring, 4), read(&ring, 5), read(&ring, 9)), (None, Some(vec![]), Some(vec![])));
    }

    #[test]
    fn the_oldest_make_room() {
        let mut ring = Ring::new(Revision(5), 3, 100);
        ring.push(vec![kept(6, "A", 10), kept(9, "B", 10), kept(10, "A", 10)], &HashSet::new());
        assert_eq!((read(&ring, 5), read(&ring, 6)), (Some(vec![6, 9, 10]), Some(vec![9, 10])));
        ring.push(vec![kept(11, "A", 10)], &HashSet::new());
        assert_eq!((read(&ring, 5), read(&ring, 6)), (None, Some(vec![9, 10, 11])));
        ring.push(vec![kept(12, "A", 85)], &HashSet::new());
        assert_eq!((read(&ring, 9), read(&ring, 10), ring.bytes), (None, Some(vec![11, 12]), 95));
        ring.push(vec![kept(13, "A", 101)], &HashSet::new());
        assert_eq!((read(&ring, 12), read(&ring, 13), ring.bytes), (None, Some(vec![]), 0));
    }

    #[test]
    fn forgotten_jobs_go() {
        let mut ring = Ring::new(Revision(0), 10, 100);
        ring.push(vec![kept(1, "A", 10), kept(2, "B", 20)], &HashSet::new());
        ring.push(vec![kept(3, "A", 5)], &HashSet::from([JobId::new("A")]));
        assert_eq!(read(&ring, 0), Some(vec![2, 3]));
        ring.push(vec![kept(4, "A", 5)], &HashSet::new());
        assert_eq!(read(&ring, 0), Some(vec![2, 3, 4]), "made again");
        ring.push((5..15).map(|revision| kept(revision, "B", 1)).collect(), &HashSet::new());
        assert!(ring.forgotten.is_empty(), "nothing of it is kept here any more");
    }
}
