//! The jobs of one queue in the order they are taken: owners take turns (start-time fair queueing, all owners weigh the
//! same), and each owner's own jobs stay in their order.
//!
//! Turns are counted in rounds. In each round every owner with waiting jobs is served once, in the order of
//! [`OwnerQueue::since`]; who was served has its next turn in the round after, also when it has nothing waiting in between. An
//! owner who was not served in the round that is under way joins it: it has no claim on the past. So the `k`th job of an owner
//! comes after `k - 1` jobs of each other owner, or `k` of those who are earlier in the round.
//!
//! All operations are O(log n). The load before a job is exact in jobs, but for one case: of more than [`COUNTED`]
//! other owners who have jobs in the very round of the job, it is taken that as many are before it as are before it among
//! all owners. Pages are exact for the jobs of its owner and of owners who will be through by then; those of owners who
//! are partly before it count as their average.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use std::iter::Sum;
use std::ops::{AddAssign, SubAssign};

use courant_joblog::ids::{JobId, Owner, Revision, Timestamp};

use crate::view::load::{Load, PagesLeft};
use crate::view::order_statistic_tree::{OrderStatisticTree, Weight};

/// The position of a job among those of its owner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct QueueKey {
    pub(super) queued: Timestamp,
    /// The entry that queued it: decides between jobs of one millisecond, among which one that is tried again is the last.
    /// No two jobs have the same.
    pub(super) revision: Revision,
    pub(super) job: JobId,
}

/// Owners with jobs in one round are counted one by one up to so many.
const COUNTED: u64 = 256;

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
    /// Owners who were served in this round and have nothing waiting now.
    served: HashSet<Owner>,
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

/// What one owner has waiting.
#[derive(Debug)]
struct OwnerQueue {
    jobs: OrderStatisticTree<QueueKey>,
    /// The round of its next turn: [`FairQueue::round`] or the one after.
    round: u64,
    /// The oldest job it has had in this queue since it last had none: its position in each round.
    since: QueueKey,
}

/// Owners who have their next turn in the same round.
#[derive(Debug, Default)]
struct Rotation {
    by_turn: OrderStatisticTree<(QueueKey, Owner), Load>,
    by_count: OrderStatisticTree<(u64, QueueKey), Load>,
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

impl FairQueue {
    /// Puts in a job.
    pub(super) fn insert(&mut self, owner: &Owner, key: QueueKey, pages: PagesLeft, turn: Turn) {
        self.leave(owner);
        let was_served = self.served.remove(owner) && turn == Turn::Needed;
        let round = self.round + u64::from(was_served);
        let new = || OwnerQueue { jobs: OrderStatisticTree::default(), round, since: key.clone() };
        let queue = self.owners.entry(owner.clone()).or_insert_with(new);
        queue.since = queue.since.clone().min(key.clone());
        queue.jobs.insert(key, pages);
        if turn == Turn::Returned {
            queue.round = self.round;
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
        let turns = self.current.by_turn.iter().chain(self.next.by_turn.iter());
        let (_, owner) = turns.into_iter().find(|(_, owner)| may(owner))?;
        Some((self.owners.get(owner)?.jobs.first()?, owner))
    }

    /// Serves an owner: takes out its first job.
    pub(super) fn serve(&mut self, owner: &Owner) -> Option<JobId> {
        if self.owners.get(owner)?.round > self.round {
            self.end_round();
        }
        self.leave(owner);
        let queue = self.owners.get_mut(owner)?;
        queue.round = self.round + 1;
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
        queue.round = self.round + 1;
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
        let round = mine + ahead.jobs;
        let turn = (queue.since.clone(), owner.clone());
        for (rotation, starts) in [(&self.current, 0), (&self.next, 1)] {
            let Some(turns) = round.checked_sub(starts) else { continue };
            ahead += rotation.before(turns, &turn, (starts == mine).then_some(own));
        }
        Some(ahead)
    }

    /// The load before a job that comes now from an owner who has nothing waiting here.
    pub(super) fn before_newcomer(&self) -> Load {
        let all = self.current.by_turn.load();
        share(all.load, all.count)
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
        let rotations =
            [&self.current, &self.next].into_iter().flat_map(|rotation| rotation.by_turn.iter().take(limit));
        let mut queues: Vec<_> = Vec::new();
        for (since, owner) in rotations {
            if let Some(queue) = self.owners.get(owner) {
                due.push(Reverse((queue.round, since, queues.len())));
                queues.push((owner, queue.jobs.iter()));
            }
        }
        let next = move || {
            while let Some(Reverse((round, since, at))) = due.pop() {
                if let Some((owner, jobs)) = queues.get_mut(at)
                    && let Some(key) = jobs.next()
                {
                    due.push(Reverse((round + 1, since, at)));
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
        let served_are_fewer = self.next.by_turn.load().count < self.current.by_turn.load().count;
        let (fewer, round) = match served_are_fewer {
            true => (&self.next, self.round),
            false => (&self.current, self.round + 1),
        };
        let moved: Vec<Owner> = fewer.by_turn.iter().map(|(_, owner)| owner.clone()).collect();
        for owner in &moved {
            self.leave(owner);
            if let Some(queue) = self.owners.get_mut(owner) {
                queue.round = round;
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
        if self.current.by_turn.is_empty() && !self.next.by_turn.is_empty() {
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
        rotation.by_turn.remove(&(queue.since.clone(), owner.clone()));
        rotation.by_count.remove(&(load.jobs, queue.since.clone()));
        self.load -= load;
    }

    /// Puts an owner into its round as it is now; one who has nothing left is forgotten.
    fn join(&mut self, owner: &Owner) {
        let Some(queue) = self.owners.get(owner) else { return };
        if let Some(head) = queue.jobs.first() {
            let load = queue.jobs.load();
            self.heads.insert(head.clone());
            let rotation = if queue.round > self.round { &mut self.next } else { &mut self.current };
            rotation.by_turn.insert((queue.since.clone(), owner.clone()), load);
            rotation.by_count.insert((load.jobs, queue.since.clone()), load);
            self.load += load;
        } else {
            if queue.round > self.round {
                self.served.insert(owner.clone());
            }
            self.owners.remove(owner);
        }
        self.begin_round();
    }
}

impl Rotation {
    /// What these owners have before a job that comes after so many turns of each of them, and one more of those who are
    /// before `turn` in a round. `own` is what the job's owner has waiting, if it is one of these: it does not count.
    fn before(&self, turns: u64, turn: &(QueueKey, Owner), own: Option<Load>) -> Load {
        let (all, rank) = (self.by_turn.load(), self.by_turn.below(turn));
        if turns == 0 {
            return share(rank.load, rank.count);
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
        ahead += share(left.load, turns * left.count + earlier);
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

/// So many jobs of a load, as they are on average.
fn share(load: Load, jobs: u64) -> Load {
    let jobs = jobs.min(load.jobs);
    let part = |of: u64| (u128::from(of) * u128::from(jobs) / u128::from(load.jobs.max(1))) as u64;
    Load { jobs, unknown: part(load.unknown), pages: part(load.pages), squares: part(load.squares) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        /// A job comes; an old one was tried before.
        Insert { owner: u8, old: bool, pages: u32 },
        /// The next is served, except that some owners may not be.
        Serve { not: u8 },
        /// The nth of all is cancelled.
        Remove(usize),
    }

    fn step(owners: u8) -> impl Strategy<Value = Step> {
        let insert = (0..owners, proptest::bool::weighted(0.1), 0u32..100);
        prop_oneof![
            5 => insert.prop_map(|(owner, old, pages)| Step::Insert { owner, old, pages }),
            2 => (0..2 * owners).prop_map(|not| Step::Serve { not }),
            1 => any::<usize>().prop_map(Step::Remove),
        ]
    }

    /// The queue, and the waiting jobs by their owners.
    #[derive(Default)]
    struct World {
        queue: FairQueue,
        jobs: BTreeMap<Owner, BTreeMap<QueueKey, u32>>,
        clock: i64,
    }

    fn owner(number: u8) -> Owner {
        Owner::new(format!("owner-{number}"))
    }

    impl World {
        fn insert(&mut self, owner: Owner, old: bool, pages: u32) {
            self.clock += 1;
            let at = if old { self.clock % 7 } else { 1_000 + self.clock };
            // Several of one millisecond.
            let (queued, revision) = (Timestamp(at / 2), Revision(self.clock.unsigned_abs()));
            let key = QueueKey { queued, revision, job: JobId::new(format!("J{:05}", 99_999 - self.clock)) };
            let turn = if old { Turn::Returned } else { Turn::Needed };
            self.queue.insert(&owner, key.clone(), Some(pages), turn);
            self.jobs.entry(owner).or_default().insert(key, pages);
        }

        fn forget(&mut self, owner: &Owner, key: &QueueKey) -> u32 {
            let own = self.jobs.get_mut(owner).unwrap();
            let pages = own.remove(key).unwrap();
            if own.is_empty() {
                self.jobs.remove(owner);
            }
            pages
        }

        fn serve(&mut self, may: impl Fn(&Owner) -> bool) -> Option<(Owner, QueueKey, u32)> {
            let (key, owner) = self.queue.first(may)?;
            let (key, owner) = (key.clone(), owner.clone());
            assert_eq!(self.queue.serve(&owner), Some(key.job.clone()));
            assert_eq!(Some(&key), self.jobs[&owner].keys().next(), "an owner's first job is first");
            let pages = self.forget(&owner, &key);
            Some((owner, key, pages))
        }

        fn step(&mut self, step: Step) {
            match step {
                Step::Insert { owner: number, old, pages } => self.insert(owner(number), old, pages),
                Step::Serve { not } => drop(self.serve(|known| *known != owner(not))),
                Step::Remove(nth) => {
                    let all = self.jobs.iter().flat_map(|(owner, jobs)| jobs.keys().map(move |key| (owner, key)));
                    let all: Vec<(Owner, QueueKey)> = all.map(|(owner, key)| (owner.clone(), key.clone())).collect();
                    let Some((owner, key)) = all.get(nth % all.len().max(1)) else { return };
                    assert!(self.queue.remove(owner, key) && !self.queue.remove(owner, key));
                    self.forget(owner, key);
                }
            }
        }

        /// The load before each job, as it is reported.
        fn reported(&self) -> BTreeMap<QueueKey, Load> {
            let all = self.jobs.iter().flat_map(|(owner, jobs)| jobs.keys().map(move |key| (owner, key)));
            all.map(|(owner, key)| (key.clone(), self.queue.before(owner, key).unwrap())).collect()
        }
    }

    #[test]
    fn many_who_may_not_be_served_are_not_moved_for_one_who_is() {
        let mut world = World::default();
        (0..20).for_each(|number| world.insert(owner(number), false, 1));
        (0..5).for_each(|_| world.insert(owner(20), false, 1));
        for _ in 0..5 {
            assert_eq!(world.serve(|known| *known == owner(20)).map(|served| served.0), Some(owner(20)));
        }
        assert_eq!(world.queue.round, 0, "a round was begun for all of them");
        let rest = std::iter::from_fn(|| world.serve(|_| true)).map(|(owner, ..)| owner);
        assert!(rest.eq((0..20).map(owner)), "they keep their order");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        /// The position that is reported is the one that comes if nobody else does.
        #[test]
        fn places_come_true(steps in vec(step(6), 0..150)) {
            let mut world = World::default();
            steps.into_iter().for_each(|step| world.step(step));
            let reported = world.reported();
            let newcomer = world.queue.before_newcomer().jobs;
            let upcoming: Vec<JobId> = world.queue.upcoming(usize::MAX).cloned().collect();
            prop_assert_eq!(world.queue.oldest(), reported.keys().next().map(|key| &key.job));
            prop_assert!(world.queue.upcoming(3).eq(upcoming.iter().take(3)));
            let (mut served, mut jobs, mut pages) = (BTreeMap::<Owner, u64>::new(), 0, 0);
            while let Some((owner, key, own)) = world.serve(|_| true) {
                prop_assert_eq!(&upcoming[jobs as usize], &key.job);
                prop_assert_eq!(reported[&key].jobs, jobs);
                // Pages of others are averages: nobody has more than 100.
                prop_assert!(reported[&key].pages.abs_diff(pages) <= 100 * jobs);
                *served.entry(owner).or_default() += 1;
                let behind = world.jobs.keys().map(|owner| served.get(owner).copied().unwrap_or(0)).min();
                prop_assert!(behind.is_none_or(|behind| served.values().all(|turns| *turns <= behind + 2)));
                (jobs, pages) = (jobs + 1, pages + u64::from(own));
            }
            prop_assert!(newcomer <= jobs && upcoming.len() as u64 == jobs);
            prop_assert!(world.queue.is_empty() && world.queue.load() == Load::default() && world.queue.heads.is_empty());
        }

        /// While an owner waits, nobody else is served more than twice: once that was due, and once in the next round.
        #[test]
        fn no_owner_waits_for_two_turns_of_another(steps in vec(step(5), 0..200)) {
            let mut world = World::default();
            let mut since: BTreeMap<Owner, BTreeMap<Owner, u32>> = BTreeMap::new();
            for step in steps {
                // Who is not served because of a limit has no claim later: all may be served here.
                if let Step::Serve { .. } = step {
                    let Some((served, ..)) = world.serve(|_| true) else { continue };
                    since.remove(&served);
                    for (waiting, others) in &mut since {
                        let turns = others.entry(served.clone()).or_default();
                        *turns += 1;
                        prop_assert!(*turns <= 2, "{served} before {waiting}");
                    }
                } else if let Step::Insert { owner: number, pages, .. } = step {
                    // Who gets a turn back is served before others who wait.
                    world.insert(owner(number), false, pages);
                } else {
                    world.step(step);
                }
                since.retain(|owner, _| world.jobs.contains_key(owner));
                for owner in world.jobs.keys() {
                    since.entry(owner.clone()).or_default();
                }
            }
        }
    }

    #[test]
    fn a_job_in_the_middle_can_be_taken_and_is_its_owners_turn() {
        let mut world = World::default();
        (0..3).for_each(|_| world.insert(owner(0), false, 1));
        (0..2).for_each(|_| world.insert(owner(1), false, 1));
        let upcoming: Vec<(QueueKey, Owner)> =
            world.queue.upcoming_of(9).map(|(key, owner)| (key.clone(), owner.clone())).collect();
        let (second, _) = upcoming.iter().filter(|(_, of)| *of == owner(0)).nth(1).unwrap();
        assert_eq!(world.queue.serve_job(&owner(0), second).as_ref(), Some(&second.job));
        assert_eq!(world.queue.serve_job(&owner(0), second), None, "it is taken");
        world.forget(&owner(0), second);
        let rest = std::iter::from_fn(|| world.serve(|_| true)).map(|(owner, ..)| owner);
        assert!(rest.eq([1, 0, 1, 0].map(owner)), "it was the turn of the first owner");
    }

    #[test]
    fn with_very_many_owners_places_are_near() {
        let mut world = World::default();
        let mut random = fastrand::Rng::with_seed(7);
        for number in 0..2_000 {
            for _ in 0..random.u32(1..12) {
                world.insert(Owner::new(format!("owner-{number}")), false, 10);
            }
        }
        for _ in 0..3_000 {
            world.serve(|_| true);
        }
        let reported = world.reported();
        let mut jobs = 0u64;
        while let Some((owner, key, _)) = world.serve(|_| true) {
            let off = reported[&key].jobs.abs_diff(jobs);
            assert!(off * 20 <= jobs.max(20 * COUNTED), "{owner}: {off} off at {jobs}");
            assert_eq!(reported[&key].pages, reported[&key].jobs * 10);
            jobs += 1;
        }
    }

    #[test]
    fn who_submits_one_job_waits_for_a_turn_of_each_and_not_for_their_jobs() {
        let mut world = World::default();
        (0..10_000).for_each(|_| world.insert(Owner::new("alice"), false, 1));
        (0..50).for_each(|_| drop(world.serve(|_| true)));
        assert_eq!(world.queue.before_newcomer().jobs, 1);
        world.insert(Owner::new("bob"), false, 1);
        assert_eq!(world.reported()[&world.jobs[&Owner::new("bob")].keys().next().unwrap().clone()].jobs, 1);
        let turns: Vec<Owner> = (0..2).filter_map(|_| Some(world.serve(|_| true)?.0)).collect();
        assert!(turns.contains(&Owner::new("bob")));
    }

    #[test]
    fn owners_with_one_job_at_a_time_leave_their_turns_to_others() {
        let mut world = World::default();
        (0..100).for_each(|_| world.insert(owner(9), false, 1));
        (0..4).for_each(|number| world.insert(owner(number), false, 1));
        let mut turns = 0;
        for _ in 0..50 {
            // Two workers: who was served before the last one submits again when its job is done.
            let (served, ..) = world.serve(|_| true).unwrap();
            turns += u32::from(served == owner(9));
            if served != owner(9) {
                world.insert(served, false, 1);
            }
        }
        assert!((9..=11).contains(&turns), "{turns} of 50 turns for one of five owners");
    }

    #[test]
    fn a_job_that_is_tried_again_comes_before_those_who_came_later() {
        let mut world = World::default();
        for name in ["alice", "bob", "carol"] {
            world.insert(Owner::new(name), false, 1);
        }
        let (owner, key, pages) = world.serve(|_| true).unwrap();
        world.queue.insert(&owner, key.clone(), Some(pages), Turn::Returned);
        assert_eq!(world.queue.before(&owner, &key).map(|ahead| ahead.jobs), Some(0));
    }
}
