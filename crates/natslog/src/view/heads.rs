//! The newest entry of each job, and what is known to be gone: what an append is decided by.

use std::collections::BTreeMap;
use std::sync::Arc;

use courant_joblog::ids::Revision;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::message::Stored;

/// The newest entry of a job.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) owner: Arc<str>,
    pub(crate) revision: u64,
    /// The number of the entry.
    number: u64,
    /// As in [`About`](crate::message::About).
    pub(crate) floor: u64,
    forgotten: bool,
}

/// What is to become of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Publish it with this expectation; its first entry has this number, and all have this floor.
    Publish { expect: u64, number: u64, floor: u64 },
    /// The job is elsewhere.
    Conflict { actual: Option<Revision> },
    /// The caller knows of a revision that has not arrived here yet.
    Behind,
}

/// One for each job of the stream. What messages said last wins, and older ones change nothing.
#[derive(Debug)]
pub(crate) struct Heads {
    /// By the token of the job.
    jobs: FxHashMap<Box<str>, Head>,
    /// The newest revision removed of each owner, as far as it is known. The keys are what heads share.
    owners: FxHashMap<Arc<str>, u64>,
    /// The newest revision removed of all.
    removed: u64,
    /// Jobs that have or had more entries than the stream keeps of one.
    long: FxHashSet<Box<str>>,
    /// Tombstones by revision.
    tombstones: BTreeMap<u64, Box<str>>,
    /// Tombstones up to here are gone.
    dropped: u64,
    /// How many entries the stream keeps of a job.
    history: u64,
}

impl Head {
    /// Its revision, unless it is a tombstone.
    pub(crate) fn alive(&self) -> Option<Revision> {
        (!self.forgotten).then_some(Revision(self.revision))
    }
}

impl Heads {
    pub(crate) fn new(history: u64) -> Self {
        Self {
            jobs: FxHashMap::default(),
            owners: FxHashMap::default(),
            removed: 0,
            long: FxHashSet::default(),
            tombstones: BTreeMap::new(),
            dropped: 0,
            history,
        }
    }

    pub(crate) fn get(&self, job: &str) -> Option<&Head> {
        self.jobs.get(job)
    }

    /// Takes in an entry if it is newer than what is known of its job.
    pub(crate) fn apply(&mut self, stored: &Stored) {
        if self.jobs.get(&stored.job).is_some_and(|head| head.revision >= stored.revision) {
            return;
        }
        let (about, job) = (stored.about, &stored.job);
        let owner = self.owner(&stored.owner);
        self.raise(&owner, about.floor);
        if about.number >= self.history && !about.forgotten {
            self.long.insert(job.clone());
        }
        let (revision, number) = (stored.revision, about.number);
        let head = Head { owner, revision, number, floor: about.floor, forgotten: about.forgotten };
        if let Some(old) = self.jobs.insert(job.clone(), head).filter(|old| old.forgotten) {
            self.tombstones.remove(&old.revision);
        }
        if about.forgotten {
            self.long.remove(job);
            self.tombstones.insert(revision, job.clone());
        }
    }

    fn owner(&mut self, owner: &Arc<str>) -> Arc<str> {
        match self.owners.get_key_value(owner) {
            Some((known, _)) => known.clone(),
            None => {
                self.owners.insert(owner.clone(), 0);
                owner.clone()
            }
        }
    }

    fn raise(&mut self, owner: &Arc<str>, removed: u64) {
        self.removed = self.removed.max(removed);
        if let Some(of_owner) = self.owners.get_mut(owner) {
            *of_owner = removed.max(*of_owner);
        }
    }

    /// Forgets of tombstones that they were there.
    pub(crate) fn drop_tombstones(&mut self, up_to: u64) {
        self.dropped = self.dropped.max(up_to);
        let left = self.tombstones.split_off(&(up_to + 1));
        for (revision, job) in std::mem::replace(&mut self.tombstones, left) {
            if let Some(head) = self.jobs.remove(&job) {
                self.raise(&head.owner, revision);
            }
        }
        self.removed = self.removed.max(self.dropped);
    }

    /// The tombstones to drop so that `kept` are left, with their owners; none unless there are an eighth more than that.
    pub(crate) fn droppable(&self, kept: usize) -> Vec<(u64, Arc<str>, Box<str>)> {
        let have = self.tombstones.len();
        if have <= kept.saturating_add(kept / 8).max(1) {
            return Vec::new();
        }
        let oldest = self.tombstones.iter().take(have - kept.max(1));
        oldest.filter_map(|(revision, job)| Some((*revision, self.jobs.get(job)?.owner.clone(), job.clone()))).collect()
    }

    /// `seen`: up to where messages have arrived. `last`: the revision that the server named in its last refusal.
    pub(crate) fn decide(
        &self,
        owner: &str,
        job: &str,
        expect: Option<Revision>,
        seen: u64,
        last: Option<u64>,
    ) -> Decision {
        let head = self.jobs.get(job);
        let actual = head.and_then(Head::alive);
        match (head, expect) {
            (Some(head), Some(_)) if actual == expect => {
                Decision::Publish { expect: head.revision, number: head.number + 1, floor: head.floor }
            }
            (Some(head), None) if head.forgotten && *head.owner == *owner => {
                Decision::Publish { expect: head.revision, number: 1, floor: head.revision }
            }
            (Some(head), None) if head.forgotten => Decision::Publish { expect: 0, number: 1, floor: head.revision },
            (None, None) => {
                // A tombstone may have been announced as dropped, and still be there.
                let expect = last.filter(|last| *last <= self.dropped).unwrap_or(0);
                Decision::Publish { expect, number: 1, floor: expect }
            }
            (_, Some(expect)) if expect.0 > seen => Decision::Behind,
            _ => Decision::Conflict { actual },
        }
    }

    /// Revisions of the newest entries of jobs that are not forgotten, ascending.
    pub(crate) fn alive(&self) -> Vec<u64> {
        let mut revisions: Vec<u64> = self.jobs.values().filter_map(Head::alive).map(|revision| revision.0).collect();
        revisions.sort_unstable();
        revisions
    }

    /// The newest revision known to be removed, of an owner or of all.
    pub(crate) fn removed(&self, owner: Option<&str>) -> u64 {
        match owner {
            None => self.removed,
            Some(owner) => self.owners.get(owner).copied().unwrap_or(0).max(self.dropped),
        }
    }

    /// Jobs of which the server may have removed the oldest entries, with their owners.
    pub(crate) fn long(&self, owner: Option<&str>) -> Vec<(Arc<str>, Box<str>)> {
        let all = self.long.iter().filter_map(|job| Some((self.jobs.get(job)?.owner.clone(), job.clone())));
        all.filter(|(of, _)| owner.is_none_or(|owner| **of == *owner)).collect()
    }

    /// Up to where tombstones are gone.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(crate) fn is_long(&self, job: &str) -> bool {
        self.long.contains(job)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::About;

    fn stored(revision: u64, job: &str, number: u64, floor: u64, forgotten: bool) -> Stored {
        let about = About { id: revision, number, left: 0, floor, forgotten };
        Stored { revision, owner: "01.a".into(), job: job.into(), about, before: 0, payload: Bytes::new() }
    }

    fn heads(entries: &[Stored]) -> Heads {
        let mut heads = Heads::new(4);
        entries.iter().for_each(|stored| heads.apply(stored));
        heads
    }

    fn decide(heads: &Heads, job: &str, expect: Option<u64>) -> Decision {
        heads.decide("01.a", job, expect.map(Revision), 10, None)
    }

    #[test]
    fn older_messages_change_nothing() {
        let heads = heads(&[stored(5, "A", 2, 0, false), stored(3, "A", 1, 0, false)]);
        assert_eq!(decide(&heads, "A", Some(5)), Decision::Publish { expect: 5, number: 3, floor: 0 });
        assert_eq!(decide(&heads, "A", Some(3)), Decision::Conflict { actual: Some(Revision(5)) });
        assert_eq!(decide(&heads, "A", None), Decision::Conflict { actual: Some(Revision(5)) });
        assert_eq!(decide(&heads, "A", Some(11)), Decision::Behind);
    }

    #[test]
    fn a_tombstone_is_followed_by_nothing_but_a_beginning() {
        let mut heads = heads(&[stored(5, "A", 2, 0, false), stored(7, "A", 3, 5, true)]);
        assert_eq!(decide(&heads, "A", Some(7)), Decision::Conflict { actual: None });
        assert_eq!(decide(&heads, "A", None), Decision::Publish { expect: 7, number: 1, floor: 7 });
        assert_eq!((heads.removed(None), heads.removed(Some("01.a")), heads.removed(Some("02.b"))), (5, 5, 0));
        assert!(heads.alive().is_empty());

        heads.drop_tombstones(7);
        assert_eq!(decide(&heads, "A", None), Decision::Publish { expect: 0, number: 1, floor: 0 });
        assert_eq!(
            heads.decide("01.a", "A", None, 10, Some(7)),
            Decision::Publish { expect: 7, number: 1, floor: 7 },
            "the server still has it"
        );
        assert_eq!((heads.removed(None), heads.removed(Some("02.b"))), (7, 7));
    }

    #[test]
    fn the_oldest_tombstones_go_and_jobs_made_again_stay() {
        let mut heads = heads(&(1..=20).map(|at| stored(at, &format!("J{at}"), 2, 0, true)).collect::<Vec<_>>());
        assert_eq!(heads.droppable(18), [], "an eighth more is kept");
        heads.apply(&stored(21, "J1", 1, 1, false));
        let gone: Vec<u64> = heads.droppable(16).iter().map(|(revision, ..)| *revision).collect();
        assert_eq!(gone, [2, 3, 4]);
        heads.drop_tombstones(4);
        assert_eq!((heads.alive(), heads.get("J2").is_none(), heads.get("J5").is_some()), (vec![21], true, true));
    }

    #[test]
    fn long_jobs_are_known() {
        let heads = heads(&[stored(5, "A", 3, 0, false), stored(6, "B", 4, 0, false)]);
        assert_eq!((heads.is_long("A"), heads.is_long("B")), (false, true));
        assert_eq!((heads.long(None).len(), heads.long(Some("01.a")).len(), heads.long(Some("02.b")).len()), (1, 1, 0));
    }
}
