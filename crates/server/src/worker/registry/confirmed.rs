//! Which attempts a worker has shown to know of.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};

use courant_engine::attempt::AttemptId;
use tokio::time::{Duration, Instant};

/// How long a confirmed attempt is remembered at least.
pub const REMEMBERED: Duration = Duration::from_secs(60);

/// Forgetting costs what there is to forget, not what is remembered: a worker may end thousands of attempts a second.
#[derive(Debug, Default)]
pub struct Confirmed {
    since: HashMap<AttemptId, Instant>,
    /// Each of them once, by when it is looked at again.
    due: VecDeque<(Instant, AttemptId)>,
}

impl Confirmed {
    pub fn add(&mut self, attempt: &AttemptId) {
        if let Entry::Vacant(unknown) = self.since.entry(attempt.clone()) {
            let now = Instant::now();
            unknown.insert(now);
            self.due.push_back((now + REMEMBERED, attempt.clone()));
        }
    }

    pub fn contains(&self, attempt: &AttemptId) -> bool {
        self.since.contains_key(attempt)
    }

    /// Since when, if it is.
    pub fn since(&self, attempt: &AttemptId) -> Option<Instant> {
        self.since.get(attempt).copied()
    }

    /// Forgets those of a while ago that are not held any more.
    pub fn forget(&mut self, held: &HashSet<AttemptId>) {
        let now = Instant::now();
        while self.due.front().is_some_and(|(due, _)| *due <= now)
            && let Some((_, attempt)) = self.due.pop_front()
        {
            if held.contains(&attempt) {
                self.due.push_back((now + REMEMBERED, attempt));
            } else {
                self.since.remove(&attempt);
            }
        }
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.since.is_empty() && self.due.is_empty()
    }
}
