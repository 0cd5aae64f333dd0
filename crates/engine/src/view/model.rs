//! What is true of the view whatever happens to its jobs, in whatever order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use courant_joblog::apply::apply;
use courant_joblog::event::{AttemptCharge, Change, Event};
use courant_joblog::job::{JobError, Page};
use courant_joblog::log::Key;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::testing::queued;

const KINDS: [&str; 2] = ["pdf", "scan"];
const OWNERS: [&str; 3] = ["alice", "bob", "carol"];
const WORKERS: [&str; 3] = ["w0", "w1", "w2"];
/// A time no test reaches: a job that waits for it is delayed until the test says so.
const LATER: Timestamp = Timestamp(i64::MAX / 2);

/// When it has come.
fn later() -> Instant {
    Instant::now() + Duration::from_secs(2 * 365 * 24 * 3600)
}

/// One step. Numbers choose among the jobs there are.
#[derive(Clone, Debug)]
enum Step {
    Submit {
        kind: usize,
        lane: Lane,
        owner: usize,
        pages: Option<u32>,
    },
    /// A worker that takes one kind, or all, looks for work.
    Claim {
        worker: usize,
        kind: Option<usize>,
    },
    /// The log took the nth claim under way.
    Claimed(usize),
    /// The nth claim came to nothing.
    ClaimLost(usize),
    Plan {
        job: usize,
        pages: u32,
        lane: Option<Lane>,
    },
    Page {
        job: usize,
    },
    Succeed(usize),
    Fail(usize),
    /// Handed back, lost or failed for now.
    Retry {
        job: usize,
        charge: AttemptCharge,
        delayed: bool,
    },
    Cancel(usize),
    Requeue(usize),
    Forget(usize),
    /// Everything that was delayed is due.
    Due,
    /// An entry comes a second time.
    Again(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let lane = || select(Lane::ALL.to_vec());
    let job = || any::<usize>();
    prop_oneof![
        8 => (0..KINDS.len(), lane(), 0..OWNERS.len(), proptest::option::of(0u32..200))
            .prop_map(|(kind, lane, owner, pages)| Step::Submit { kind, lane, owner, pages }),
        8 => (0..WORKERS.len(), proptest::option::of(0..KINDS.len())).prop_map(|(worker, kind)| Step::Claim { worker, kind }),
        7 => job().prop_map(Step::Claimed),
        1 => job().prop_map(Step::ClaimLost),
        3 => (job(), 1u32..50, proptest::option::of(lane())).prop_map(|(job, pages, lane)| Step::Plan { job, pages, lane }),
        5 => job().prop_map(|job| Step::Page { job }),
        2 => job().prop_map(Step::Succeed),
        1 => job().prop_map(Step::Fail),
        3 => (job(), select(vec![AttemptCharge::Charged, AttemptCharge::Free]), any::<bool>())
            .prop_map(|(job, charge, delayed)| Step::Retry { job, charge, delayed }),
        2 => job().prop_map(Step::Cancel),
        2 => job().prop_map(Step::Requeue),
        1 => job().prop_map(Step::Forget),
        1 => Just(Step::Due),
        1 => job().prop_map(Step::Again),
    ]
}

/// The view and, computed from the log alone, what it should be.
#[derive(Default)]
struct World {
    view: View,
    jobs: BTreeMap<JobId, Arc<Job>>,
    /// The newest entry of each job.
    revisions: BTreeMap<JobId, u64>,
    entries: Vec<Entry>,
    claims: Vec<(JobId, usize)>,
    /// Jobs that were delayed and became due.
    released: BTreeSet<JobId>,
    revision: u64,
    clock: i64,
}

impl World {
    fn pick(&self, number: usize, which: impl Fn(&Job) -> bool) -> Option<Arc<Job>> {
        let some: Vec<_> = self.jobs.values().filter(|job| which(job)).collect();
        (!some.is_empty()).then(|| some[number % some.len()].clone())
    }

    fn change(&mut self, job: &Job, change: Change) -> bool {
        self.clock += 1;
        let event = Event::new(Timestamp(self.clock), change);
        let Ok(after) = apply(Some(job), &event) else { return false };
        self.append(Arc::new(after), event);
        true
    }

    fn append(&mut self, job: Arc<Job>, event: Event) {
        self.revision += 1;
        self.jobs.insert(job.id.clone(), job.clone());
        self.revisions.insert(job.id.clone(), self.revision);
        let key = Key::of(&job);
        let entry = Entry { revision: Revision(self.revision), key, record: Record::Changed { event, job } };
        self.view.apply(&entry);
        self.entries.push(entry);
    }

    fn submit(&mut self, kind: usize, lane: Lane, owner: usize, pages: Option<u32>) {
        // Several in one millisecond, with ids in another order.
        self.clock += i64::from(self.revision.is_multiple_of(3));
        let mut job = queued(&format!("J{:04}", 9_999 - self.revision), OWNERS[owner]);
        (job.created, job.queued) = (Timestamp(self.clock), Timestamp(self.clock));
        (job.kind, job.lane, job.pages.expected) = (KINDS[kind].into(), lane, pages);
        let change = Change::Requeued { by: "x".into(), password: None };
        self.append(Arc::new(job), Event::new(Timestamp(self.clock), change));
    }

    fn claim(&mut self, worker: usize, kind: Option<usize>) -> Result<bool, TestCaseError> {
        let kinds: Vec<Box<str>> =
            kind.map_or(KINDS.to_vec(), |kind| vec![KINDS[kind]]).into_iter().map(Into::into).collect();
        let heads: BTreeSet<JobId> = self
            .queues()
            .into_keys()
            .filter(|(kind, _)| kinds.iter().any(|taken| **taken == **kind))
            .filter_map(|(kind, lane)| self.view.upcoming(&kind, lane, 1).next().map(|current| current.job.id.clone()))
            .collect();
        let taken =
            self.view.take_next(&kinds, &RunningLimits::NONE, Instant::now()).map(|current| current.job.id.clone());
        match &taken {
            Some(id) => prop_assert!(heads.contains(id), "{id} is no head of {heads:?}"),
            None => prop_assert!(heads.is_empty(), "nobody of {heads:?} was taken"),
        }
        self.claims.extend(taken.clone().map(|id| (id, worker)));
        Ok(taken.is_some())
    }

    /// The log takes a claim, unless the job went on without it: then it is given back, as it always is.
    fn claimed(&mut self, number: usize) {
        if self.claims.is_empty() {
            return;
        }
        let (id, worker) = self.claims.remove(number % self.claims.len());
        if let Some(job) = self.jobs.get(&id).cloned() {
            self.change(&job, Change::Started { attempt: job.attempt + 1, worker: WorkerId::new(WORKERS[worker]) });
        }
        self.give_back(&id);
    }

    /// By the clock of the machine, what waits for [`LATER`] is delayed.
    fn give_back(&mut self, id: &JobId) {
        self.view.give_back(id);
        self.released.remove(id);
    }

    fn forget(&mut self, number: usize) {
        let Some(job) = self.pick(number, |job| job.state.is_terminal()) else { return };
        self.revision += 1;
        self.jobs.remove(&job.id);
        let entry = Entry { revision: Revision(self.revision), key: Key::of(&job), record: Record::Forgotten };
        self.view.apply(&entry);
        self.entries.push(entry);
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        let running = |job: &Job| job.state == State::Running;
        let error = || JobError { code: "X".into(), message: "x".into(), retryable: true };
        match step {
            Step::Submit { kind, lane, owner, pages } => self.submit(kind, lane, owner, pages),
            Step::Claim { worker, kind } => drop(self.claim(worker, kind)?),
            Step::Claimed(number) => self.claimed(number),
            Step::ClaimLost(number) => {
                if !self.claims.is_empty() {
                    let (id, _) = self.claims.remove(number % self.claims.len());
                    self.give_back(&id);
                }
            }
            Step::Plan { job, pages, lane } => {
                let Some(job) = self.pick(job, |job| running(job) && job.pages.total.is_none()) else { return Ok(()) };
                self.change(&job, Change::Planned { attempt: job.attempt, pages, lane, document: None });
            }
            Step::Page { job } => {
                let unfinished = |job: &Job| job.pages.total.is_some_and(|total| job.pages.done_count() < total);
                let Some(job) = self.pick(job, |job| running(job) && unfinished(job)) else { return Ok(()) };
                let number = (1..).find(|page| !job.pages.is_done(*page)).unwrap();
                let page = Page { number, width: 1.0, height: 1.0, zones: vec![], duration_ms: 1, warnings: vec![] };
                self.change(&job, Change::PageFinished { attempt: job.attempt, page: Box::new(page) });
            }
            Step::Succeed(job) => {
                let Some(job) = self.pick(job, running) else { return Ok(()) };
                self.change(&job, Change::Succeeded { attempt: job.attempt, warnings: vec![] });
            }
            Step::Fail(job) => {
                let Some(job) = self.pick(job, running) else { return Ok(()) };
                self.change(&job, Change::Failed { attempt: job.attempt, error: error() });
            }
            Step::Retry { job, charge, delayed } => {
                let Some(job) = self.pick(job, running) else { return Ok(()) };
                let not_before = if delayed { LATER } else { Timestamp(0) };
                self.change(&job, Change::Retrying { attempt: job.attempt, error: error(), not_before, charge });
                self.released.remove(&job.id);
            }
            Step::Cancel(job) => {
                let Some(job) = self.pick(job, |job| !job.state.is_terminal()) else { return Ok(()) };
                let by = "alice".into();
                let change = if running(&job) { Change::Cancelling { by } } else { Change::Cancelled { by } };
                self.change(&job, change);
            }
            Step::Requeue(job) => {
                let Some(job) = self.pick(job, |job| matches!(job.state, State::Failed | State::Cancelled)) else {
                    return Ok(());
                };
                self.change(&job, Change::Requeued { by: "alice".into(), password: None });
            }
            Step::Forget(job) => self.forget(job),
            Step::Due => {
                self.view.release_due(later());
                let queued = self.jobs.values().filter(|job| job.state == State::Queued);
                self.released.extend(queued.map(|job| job.id.clone()));
            }
            Step::Again(number) => {
                if !self.entries.is_empty() {
                    self.view.apply(&self.entries[number % self.entries.len()]);
                }
            }
        }
        Ok(())
    }

    /// The queues as they should be: jobs by the time they came, those being claimed left out.
    fn queues(&self) -> BTreeMap<(Box<str>, Lane), Vec<Arc<Job>>> {
        let mut queues: BTreeMap<_, Vec<Arc<Job>>> = BTreeMap::new();
        for job in self.jobs.values().filter(|job| self.is_waiting(job)) {
            queues.entry((job.kind.clone(), job.lane)).or_default().push(job.clone());
        }
        queues.values_mut().for_each(|queue| queue.sort_by_key(|job| (job.queued, self.revisions[&job.id])));
        queues
    }

    fn is_waiting(&self, job: &Job) -> bool {
        let claimed = self.claims.iter().any(|(id, _)| *id == job.id) && self.view.position(job).is_none();
        job.state == State::Queued && !claimed && !self.is_delayed(job)
    }

    fn is_delayed(&self, job: &Job) -> bool {
        let waits = job.state == State::Queued && job.not_before == Some(LATER);
        waits && !self.released.contains(&job.id)
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let queues = self.queues();
        for kind in KINDS {
            for lane in Lane::ALL {
                let empty = Vec::new();
                self.check_queue(kind, lane, queues.get(&(kind.into(), lane)).unwrap_or(&empty))?;
            }
        }
        for worker in WORKERS.map(WorkerId::new) {
            let held = self.jobs.values().filter(|job| job.worker.as_ref() == Some(&worker)).count();
            prop_assert_eq!(self.view.held_count(&worker) as usize, held);
            prop_assert_eq!(self.view.held_by(&worker).count(), held);
        }
        self.check_lists()?;
        self.check_stored(&self.view)
    }

    /// Every job is what the log says, and packed while it has ended.
    fn check_stored(&self, view: &View) -> Result<(), TestCaseError> {
        for job in self.jobs.values() {
            let Some(stored) = view.stored(&job.id) else {
                return Err(TestCaseError::fail(format!("{} is gone", job.id)));
            };
            prop_assert_eq!((stored.state(), stored.is_packed()), (job.state, job.state.is_terminal()));
            prop_assert_eq!(view.unfinished(&job.id).is_some(), !job.state.is_terminal());
            let (current, newest) =
                (view.get(&job.id).unwrap(), self.entries.iter().rev().find(|entry| entry.key.job == job.id));
            prop_assert_eq!(&current.job, job);
            prop_assert_eq!(Some(current.revision), newest.map(|newest| newest.revision));
            prop_assert_eq!(stored.revision(), current.revision);
        }
        Ok(())
    }

    fn check_queue(&self, kind: &str, lane: Lane, queue: &[Arc<Job>]) -> Result<(), TestCaseError> {
        let upcoming: Vec<&Job> = self.view.upcoming(kind, lane, usize::MAX).map(|current| &*current.job).collect();
        let id = |job: &&Job| job.id.clone();
        prop_assert_eq!(upcoming.len(), queue.len());
        for owner in OWNERS.map(Owner::new) {
            let own = upcoming.iter().filter(|job| job.owner == owner).map(id);
            let expected = queue.iter().filter(|job| job.owner == owner).map(|job| job.id.clone());
            prop_assert!(own.eq(expected), "the jobs of {} are not in order", owner);
        }
        check_turns(&upcoming)?;
        for (job, position) in upcoming.iter().zip(1u32..) {
            let queued = self.view.position(job).unwrap();
            prop_assert_eq!((queued.position, queued.ahead.jobs), (position, u64::from(position - 1)));
        }
        let load: Load = queue.iter().map(|job| Load::of(load::pages_left(job))).sum();
        if let Some(last) = upcoming.last() {
            let mut ahead = self.view.position(last).unwrap().ahead;
            ahead += Load::of(load::pages_left(last));
            let others = upcoming.iter().any(|job| job.owner != last.owner);
            prop_assert!(others || ahead == load, "{:?} of {:?}", ahead, load);
        }
        let here = |job: &&Arc<Job>| *job.kind == *kind && job.lane == lane;
        let state = self.view.queue(kind, lane);
        prop_assert_eq!(state.waiting, load);
        prop_assert_eq!(state.oldest, queue.first().map(|job| &job.id));
        let delayed = self.jobs.values().filter(here).filter(|job| self.is_delayed(job)).count();
        let held = self.jobs.values().filter(here).filter(|job| job.state.is_held()).count();
        prop_assert_eq!((state.delayed as usize, state.held as usize), (delayed, held));
        Ok(())
    }

    fn check_lists(&self) -> Result<(), TestCaseError> {
        for owner in OWNERS.map(Owner::new) {
            let mine = || self.jobs.values().filter(|job| job.owner == owner);
            let job_index = self.view.job_index(Some(&owner));
            let open = job_index.map_or(0, |job_index| job_index.open(None).count());
            let ended = job_index.map_or(0, |job_index| job_index.ended(None).count());
            prop_assert_eq!(open, mine().filter(|job| !job.state.is_terminal()).count());
            prop_assert_eq!(ended, mine().filter(|job| job.state.is_terminal()).count());
        }
        let listed: Vec<ListKey> = self.view.list(None, None).map(|(key, _)| key.clone()).collect();
        prop_assert_eq!(listed.len(), self.jobs.len());
        prop_assert!(listed.windows(2).all(|pair| pair[0] > pair[1]), "newest first");
        Ok(())
    }

    /// Workers come and do everything there is.
    fn finish(&mut self) -> Result<(), TestCaseError> {
        self.step(Step::Due)?;
        while !self.claims.is_empty() {
            self.claimed(0);
        }
        for _ in 0..=self.jobs.len() {
            while let Some(job) = self.pick(0, |job| job.state.is_held()) {
                let attempt = job.attempt;
                let cancelled = Change::Cancelled { by: "x".into() };
                let end = if job.state == State::Running {
                    Change::Succeeded { attempt, warnings: vec![] }
                } else {
                    cancelled
                };
                prop_assert!(self.change(&job, end));
            }
            if !self.claim(0, None)? {
                break;
            }
            self.claimed(0);
        }
        prop_assert!(self.jobs.values().all(|job| job.state.is_terminal()), "somebody is stuck");
        prop_assert_eq!(self.view.queues().count(), 0);
        Ok(())
    }
}

/// No owner is served twice while another one waits for its turn.
fn check_turns(upcoming: &[&Job]) -> Result<(), TestCaseError> {
    let mut left: BTreeMap<&Owner, (usize, usize)> = BTreeMap::new();
    upcoming.iter().for_each(|job| left.entry(&job.owner).or_default().0 += 1);
    for job in upcoming {
        let served = left.get_mut(&job.owner).map(|(left, served)| {
            (*left, *served) = (*left - 1, *served + 1);
            *served
        });
        let behind = left.values().filter(|(left, _)| *left > 0).map(|(_, served)| *served).min();
        prop_assert!(behind.is_none_or(|behind| served.unwrap() <= behind + 2), "{} has too many turns", job.owner);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_lines_and_lists_are_right_and_nobody_is_stuck(steps in vec(step(), 0..250)) {
        let mut world = World::default();
        for step in steps {
            world.step(step)?;
            world.check()?;
        }
        world.finish()?;
        world.check()?;
    }

    /// A view made from the newest entries alone is the view that was there.
    #[test]
    fn a_restart_finds_the_same_lines(steps in vec(step(), 0..120)) {
        let mut world = World::default();
        for step in steps {
            world.step(step)?;
        }
        while !world.claims.is_empty() {
            world.step(Step::ClaimLost(0))?;
        }
        world.step(Step::Due)?;
        let mut newest: BTreeMap<&JobId, &Entry> = BTreeMap::new();
        newest.extend(world.entries.iter().map(|entry| (&entry.key.job, entry)));
        let mut newest: Vec<&Entry> = newest.into_values().collect();
        newest.sort_by_key(|entry| entry.revision);
        let mut fresh = View::default();
        newest.into_iter().for_each(|entry| drop(fresh.apply(entry)));
        world.check_stored(&fresh)?;
        fresh.release_due(later());
        let shown = |view: &View| {
            let queues = view.queues().map(|queue| (queue.kind.to_owned(), queue.lane, queue.waiting, queue.delayed, queue.held));
            let mut queues: Vec<_> = queues.collect();
            queues.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
            // Whose turn it is begins again; each owner's jobs are in their order.
            let orders: Vec<BTreeMap<Owner, Vec<JobId>>> = queues.iter().map(|queue| {
                let mut order: BTreeMap<Owner, Vec<JobId>> = BTreeMap::new();
                for current in view.upcoming(&queue.0, queue.1, usize::MAX) {
                    order.entry(current.job.owner.clone()).or_default().push(current.job.id.clone());
                }
                order
            }).collect();
            (queues, orders)
        };
        prop_assert_eq!(shown(&fresh), shown(&world.view));
    }
}
