//! What is counted beside the view, entry by entry: owners' quotas, jobs that will expire, batches, jobs that need
//! watchers, passwords to remove. Under the same lock as the view, so that each agrees with it, and rebuilt with it at start.

use courant_joblog::ids::Revision;
use courant_joblog::job::Job;

use crate::batch::Batches;
use crate::jobs::unwatched::Wishes;
use crate::passwords::Spent;
use crate::quota::Ledger;
use crate::retention::Due;

/// All of it.
#[derive(Debug, Default)]
pub struct Tallies {
    /// What owners submitted and have waiting.
    pub quotas: Ledger,
    /// Ended jobs by their end.
    pub due: Due,
    /// Jobs that were submitted together.
    pub batches: Batches,
    /// Unfinished jobs that somebody must follow.
    pub wishes: Wishes,
    /// Passwords that are needed no more.
    pub spent: Spent,
}

impl Tallies {
    /// Takes in a job's change. `None` before the first and after the last.
    pub fn moved(&mut self, old: Option<&Job>, new: Option<&Job>, revision: Revision) {
        self.quotas.moved(old, new);
        self.due.moved(old, new);
        self.batches.moved(old, new, revision);
        self.wishes.moved(old, new);
        self.spent.moved(new);
    }
}
