//! Which attempts have something to send, so that nobody has to ask all of them for every message. Each has its turn, one
//! after the other, and goes to the end of the list afterwards.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::attempt::AttemptKey;

/// What is sent: everything durable before anything transient.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Durable,
    Transient,
}

#[derive(Default)]
pub(crate) struct Turns {
    lists: Mutex<[List; 2]>,
    wake: Notify,
}

#[derive(Default)]
struct List {
    order: VecDeque<AttemptKey>,
    listed: HashSet<AttemptKey>,
}

impl Turns {
    /// The attempt has something of this kind to send. To be called after it does.
    pub(crate) fn add(&self, kind: Kind, key: &AttemptKey) {
        self.add_quietly(kind, key);
        self.wake.notify_one();
    }

    /// The same by the stream itself, which is awake.
    pub(crate) fn add_quietly(&self, kind: Kind, key: &AttemptKey) {
        let list = &mut self.lists()[kind as usize];
        if !list.listed.contains(key) {
            list.listed.insert(key.clone());
            list.order.push_back(key.clone());
        }
    }

    /// Takes the next one off the list. It may have nothing to send after all.
    pub(crate) fn next(&self, kind: Kind) -> Option<AttemptKey> {
        let list = &mut self.lists()[kind as usize];
        let key = list.order.pop_front()?;
        list.listed.remove(&key);
        Some(key)
    }

    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    fn lists(&self) -> MutexGuard<'_, [List; 2]> {
        // Nothing in here panics halfway.
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use courant_proto::v1::AttemptRef;

    use super::*;

    fn key(job: &str) -> AttemptKey {
        AttemptKey::from(AttemptRef { job_id: job.into(), attempt: 1, ..AttemptRef::default() })
    }

    #[test]
    fn each_has_its_turn_and_is_listed_once_for_each_kind() {
        let turns = Turns::default();
        for job in ["A", "B", "A"] {
            turns.add(Kind::Durable, &key(job));
        }
        turns.add(Kind::Transient, &key("A"));
        assert_eq!(turns.next(Kind::Durable), Some(key("A")));
        turns.add(Kind::Durable, &key("A"));
        let rest: Vec<AttemptKey> = std::iter::from_fn(|| turns.next(Kind::Durable)).collect();
        assert_eq!(rest, [key("B"), key("A")]);
        assert_eq!(turns.next(Kind::Transient), Some(key("A")));
        assert_eq!(turns.next(Kind::Transient), None);
    }
}
