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
pub use self::expiry::ExpiryIndex;
pub use self::unused_passwords::UnusedPasswords;
pub use self::unwatched::UnwatchedIndex;
use crate::quota::QuotaLedger;

#[derive(Debug, Default)]
pub struct Indexes {
    /// What owners submitted and have waiting.
    pub quotas: QuotaLedger,
    /// Ended jobs by their end.
    pub expiry: ExpiryIndex,
    /// Jobs that were submitted together.
    pub batches: Batches,
    /// Unfinished jobs that somebody must follow.
    pub unwatched: UnwatchedIndex,
    /// Passwords that are needed no more.
    pub unused_passwords: UnusedPasswords,
}

impl Indexes {
    /// Takes in a job's change. `None` before the first and after the last.
    pub fn apply(&mut self, old: Option<&Job>, new: Option<&Job>, revision: Revision) {
        self.quotas.apply(old, new);
        self.expiry.apply(old, new);
        self.batches.apply(old, new, revision);
        self.unwatched.apply(old, new);
        self.unused_passwords.apply(new);
    }
}
