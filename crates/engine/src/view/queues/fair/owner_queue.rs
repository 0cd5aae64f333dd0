//! What one owner has waiting in a queue.

use courant_joblog::ids::{JobId, Owner, Revision, Timestamp};

use crate::view::load::Load;
use crate::view::order_statistic_tree::OrderStatisticTree;

/// The position of a job among those of its owner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueKey {
    pub queued: Timestamp,
    /// The entry that queued it: decides between jobs of one millisecond, among which one that is tried again is the last.
    /// No two jobs have the same.
    pub revision: Revision,
    pub job: JobId,
}

/// What one owner has waiting.
#[derive(Debug)]
pub(super) struct OwnerQueue {
    pub(super) jobs: OrderStatisticTree<QueueKey>,
    /// Jobs in each of its turns; at least 1.
    pub(super) weight: u64,
    /// The round of its next turn: the one under way or the one after.
    pub(super) round: u64,
    /// How many jobs of that turn were served; fewer than `weight`.
    pub(super) used: u64,
    /// The oldest job it has had in this queue since it last had none: its position in each round.
    pub(super) since: QueueKey,
}

impl OwnerQueue {
    pub(super) fn place(&self, owner: &Owner) -> (QueueKey, Owner) {
        (self.since.clone(), owner.clone())
    }

    /// One job more of its turn was served. After the last its next turn is in the round after this one.
    pub(super) fn count_served(&mut self, round: u64) {
        (self.round, self.used) = if self.used + 1 < self.weight { (round, self.used + 1) } else { (round + 1, 0) };
    }

    /// A job of this turn, which it was served, came to nothing: it gets it back.
    pub(super) fn give_back(&mut self, round: u64) {
        self.used = if self.round > round { self.weight - 1 } else { self.used.saturating_sub(1) };
        self.round = round;
    }

    /// In how many rounds it is the turn of the job before which so many of its own are, counted from that of its next turn.
    pub(super) fn rounds_before(&self, own: u64) -> u64 {
        (self.used + own) / self.weight
    }

    /// What it has before a job that comes after so many of its turns, and one more if it is earlier in the round.
    pub(super) fn before(&self, turns: u64, is_earlier: bool) -> Load {
        let load = self.jobs.load();
        let turns = turns + u64::from(is_earlier);
        load.share((turns * self.weight).saturating_sub(self.used))
    }
}
