use std::collections::BTreeMap;

use courant_joblog::ids::{Revision, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use super::rotation::COUNTED;
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
    /// Some owners have several jobs a turn, see [`weight`].
    weighted: bool,
}

/// Jobs a turn of this owner, where not all have one.
fn weight(owner: &Owner) -> u32 {
    match owner.as_str() {
        "owner-1" => 3,
        "owner-4" => 2,
        _ => 1,
    }
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
        let weight = if self.weighted { weight(&owner) } else { 1 };
        self.queue.insert(&owner, weight, key.clone(), Some(pages), turn);
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
    fn places_come_true(steps in vec(step(6), 0..150), weighted in any::<bool>()) {
        let mut world = World { weighted, ..World::default() };
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
            let weight = |owner: &Owner| if weighted { u64::from(weight(owner)) } else { 1 };
            let turns = |owner: &Owner| served.get(owner).copied().unwrap_or(0) / weight(owner);
            let behind = world.jobs.keys().map(turns).min();
            prop_assert!(behind.is_none_or(|behind| served.keys().all(|owner| turns(owner) <= behind + 2)));
            (jobs, pages) = (jobs + 1, pages + u64::from(own));
        }
        prop_assert!(newcomer <= jobs && upcoming.len() as u64 == jobs);
        prop_assert!(world.queue.is_empty() && world.queue.load() == Load::default() && world.queue.heads.is_empty());
    }

    /// While an owner waits, nobody else is served more than twice: once that was due, and once in the next round.
    #[test]
    fn no_owner_waits_for_two_turns_of_another(steps in vec(step(5), 0..200), weighted in any::<bool>()) {
        let mut world = World { weighted, ..World::default() };
        let mut since: BTreeMap<Owner, BTreeMap<Owner, u32>> = BTreeMap::new();
        for step in steps {
            // Who is not served because of a limit has no claim later: all may be served here.
            if let Step::Serve { .. } = step {
                let Some((served, ..)) = world.serve(|_| true) else { continue };
                since.remove(&served);
                for (waiting, others) in &mut since {
                    let turns = others.entry(served.clone()).or_default();
                    *turns += 1;
                    let most = 2 * if weighted { weight(&served) } else { 1 };
                    prop_assert!(*turns <= most, "{served} before {waiting}");
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
    world.queue.insert(&owner, 1, key.clone(), Some(pages), Turn::Returned);
    assert_eq!(world.queue.before(&owner, &key).map(|ahead| ahead.jobs), Some(0));
}

#[test]
fn an_owner_of_weight_three_has_three_jobs_a_turn_and_others_wait_for_one_turn() {
    let mut world = World { weighted: true, ..World::default() };
    (0..9_000).for_each(|_| world.insert(owner(1), false, 1));
    (0..9_000).for_each(|_| world.insert(owner(2), false, 1));
    let served: Vec<Owner> = (0..800).filter_map(|_| Some(world.serve(|_| true)?.0)).collect();
    assert_eq!(served[..8], [1, 1, 1, 2, 1, 1, 1, 2].map(owner));
    assert_eq!(served.iter().filter(|served| **served == owner(1)).count(), 600, "three quarters of all");
    world.insert(owner(3), false, 1);
    let before = std::iter::from_fn(|| world.serve(|_| true)).take_while(|(served, ..)| *served != owner(3)).count();
    assert!(before <= 4, "{before} jobs were taken before the single one of another owner");
}

#[test]
fn what_is_left_of_a_turn_is_not_lost_when_an_owner_has_nothing_waiting_for_a_moment() {
    let mut world = World { weighted: true, ..World::default() };
    (0..4).for_each(|_| world.insert(owner(2), false, 1));
    world.insert(owner(1), false, 1);
    let next = |world: &mut World| world.serve(|_| true).unwrap().0;
    assert_eq!([next(&mut world), next(&mut world)], [2, 1].map(owner));
    (0..5).for_each(|_| world.insert(owner(1), false, 1));
    let order: Vec<Owner> = std::iter::from_fn(|| Some(world.serve(|_| true)?.0)).collect();
    assert_eq!(order.len(), 8);
    assert!(order.iter().take(4).filter(|served| **served == owner(1)).count() <= 3, "{order:?}");
    assert!(order.iter().take(5).any(|served| *served == owner(2)), "{order:?}");
}
