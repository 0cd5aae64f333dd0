//! Jobs in the order of lists, unfinished and ended ones apart: both are looked for without walking over the other.

use std::cmp::Ordering;
use std::iter::Peekable;

use courant_joblog::ids::{JobId, Timestamp};
use courant_joblog::job::State;

use super::sorted_set::SortedSet;

/// When a job was submitted, and its id: the order of lists.
pub type ListKey = (Timestamp, JobId);

/// The jobs of an owner, or all jobs.
#[derive(Debug, Default)]
pub struct JobIndex {
    open: SortedSet<ListKey>,
    ended: SortedSet<ListKey>,
}

impl JobIndex {
    /// Puts a job where its state belongs, and takes it from where it was.
    pub fn put(&mut self, key: &ListKey, state: State) {
        let (to, from) = match state.is_terminal() {
            true => (&mut self.ended, &mut self.open),
            false => (&mut self.open, &mut self.ended),
        };
        from.remove(key);
        to.insert(key.clone());
    }

    /// Takes a job out.
    pub fn remove(&mut self, key: &ListKey) {
        self.open.remove(key);
        self.ended.remove(key);
    }

    /// Whether no job is left.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.ended.is_empty()
    }

    /// All jobs before a key, newest first.
    pub fn newest_first<'a>(&'a self, before: Option<&ListKey>) -> impl Iterator<Item = &'a ListKey> {
        let mut open = self.open.before(before).peekable();
        let mut ended = self.ended.before(before).peekable();
        std::iter::from_fn(move || greater(&mut open, &mut ended))
    }

    /// Unfinished jobs after a key, oldest first.
    pub fn open<'a>(&'a self, after: Option<&ListKey>) -> impl Iterator<Item = &'a ListKey> + use<'a> {
        self.open.after(after)
    }

    /// Ended jobs before a key, newest first.
    pub fn ended<'a>(&'a self, before: Option<&ListKey>) -> impl Iterator<Item = &'a ListKey> + use<'a> {
        self.ended.before(before)
    }
}

/// The greater of two heads.
fn greater<'a, A, B>(left: &mut Peekable<A>, right: &mut Peekable<B>) -> Option<&'a ListKey>
where
    A: Iterator<Item = &'a ListKey>,
    B: Iterator<Item = &'a ListKey>,
{
    let left_first = match (left.peek(), right.peek()) {
        (Some(a), Some(b)) => a.cmp(b) == Ordering::Greater,
        (Some(_), None) => true,
        (None, _) => false,
    };
    if left_first { left.next() } else { right.next() }
}

#[cfg(test)]
mod tests {
    use courant_joblog::ids::{JobId, Timestamp};

    use super::*;

    fn key(n: i64) -> ListKey {
        (Timestamp(n), JobId::new(format!("J{n}")))
    }

    fn shown<'a>(keys: impl Iterator<Item = &'a ListKey>) -> Vec<i64> {
        keys.map(|key| key.0.0).collect()
    }

    #[test]
    fn unfinished_and_ended_jobs_are_one_list_and_two() {
        let mut job_index = JobIndex::default();
        for n in 1..=6 {
            job_index.put(&key(n), if n % 3 == 0 { State::Failed } else { State::Queued });
        }
        assert_eq!(shown(job_index.newest_first(None)), [6, 5, 4, 3, 2, 1]);
        assert_eq!(shown(job_index.newest_first(Some(&key(4)))), [3, 2, 1]);
        assert_eq!(shown(job_index.open(Some(&key(1)))), [2, 4, 5]);
        assert_eq!(shown(job_index.ended(Some(&key(6)))), [3]);
        job_index.put(&key(3), State::Queued);
        job_index.put(&key(4), State::Succeeded);
        assert_eq!((shown(job_index.open(None)), shown(job_index.ended(None))), (vec![1, 2, 3, 5], vec![6, 4]));
        (1..=6).for_each(|n| job_index.remove(&key(n)));
        assert!(job_index.is_empty());
    }
}
