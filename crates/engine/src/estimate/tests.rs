//! Estimates against a simulated service: jobs of unequal length on workers of unequal speed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use courant_joblog::apply::apply;
use courant_joblog::event::{Change, Event};
use courant_joblog::ids::{JobId, Revision, Timestamp, WorkerId};
use courant_joblog::job::Page;
use courant_joblog::log::{Entry, Key, Record};
use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::testing::queued;
use crate::view::{PagesLeft, QueueState, RunningLimits};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Arrive,
    Plan(JobId),
    Page(JobId, u32),
    End(JobId),
}

/// What was estimated, and what came: milliseconds.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    estimated: Estimate,
    came: f64,
}

struct Sim {
    view: View,
    estimates: Estimates,
    clock: i64,
    revision: u64,
    random: fastrand::Rng,
    due: BinaryHeap<Reverse<(i64, u64, Next)>>,
    jobs: HashMap<JobId, Truth>,
    workers: Vec<(WorkerId, f64)>,
    arriving: u32,
    every_ms: f64,
    waits: Vec<Outcome>,
    remains: Vec<Outcome>,
}

/// What only the simulation knows of a job.
struct Truth {
    pages: u32,
    page_ms: f64,
    wait: Option<Estimate>,
    estimated: Vec<(i64, Estimate)>,
}

impl Sim {
    fn new(seed: u64, workers: &[f64], arriving: u32, every_ms: f64) -> Self {
        let named = |(n, speed): (usize, &f64)| (WorkerId::new(format!("w{n}")), *speed);
        let mut sim = Self {
            view: View::default(),
            estimates: Estimates::default(),
            clock: 1_000_000,
            revision: 0,
            random: fastrand::Rng::with_seed(seed),
            due: BinaryHeap::new(),
            jobs: HashMap::new(),
            workers: workers.iter().enumerate().map(named).collect(),
            arriving,
            every_ms,
            waits: vec![],
            remains: vec![],
        };
        sim.after(0.0, Next::Arrive);
        sim
    }

    fn run(mut self) -> Self {
        while let Some(Reverse((at, _, next))) = self.due.pop() {
            self.clock = at;
            self.step(next);
            self.assign();
        }
        self
    }

    fn after(&mut self, ms: f64, next: Next) {
        self.revision += 1;
        self.due.push(Reverse((self.clock + ms as i64, self.revision, next)));
    }

    /// Around 1, spread like the logarithm says.
    fn about(&mut self, spread: f64) -> f64 {
        let normal = (0..12).map(|_| self.random.f64()).sum::<f64>() - 6.0;
        (normal * spread).exp()
    }

    fn step(&mut self, next: Next) {
        match next {
            Next::Arrive => self.arrive(),
            Next::Plan(id) => {
                let pages = self.jobs[&id].pages;
                self.change(&id, |attempt| Change::Planned { attempt, pages, lane: None, document: None });
                self.next_page(&id, 1);
            }
            Next::Page(id, number) => {
                let page = Page { number, width: 1.0, height: 1.0, zones: vec![], duration_ms: 1, warnings: vec![] };
                self.change(&id, |attempt| Change::PageFinished { attempt, page: Box::new(page) });
                self.record_estimate(&id);
                self.next_page(&id, number + 1);
            }
            Next::End(id) => {
                self.change(&id, |attempt| Change::Succeeded { attempt, warnings: vec![] });
                let came = |(at, estimated): &(i64, Estimate)| Outcome {
                    estimated: *estimated,
                    came: (self.clock - at) as f64,
                };
                self.remains.extend(self.jobs[&id].estimated.iter().map(came));
            }
        }
    }

    fn arrive(&mut self) {
        let id = JobId::new(format!("J{:06}", self.jobs.len()));
        let mut job = queued(id.as_str(), "alice");
        let pages = (10.0 * self.about(0.7)).ceil() as u32;
        (job.created, job.queued) = (Timestamp(self.clock), Timestamp(self.clock));
        job.pages.expected = self.random.bool().then_some(pages);
        let page_ms = 200.0 * self.about(0.3);
        self.apply_to_view(job);
        self.update_pools();
        let current = self.view.get(&id).unwrap().job.clone();
        let position = self.view.position(&current).unwrap();
        let wait = self.estimates.wait(&self.view, "pdf", current.lane, position, Moment(self.clock));
        self.jobs.insert(id, Truth { pages, page_ms, wait, estimated: vec![] });
        self.arriving -= 1;
        if self.arriving > 0 {
            let gap = -self.every_ms * (1.0 - self.random.f64()).ln();
            self.after(gap, Next::Arrive);
        }
    }

    fn update_pools(&mut self) {
        let capacity = |(worker, _): &(WorkerId, f64)| WorkerCapacity {
            worker: worker.clone(),
            kinds: ["pdf".into()].into(),
            slots: 1,
            held: self.view.held_count(worker),
        };
        let workers: Vec<WorkerCapacity> = self.workers.iter().map(capacity).collect();
        self.estimates.update_pools(&self.view, &workers, Moment(self.clock));
    }

    fn assign(&mut self) {
        for (worker, _) in self.workers.clone() {
            if self.view.held_count(&worker) > 0 {
                continue;
            }
            let Some(current) = self.view.take_next(&["pdf".into()], &RunningLimits::NONE, Instant::now()) else {
                return;
            };
            let id = current.job.id.clone();
            self.change(&id, |attempt| Change::Started { attempt: attempt + 1, worker });
            let came = (self.clock - current.job.queued.0) as f64;
            self.waits.extend(self.jobs[&id].wait.map(|estimated| Outcome { estimated, came }));
            self.record_estimate(&id);
            let head = 300.0 * self.about(0.2);
            self.after(head, Next::Plan(id));
        }
    }

    fn next_page(&mut self, id: &JobId, number: u32) {
        let worker = self.view.get(id).unwrap().job.worker.clone().unwrap();
        let speed = self.workers.iter().find(|(known, _)| *known == worker).unwrap().1;
        let Truth { pages, page_ms, .. } = self.jobs[id];
        if number > pages {
            let tail = (200.0 + 20.0 * f64::from(pages)) * self.about(0.2);
            return self.after(tail, Next::End(id.clone()));
        }
        let ms = page_ms * speed * self.about(0.3);
        self.after(ms, Next::Page(id.clone(), number));
    }

    /// Notes what is said now of how long a job will take.
    fn record_estimate(&mut self, id: &JobId) {
        let estimated = self.estimates.remaining(&self.view.get(id).unwrap(), Moment(self.clock));
        self.jobs.get_mut(id).unwrap().estimated.extend(estimated.map(|estimated| (self.clock, estimated)));
    }

    fn change(&mut self, id: &JobId, change: impl FnOnce(u32) -> Change) {
        let job = self.view.get(id).unwrap().job.clone();
        let event = Event::new(Timestamp(self.clock), change(job.attempt));
        let job = apply(Some(&job), &event).unwrap();
        let stayed = if job.state == State::Running && matches!(event.change, Change::Started { .. }) {
            (self.clock - job.queued.0).unsigned_abs()
        } else {
            0
        };
        self.estimates.learn(&event, &job, Moment(self.clock), stayed);
        self.apply_to_view(job);
    }

    fn apply_to_view(&mut self, job: Job) {
        self.revision += 1;
        let event = Event::new(Timestamp(0), Change::Requeued { by: "x".into(), password: None });
        let key = Key::of(&job);
        let record = Record::Changed { event, job: Arc::new(job) };
        self.view.apply(&Entry { revision: Revision(self.revision), key, record });
    }
}

/// How many of those that came lay within the band, and the mean of the misses (as a logarithm).
fn accuracy(outcomes: &[Outcome]) -> (f64, f64) {
    let within =
        |outcome: &&Outcome| (outcome.estimated.low as f64..=outcome.estimated.high as f64).contains(&outcome.came);
    let miss = |outcome: &Outcome| ((outcome.came + 500.0) / (outcome.estimated.ms as f64 + 500.0)).ln();
    let count = outcomes.len() as f64;
    (outcomes.iter().filter(within).count() as f64 / count, outcomes.iter().map(miss).sum::<f64>() / count)
}

#[test]
fn waits_come_true_and_their_bands_hold_what_they_say() {
    // A busy service with queues that come and go: four workers that manage a job in about three seconds each.
    let sim = Sim::new(7, &[0.7, 1.0, 1.0, 1.5], 1500, 950.0).run();
    let (within, miss) = accuracy(&sim.waits[300..]);
    assert!((0.68..=0.97).contains(&within), "{within} of {} within the band", sim.waits.len());
    assert!(miss.abs() < 0.2, "on the whole off by {miss}");
    assert!(sim.waits[300..].iter().filter(|outcome| outcome.came > 5_000.0).count() > 200, "nobody had to wait");
}

#[test]
fn a_long_line_is_estimated_from_its_end() {
    let mut sim = Sim::new(3, &[1.0, 1.0], 100, 2_000.0).run();
    (sim.arriving, sim.every_ms) = (400, 0.0);
    sim.waits.clear();
    sim.after(0.0, Next::Arrive);
    let sim = sim.run();
    let (within, miss) = accuracy(&sim.waits[50..]);
    assert!(miss.abs() < 0.15 && within > 0.6, "{within} within, off by {miss}");
}

#[test]
fn what_remains_comes_true_and_the_band_holds_what_it_says() {
    let sim = Sim::new(11, &[0.6, 1.0, 1.8], 600, 1_600.0).run();
    let (within, miss) = accuracy(&sim.remains[2_000..]);
    assert!((0.65..=0.97).contains(&within), "{within} of {} within the band", sim.remains.len());
    assert!(miss.abs() < 0.15, "on the whole off by {miss}");
}

#[test]
fn a_running_job_is_judged_by_its_own_worker() {
    let mut sim = Sim::new(5, &[0.5, 2.0], 200, 2_500.0).run();
    let mut remaining = Vec::new();
    for worker in ["w0", "w1"] {
        let mut job = queued(worker, "alice");
        job.pages.expected = Some(50);
        sim.apply_to_view(job);
        let (id, worker) = (JobId::new(worker), WorkerId::new(worker));
        sim.change(&id, |attempt| Change::Started { attempt: attempt + 1, worker });
        remaining.push(sim.estimates.remaining(&sim.view.get(&id).unwrap(), Moment(sim.clock)).unwrap().ms);
    }
    let ratio = remaining[1] as f64 / remaining[0] as f64;
    assert!((2.5..6.0).contains(&ratio), "{remaining:?}");
}

#[test]
fn nothing_is_said_of_waits_while_no_worker_is_there_or_nothing_was_measured() {
    let mut sim = Sim::new(5, &[1.0], 1, 0.0);
    sim.step(Next::Arrive);
    assert!(sim.jobs.values().all(|job| job.wait.is_none()), "nothing measured");
    let mut sim = Sim::new(5, &[1.0], 20, 10.0).run();
    sim.workers.clear();
    sim.arriving = 1;
    sim.step(Next::Arrive);
    assert!(sim.jobs.values().filter(|job| job.wait.is_none()).count() >= 2);
}

#[test]
fn a_kind_without_pages_is_judged_by_whole_jobs() {
    let mut sim = Sim::new(5, &[1.0], 1, 0.0);
    for n in 0..20 {
        let id = JobId::new(format!("K{n}"));
        sim.apply_to_view(queued(id.as_str(), "alice"));
        sim.change(&id, |attempt| Change::Started { attempt: attempt + 1, worker: WorkerId::new("w0") });
        if n == 19 {
            sim.clock += 1_000;
            let left = sim.estimates.remaining(&sim.view.get(&id).unwrap(), Moment(sim.clock)).unwrap();
            assert!((2_500..=3_500).contains(&left.ms), "{left:?}");
        }
        sim.clock += 4_000;
        sim.change(&id, |attempt| Change::Succeeded { attempt, warnings: vec![] });
    }
    sim.update_pools();
    let queue = QueueState { waiting: Load::of(None), ..QueueState::empty("pdf", Lane::Normal) };
    let wait = sim.estimates.wait(&sim.view, "pdf", Lane::Normal, queue.end(), Moment(sim.clock)).unwrap();
    assert!((3_500..=4_500).contains(&wait.ms), "one job ahead takes four seconds: {wait:?}");
}

#[test]
fn a_lane_waits_for_the_share_that_others_take() {
    let mut sim = Sim::new(5, &[1.0], 200, 5_000.0).run();
    let waiting = |sim: &mut Sim, lane: Lane, count: usize| {
        for n in 0..count {
            let mut job = queued(&format!("{lane:?}{n}"), "alice");
            job.lane = lane;
            sim.apply_to_view(job);
        }
        sim.update_pools();
        let queue = sim.view.queue("pdf", Lane::Large);
        sim.estimates.wait(&sim.view, "pdf", Lane::Large, queue.end(), Moment(sim.clock)).unwrap().ms as f64
    };
    let alone = waiting(&mut sim, Lane::Large, 9);
    let beside_few = waiting(&mut sim, Lane::Premium, 9);
    assert!((1.8..2.2).contains(&(beside_few / alone)), "nine of premium come first: {alone} {beside_few}");
    let beside_many = waiting(&mut sim, Lane::Premium, 1_000);
    assert!((6.0..8.5).contains(&(beside_many / alone)), "six of premium come before each: {alone} {beside_many}");
}

fn load() -> impl Strategy<Value = Vec<PagesLeft>> {
    proptest::collection::vec(proptest::option::of(0u32..5_000), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn more_work_ahead_never_means_less_wait(
        seed in 0u64..8, jobs in 1u32..60, ahead in load(), more in proptest::option::of(0u32..5_000),
    ) {
        let mut sim = Sim::new(seed, &[0.5, 1.0, 2.0], jobs, 300.0).run();
        sim.update_pools();
        let wait = |waiting: &[PagesLeft]| {
            let waiting = waiting.iter().map(|pages| Load::of(*pages)).sum();
            let queue = QueueState { waiting, ..QueueState::empty("pdf", Lane::Normal) };
            sim.estimates.wait(&sim.view, "pdf", Lane::Normal, queue.end(), Moment(sim.clock)).unwrap()
        };
        let (now, then) = (wait(&ahead), wait(&[&ahead[..], &[more]].concat()));
        prop_assert!(now.ms <= then.ms && now.high <= then.high, "{now:?} {then:?}");
        prop_assert!(now.low <= now.ms && now.ms <= now.high);
        // One document that has a page more.
        if let Some(pages) = more {
            let longer = wait(&[&ahead[..], &[Some(pages + 1)]].concat());
            prop_assert!(then.ms <= longer.ms && then.high <= longer.high);
        }
    }
}
