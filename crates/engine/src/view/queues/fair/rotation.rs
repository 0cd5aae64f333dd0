//! Owners who have their next turn in the same round, and what they have waiting.

use std::collections::BTreeSet;
use std::iter::Sum;
use std::ops::{AddAssign, SubAssign};

use courant_joblog::ids::{JobId, Owner, Revision, Timestamp};

use super::owner_queue::{OwnerQueue, QueueKey};
use crate::view::load::Load;
use crate::view::order_statistic_tree::{OrderStatisticTree, Weight};

/// Owners with jobs in one round are counted one by one up to so many.
pub(super) const COUNTED: u64 = 256;

/// The place of an owner in each round.
pub(super) type Place = (QueueKey, Owner);

/// Owners who have their next turn in the same round.
#[derive(Debug, Default)]
pub(super) struct Rotation {
    /// Those with one job a turn.
    by_turn: OrderStatisticTree<Place, Load>,
    by_count: OrderStatisticTree<(u64, QueueKey), Load>,
    /// Those with several: owners that the configuration names, so they are few.
    weighted: BTreeSet<Place>,
}

/// Owners, and what they have waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    count: u64,
    load: Load,
}

impl AddAssign for Owners {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.load += other.load;
    }
}

impl SubAssign for Owners {
    fn sub_assign(&mut self, other: Self) {
        self.count -= other.count;
        self.load -= other.load;
    }
}

impl Sum for Owners {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        let mut sum = Self::default();
        all.for_each(|one| sum += one);
        sum
    }
}

/// What an owner has waiting.
impl Weight for Load {
    type Sum = Owners;

    fn alone(self) -> Owners {
        Owners { count: 1, load: self }
    }
}

impl Rotation {
    pub(super) fn insert(&mut self, owner: &Owner, queue: &OwnerQueue) {
        let (place, load) = (queue.place(owner), queue.jobs.load());
        if queue.weight > 1 {
            self.weighted.insert(place);
            return;
        }
        self.by_turn.insert(place, load);
        self.by_count.insert((load.jobs, queue.since.clone()), load);
    }

    pub(super) fn remove(&mut self, owner: &Owner, queue: &OwnerQueue) {
        let place = queue.place(owner);
        if queue.weight > 1 {
            self.weighted.remove(&place);
            return;
        }
        self.by_turn.remove(&place);
        self.by_count.remove(&(queue.jobs.load().jobs, queue.since.clone()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_turn.is_empty() && self.weighted.is_empty()
    }

    /// How many owners there are.
    pub(super) fn count(&self) -> u64 {
        self.by_turn.load().count + self.weighted.len() as u64
    }

    /// The owners in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Place> {
        let (mut single, mut weighted) = (self.by_turn.iter().peekable(), self.weighted.iter().peekable());
        std::iter::from_fn(move || match (single.peek(), weighted.peek()) {
            (Some(a), Some(b)) if a > b => weighted.next(),
            (Some(_), _) => single.next(),
            (None, _) => weighted.next(),
        })
    }

    /// Those with several jobs a turn.
    pub(super) fn weighted(&self) -> impl Iterator<Item = &Place> {
        self.weighted.iter()
    }

    /// One job of each owner with one job a turn.
    pub(super) fn one_of_each(&self) -> Load {
        let all = self.by_turn.load();
        all.load.share(all.count)
    }

    /// What owners with one job a turn have before a job that comes after so many turns of each of them, and one more of those who are
    /// before `turn` in a round. `own` is what the job's owner has waiting, if it is one of these: it does not count.
    pub(super) fn before(&self, turns: u64, turn: &Place, own: Option<Load>) -> Load {
        let (all, rank) = (self.by_turn.load(), self.by_turn.below(turn));
        if turns == 0 {
            return rank.load.share(rank.count);
        }
        let (first_left, through) = self.through(turns);
        let mut left = all;
        left -= through;
        left -= own.map_or(Owners::default(), Weight::alone);
        let earlier = if left.count <= COUNTED {
            let counted = first_left.map(|first| self.by_count.iter_from(first));
            counted.into_iter().flatten().filter(|(_, since)| *since < turn.0).count() as u64
        } else {
            (u128::from(left.count) * u128::from(rank.count) / u128::from(all.count.max(1))) as u64
        };
        let mut ahead = through.load;
        ahead += left.load.share(turns * left.count + earlier);
        ahead
    }

    /// The owners who have at most so many jobs, and the key of the first who has more.
    fn through(&self, jobs: u64) -> (Option<&(u64, QueueKey)>, Owners) {
        let first = self.first_with_more(jobs);
        let through = first.map_or(self.by_count.load(), |first| self.by_count.below(first));
        (first, through)
    }

    fn first_with_more(&self, jobs: u64) -> Option<&(u64, QueueKey)> {
        let first = QueueKey { queued: Timestamp(i64::MIN), revision: Revision::ZERO, job: JobId::new("") };
        self.by_count.iter_from(&(jobs + 1, first)).next()
    }
}
