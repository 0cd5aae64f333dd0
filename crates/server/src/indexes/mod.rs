//! What is counted beside the view, entry by entry: owners' quotas, jobs that will expire, batches, jobs that need
//! watchers, passwords to remove. Under the same lock as the view, so that each agrees with it, and rebuilt with it at start.
//!
//! A struct and not a list of trait objects: who reads an index needs its own type, and the calls are known at compile time.

mod batches;
mod expiry;
mod unused_passwords;
mod unwatched;

use courant_joblog::ids::Revision;
use courant_joblog::job::Job;

pub use self::batches::{ANNOUNCED_FOR, Batch, Batches, Name};
pub use self::expiry::Due;
pub use self::unused_passwords::Spent;
pub use self::unwatched::Wishes;
use crate::quota::Ledger;

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
