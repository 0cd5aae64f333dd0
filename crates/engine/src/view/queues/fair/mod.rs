//! The jobs of one queue in the order they are taken: owners take turns (weighted round robin), and each owner's own jobs stay in
//! their order. A turn is one job, or as many as the configuration says for the owner.
//!
//! Turns are counted in rounds. In each round every owner with waiting jobs is served once, in the order of
//! [`OwnerQueue::since`]; who was served has its next turn in the round after, also when it has nothing waiting in between. An
//! owner who was not served in the round that is under way joins it: it has no claim on the past. So the `k`th job of an owner
//! comes after `k - 1` jobs of each other owner, or `k` of those who are earlier in the round, where all have one job a turn.
//!
//! All operations are O(log n), and O(w) in the number of waiting owners with several jobs a turn, who are few. The load before a job is exact in jobs, but for one case: of more than [`COUNTED`]
//! other owners who have jobs in the very round of the job, it is taken that as many are before it as are before it among
//! all owners. Pages are exact for the jobs of its owner and of owners who will be through by then; those of owners who
//! are partly before it count as their average.

mod owner_queue;
mod rotation;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use courant_joblog::ids::{JobId, Owner};

use self::owner_queue::OwnerQueue;
pub(super) use self::owner_queue::QueueKey;
use self::rotation::Rotation;
use crate::view::load::{Load, PagesLeft};
use crate::view::order_statistic_tree::OrderStatisticTree;

/// Waiting jobs of many owners.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    owners: HashMap<Owner, OwnerQueue>,
    /// The round that is under way.
    round: u64,
    /// Owners who have their turn in this round.
    current: Rotation,
    /// Owners who have their turn in the next round: they were served in this one.
    next: Rotation,
    /// How many jobs owners were served in this round who have nothing waiting now.
    served: HashMap<Owner, u64>,
    /// The first job of each owner, the one that waits longest first.
    heads: BTreeSet<QueueKey>,
    load: Load,
}

/// Whether a job needs a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Needed,
    /// It had one of which nothing came: its owner gets it back.
    Returned,
}

impl FairQueue {
    /// Puts in a job of an owner with so many jobs a turn, which is at least 1.
    pub(super) fn insert(&mut self, owner: &Owner, weight: u32, key: QueueKey, pages: PagesLeft, turn: Turn) {
        self.leave(owner);
        let (round, weight, served) = (self.round, u64::from(weight), self.served.remove(owner).unwrap_or(0));
        let new = || {
            let (round, used) = if served < weight { (round, served) } else { (round + 1, 0) };
            OwnerQueue { jobs: OrderStatisticTree::default(), weight, round, used, since: key.clone() }
        };
        let queue = self.owners.entry(owner.clone()).or_insert_with(new);
        queue.since = queue.since.clone().min(key.clone());
        queue.jobs.insert(key, pages);
        if turn == Turn::Returned {
            queue.give_back(round);
        }
        self.join(owner);
    }

    /// Takes out a job, wherever it is. `false` if it is not here.
    pub(super) fn remove(&mut self, owner: &Owner, key: &QueueKey) -> bool {
        let removes = |queue: &OwnerQueue| queue.jobs.before(key).is_some();
        if !self.owners.get(owner).is_some_and(removes) {
            return false;
        }
        self.leave(owner);
        if let Some(queue) = self.owners.get_mut(owner) {
            queue.jobs.remove(key);
        }
        self.join(owner);
        true
    }

    /// The next job, of those owners who may be served, and its owner. Passes over the others one by one: keep them few.
    pub(super) fn first(&self, may: impl Fn(&Owner) -> bool) -> Option<(&QueueKey, &Owner)> {
        let (_, owner) = self.current.iter().chain(self.next.iter()).find(|(_, owner)| may(owner))?;
        Some((self.owners.get(owner)?.jobs.first()?, owner))
    }

    /// Serves an owner: takes out its first job.
    pub(super) fn serve(&mut self, owner: &Owner) -> Option<JobId> {
        if self.owners.get(owner)?.round > self.round {
            self.end_round();
        }
        self.leave(owner);
        let queue = self.owners.get_mut(owner)?;
        queue.count_served(self.round);
        let job = queue.jobs.pop_first().map(|key| key.job);
        self.join(owner);
        job
    }

    /// Serves an owner with this job, which need not be its first: another server may be about to take those before it.
    pub(super) fn serve_job(&mut self, owner: &Owner, key: &QueueKey) -> Option<JobId> {
        let is_first = self.owners.get(owner)?.jobs.first() == Some(key);
        if is_first {
            return self.serve(owner);
        }
        let queue = self.owners.get(owner)?;
        queue.jobs.before(key)?;
        if queue.round > self.round {
            self.end_round();
        }
        self.leave(owner);
        let queue = self.owners.get_mut(owner)?;
        queue.count_served(self.round);
        queue.jobs.remove(key);
        self.join(owner);
        Some(key.job.clone())
    }

    /// The load before a job. `None` if it is not here.
    pub(super) fn before(&self, owner: &Owner, key: &QueueKey) -> Option<Load> {
        let queue = self.owners.get(owner)?;
        let mut ahead = queue.jobs.before(key)?;
        let own = queue.jobs.load();
        let mine = queue.round - self.round;
        // Counted from the current round.
        let round = mine + queue.rounds_before(ahead.jobs);
        let place = queue.place(owner);
        for (rotation, starts) in [(&self.current, 0), (&self.next, 1)] {
            let Some(turns) = round.checked_sub(starts) else { continue };
            ahead += rotation.before(turns, &place, (starts == mine && queue.weight == 1).then_some(own));
            for other in rotation.weighted().filter(|other| other.1 != *owner) {
                ahead += self.owners.get(&other.1).map_or(Load::default(), |queue| queue.before(turns, *other < place));
            }
        }
        Some(ahead)
    }

    /// The load before a job that comes now from an owner who has nothing waiting here.
    pub(super) fn before_newcomer(&self) -> Load {
        let mut ahead = self.current.one_of_each();
        for (_, owner) in self.current.weighted() {
            ahead += self.owners.get(owner).map_or(Load::default(), |queue| queue.before(0, true));
        }
        ahead
    }

    pub(super) fn load(&self) -> Load {
        self.load
    }

    pub(super) fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// The job that waits longest.
    pub(super) fn oldest(&self) -> Option<&JobId> {
        self.heads.first().map(|key| &key.job)
    }

    /// The next jobs in the order they will be taken, at most so many. Costs as much as they are.
    pub(super) fn upcoming(&self, limit: usize) -> impl Iterator<Item = &JobId> {
        self.upcoming_of(limit).map(|(key, _)| &key.job)
    }

    /// The same with their owners.
    pub(super) fn upcoming_of(&self, limit: usize) -> impl Iterator<Item = (&QueueKey, &Owner)> {
        let mut due = BinaryHeap::new();
        let rotations = [&self.current, &self.next].into_iter().flat_map(|rotation| rotation.iter().take(limit));
        let mut queues: Vec<_> = Vec::new();
        for (since, owner) in rotations {
            if let Some(queue) = self.owners.get(owner) {
                due.push(Reverse((queue.round, since, queues.len())));
                queues.push((owner, queue, queue.jobs.iter(), 0));
            }
        }
        let next = move || {
            while let Some(Reverse((_, since, at))) = due.pop() {
                if let Some((owner, queue, jobs, taken)) = queues.get_mut(at)
                    && let Some(key) = jobs.next()
                {
                    *taken += 1;
                    due.push(Reverse((queue.round + queue.rounds_before(*taken), since, at)));
                    return Some((key, *owner));
                }
            }
            None
        };
        std::iter::from_fn(next).take(limit)
    }

    /// Ends a round in which those who are left cannot be served: they go on with the others. The fewer are moved to the more:
    /// thousands may be left while one owner is served again and again. Those who were served were moved by that too, so it costs
    /// a serve no more than that did.
    fn end_round(&mut self) {
        let served_are_fewer = self.next.count() < self.current.count();
        let (fewer, round) = match served_are_fewer {
            true => (&self.next, self.round),
            false => (&self.current, self.round + 1),
        };
        let moved: Vec<Owner> = fewer.iter().map(|(_, owner)| owner.clone()).collect();
        for owner in &moved {
            self.leave(owner);
            if let Some(queue) = self.owners.get_mut(owner) {
                (queue.round, queue.used) = (round, 0);
            }
            self.join(owner);
        }
        if served_are_fewer {
            // The round that begins has the number of this one: only what they are to each other counts.
            self.served.clear();
        }
        self.begin_round();
    }

    /// Begins the next round when nobody is left in the current one.
    fn begin_round(&mut self) {
        if self.current.is_empty() && !self.next.is_empty() {
            self.current = std::mem::take(&mut self.next);
            self.served.clear();
            self.round += 1;
        }
    }

    /// Takes an owner out of its round, before something changes.
    fn leave(&mut self, owner: &Owner) {
        let Some(queue) = self.owners.get(owner) else { return };
        let load = queue.jobs.load();
        if let Some(head) = queue.jobs.first() {
            self.heads.remove(head);
        }
        let rotation = if queue.round > self.round { &mut self.next } else { &mut self.current };
        rotation.remove(owner, queue);
        self.load -= load;
    }

    /// Puts an owner into its round as it is now; one who has nothing left is forgotten.
    fn join(&mut self, owner: &Owner) {
        let Some(queue) = self.owners.get(owner) else { return };
        if let Some(head) = queue.jobs.first() {
            let load = queue.jobs.load();
            self.heads.insert(head.clone());
            let rotation = if queue.round > self.round { &mut self.next } else { &mut self.current };
            rotation.insert(owner, queue);
            self.load += load;
        } else {
            let served = if queue.round > self.round { queue.weight } else { queue.used };
            if served > 0 {
                self.served.insert(owner.clone(), served);
            }
            self.owners.remove(owner);
        }
        self.begin_round();
    }
}

#[cfg(test)]
mod tests;
