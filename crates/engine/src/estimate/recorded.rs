//! Estimates against recorded runs: documents as a PDF worker reads them, with children side by side, text pages of some
//! 40 ms, OCR pages of some 4 s, and attempts that end in the middle. What was told is compared with what came.
//!
//! Most recordings are made by [`Service`] from a seed: the same events at the same times with every run. One is real,
//! see [`TESSERACT`].

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use courant_joblog::apply::apply;
use courant_joblog::event::{AttemptCharge, Change, Event};
use courant_joblog::ids::{JobId, Revision, Timestamp, WorkerId};
use courant_joblog::job::{Job, JobError, Page, Zone, ZoneKind, ZoneStatus};
use courant_joblog::log::{Entry, Key, Record};
use tokio::time::Instant;

use super::*;
use crate::testing::queued;
use crate::view::RunningLimits;

/// What documents there are.
#[derive(Clone, Copy, Debug)]
struct Traffic {
    /// Of so many documents in a hundred, all pages are scans.
    scans: u32,
    /// Of the pages of all others, so many in a hundred.
    scanned_pages: u32,
    /// Pages a worker reads side by side.
    children: usize,
    /// Of so many attempts in a hundred, the worker goes away in the middle.
    lost: u32,
    /// Milliseconds between two documents, on average.
    every_ms: f64,
}

const TEXT: Traffic = Traffic { scans: 0, scanned_pages: 0, children: 1, lost: 0, every_ms: 1_200.0 };
const SCANS: Traffic = Traffic { scans: 100, every_ms: 45_000.0, ..TEXT };
const EITHER: Traffic = Traffic { scans: 40, every_ms: 22_000.0, ..TEXT };
const MIXED: Traffic = Traffic { scanned_pages: 30, every_ms: 15_000.0, ..TEXT };
const SIDE_BY_SIDE: Traffic = Traffic { children: 4, every_ms: 6_000.0, ..EITHER };
const MIXED_SIDE_BY_SIDE: Traffic = Traffic { children: 4, every_ms: 5_000.0, ..MIXED };
const RETRIED: Traffic = Traffic { lost: 30, ..EITHER };

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Arrive,
    Plan(JobId, u32),
    Page(JobId, u32, u32, u64),
    End(JobId, u32),
    Lost(JobId, u32),
    Ask,
}

/// A thing that was told at a time, or that nothing was.
type Sample = (i64, Option<Estimate>);

#[derive(Default)]
struct Story {
    /// Milliseconds of each page, and whether it is a scan.
    pages: Vec<(u64, bool)>,
    waits: Vec<Sample>,
    remains: Vec<Sample>,
    started: Option<i64>,
    ended: Option<i64>,
}

struct Service {
    traffic: Traffic,
    view: View,
    estimates: Estimates,
    clock: i64,
    revision: u64,
    random: fastrand::Rng,
    due: BinaryHeap<Reverse<(i64, u64, Next)>>,
    stories: HashMap<JobId, Story>,
    arriving: u32,
}

const WORKERS: [&str; 2] = ["w0", "w1"];
const ASK_EVERY: f64 = 250.0;

impl Service {
    fn run(seed: u64, traffic: Traffic, documents: u32) -> Vec<Story> {
        let mut service = Self {
            traffic,
            view: View::default(),
            estimates: Estimates::default(),
            clock: 1_000_000,
            revision: 0,
            random: fastrand::Rng::with_seed(seed),
            due: BinaryHeap::new(),
            stories: HashMap::new(),
            arriving: documents,
        };
        service.after(0.0, Next::Arrive);
        service.after(1.0, Next::Ask);
        while let Some(Reverse((at, _, next))) = service.due.pop() {
            service.clock = at;
            service.step(next);
            service.assign();
        }
        let mut stories: Vec<(JobId, Story)> = service.stories.into_iter().collect();
        stories.sort_by(|a, b| a.0.cmp(&b.0));
        stories.into_iter().map(|(_, story)| story).collect()
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

    fn in_hundred(&mut self, share: u32) -> bool {
        self.random.u32(0..100) < share
    }

    fn step(&mut self, next: Next) {
        let current = |service: &Self, id: &JobId, attempt: u32| {
            service
                .view
                .get(id)
                .is_some_and(|current| current.job.attempt == attempt && current.job.state == State::Running)
        };
        match next {
            Next::Arrive => self.arrive(),
            Next::Ask => self.ask(),
            Next::Plan(id, attempt) => self.plan(id, attempt),
            Next::Page(id, attempt, number, spent) if current(self, &id, attempt) => {
                let scan = self.stories[&id].pages[number as usize - 1].1;
                let tool = if scan { "ocr:tesseract" } else { "text-layer" };
                let page = Box::new(page(number, tool, spent));
                self.change(&id, Change::PageFinished { attempt, page });
            }
            Next::End(id, attempt) if current(self, &id, attempt) => {
                self.change(&id, Change::Succeeded { attempt, warnings: vec![] });
                self.stories.get_mut(&id).unwrap().ended = Some(self.clock);
            }
            Next::Lost(id, attempt) if current(self, &id, attempt) => {
                let error = JobError { code: "WORKER_LOST".into(), message: "x".into(), retryable: true };
                let not_before = Timestamp(self.clock);
                self.change(&id, Change::Retrying { attempt, error, not_before, charge: AttemptCharge::Free });
                // Nobody can foresee it: what was told before is not judged.
                self.stories.get_mut(&id).unwrap().remains.clear();
            }
            Next::Page(..) | Next::End(..) | Next::Lost(..) => {}
        }
    }

    fn arrive(&mut self) {
        let id = JobId::new(format!("J{:06}", self.stories.len()));
        let pages = (14.0 * self.about(0.6)).ceil() as u32;
        let (all, like) = (self.in_hundred(self.traffic.scans), self.about(0.25));
        let read = |service: &mut Self| {
            let scan = all || service.in_hundred(service.traffic.scanned_pages);
            let usual = if scan { 4_000.0 } else { 40.0 };
            ((usual * like * service.about(0.3)) as u64, scan)
        };
        let pages = (0..pages).map(|_| read(self)).collect();
        self.stories.insert(id.clone(), Story { pages, ..Story::default() });
        let mut job = queued(id.as_str(), "alice");
        (job.created, job.queued) = (Timestamp(self.clock), Timestamp(self.clock));
        self.apply_to_view(job, Event::new(Timestamp(self.clock), Change::Requeued { by: "x".into(), password: None }));
        self.arriving -= 1;
        if self.arriving > 0 {
            let gap = -self.traffic.every_ms * (1.0 - self.random.f64()).ln();
            self.after(gap, Next::Arrive);
        }
    }

    /// The document is open: its pages are read, so many side by side, each child taking the next one.
    fn plan(&mut self, id: JobId, attempt: u32) {
        let pages = self.stories[&id].pages.clone();
        self.change(&id, Change::Planned { attempt, pages: pages.len() as u32, lane: None, document: None });
        let done = self.view.get(&id).unwrap().job.pages.clone();
        let mut children = vec![0u64; self.traffic.children];
        for (number, (spent, _)) in (1u32..).zip(pages).filter(|(number, _)| !done.is_done(*number)) {
            let child = children.iter_mut().min().unwrap();
            *child += spent;
            let at = *child as f64;
            self.after(at, Next::Page(id.clone(), attempt, number, spent));
        }
        let read = children.iter().max().copied().unwrap_or(0) as f64;
        if self.in_hundred(self.traffic.lost) {
            let at = read * self.random.f64();
            self.after(at, Next::Lost(id.clone(), attempt));
        }
        let tail = (100.0 + 5.0 * self.stories[&id].pages.len() as f64) * self.about(0.2);
        self.after(read + tail, Next::End(id, attempt));
    }

    fn assign(&mut self) {
        for worker in WORKERS.map(WorkerId::new) {
            if self.view.held_count(&worker) > 0 {
                continue;
            }
            let Some(current) = self.view.take_next(&["pdf".into()], &RunningLimits::NONE, Instant::now()) else {
                return;
            };
            let (id, attempt) = (current.job.id.clone(), current.job.attempt + 1);
            self.change(&id, Change::Started { attempt, worker });
            self.view.give_back(&id);
            self.stories.get_mut(&id).unwrap().started.get_or_insert(self.clock);
            let head = 300.0 * self.about(0.2);
            self.after(head, Next::Plan(id, attempt));
        }
    }

    fn ask(&mut self) {
        let capacity = |worker: &str| {
            let worker = WorkerId::new(worker);
            let held = self.view.held_count(&worker);
            WorkerCapacity { worker, kinds: ["pdf".into()].into(), slots: 1, held }
        };
        let (now, workers) = (Moment(self.clock), WORKERS.map(capacity));
        self.estimates.update_pools(&self.view, &workers, now);
        for (id, story) in &mut self.stories {
            let current = self.view.get(id).unwrap();
            if let Some(position) = self.view.position(&current.job).filter(|_| story.started.is_none()) {
                let wait = self.estimates.wait(&self.view, "pdf", current.job.lane, position, now);
                story.waits.push((self.clock, wait));
            } else if current.job.state == State::Running {
                story.remains.push((self.clock, self.estimates.remaining(&current, now)));
            }
        }
        if !self.due.is_empty() {
            self.after(ASK_EVERY, Next::Ask);
        }
    }

    fn change(&mut self, id: &JobId, change: Change) {
        let old = self.view.get(id).unwrap().job.clone();
        let event = Event::new(Timestamp(self.clock), change);
        let job = apply(Some(&old), &event).unwrap();
        let waited = (self.clock - job.queued.0).unsigned_abs();
        self.estimates.learn(&event, &job, Moment(self.clock), waited);
        self.apply_to_view(job, event);
    }

    fn apply_to_view(&mut self, job: Job, event: Event) {
        self.revision += 1;
        let (key, record) = (Key::of(&job), Record::Changed { event, job: Arc::new(job) });
        self.view.apply(&Entry { revision: Revision(self.revision), key, record });
    }
}

fn page(number: u32, tool: &str, duration_ms: u64) -> Page {
    let (kind, status) = (ZoneKind::Paragraph, ZoneStatus::Completed);
    let (id, bbox, tool, note) = (format!("p{number}z1").into(), [0.0; 4], tool.into(), "".into());
    let zone = Zone { id, index: 1, page: number, bbox, kind, tool, status, confidence: 1.0, duration_ms, note };
    Page { number, width: 1.0, height: 1.0, zones: vec![zone], duration_ms, warnings: vec![] }
}

/// How good what was told was.
#[derive(Debug, Default)]
struct Accuracy {
    asked: usize,
    estimated: usize,
    within: usize,
    /// The longest while that something was told that was wrong by more than this factor, and more than that is short.
    wrong_ms: i64,
    /// How often, of all that was told.
    wrong: usize,
}

/// More than this factor is wrong, where it is more than these milliseconds.
const WRONG: (f64, f64) = (5.0, 1_500.0);

impl Accuracy {
    /// What was told of something that came at a time.
    fn add(&mut self, samples: &[Sample], came: i64) {
        let mut since = None;
        for (at, estimate) in samples {
            let real = (came - at) as f64;
            self.asked += 1;
            let Some(estimate) = estimate else {
                since = None;
                continue;
            };
            self.estimated += 1;
            // What is told to people is rounded to seconds.
            let within = estimate.low as f64 - 500.0 <= real && real <= estimate.high as f64 + 500.0;
            self.within += usize::from(within);
            let (less, more) = (real.min(estimate.ms as f64), real.max(estimate.ms as f64));
            if more > WRONG.0 * less && more - less > WRONG.1 {
                self.wrong += 1;
                let begin = *since.get_or_insert(*at);
                self.wrong_ms = self.wrong_ms.max(at - begin + ASK_EVERY as i64);
            } else {
                since = None;
            }
        }
    }

    /// 8 of 10 that came lay within the band, and what was told was hardly ever far off, nor for long.
    fn check(&self, min_estimated: f64, most_wrong: f64) {
        let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
        assert!(
            self.estimated > 50 && share(self.estimated, self.asked) >= min_estimated,
            "too few estimates: {self:?}"
        );
        assert!(share(self.within, self.estimated) >= 0.8, "not within the band: {self:?}");
        assert!(share(self.wrong, self.estimated) <= most_wrong, "far off too often: {self:?}");
    }
}

fn judge(traffic: Traffic) {
    let (mut waits, mut remains) = (Accuracy::default(), Accuracy::default());
    for seed in 0..2 {
        let stories = Service::run(seed, traffic, 120);
        // Before, it learns.
        for story in &stories[30..] {
            waits.add(&story.waits, story.started.unwrap());
            remains.add(&story.remains, story.ended.unwrap());
        }
    }
    println!("waits {waits:?}\nremains {remains:?}");
    waits.check(0.25, 0.06);
    remains.check(0.6, 0.05);
    assert!(remains.wrong_ms <= 12_000, "far off for long: {remains:?}");
}

#[test]
fn documents_of_text() {
    judge(TEXT);
}

#[test]
fn scans() {
    judge(SCANS);
}

#[test]
fn documents_that_are_either() {
    judge(EITHER);
}

#[test]
fn documents_with_some_scanned_pages() {
    judge(MIXED);
}

#[test]
fn pages_side_by_side() {
    judge(SIDE_BY_SIDE);
    judge(MIXED_SIDE_BY_SIDE);
}

#[test]
fn attempts_that_end_in_the_middle() {
    judge(RETRIED);
}

#[test]
fn nothing_is_said_before_the_first_page_of_a_document_that_may_be_either() {
    let stories = Service::run(3, EITHER, 120);
    let (mut early, mut scans) = (0, 0);
    for story in stories[40..].iter().filter(|story| story.pages[0].1) {
        scans += 1;
        let first = story.started.unwrap() + story.pages[0].0 as i64;
        let samples = |(at, estimate): &&Sample| *at < first && estimate.is_some_and(|estimate| estimate.high < 3_000);
        early += story.remains.iter().filter(samples).count();
    }
    assert!(
        scans > 10 && early <= scans,
        "of {scans} scans a short end was estimated {early} times before the first page"
    );
}

#[test]
fn kinds_and_workers_are_bounded_and_the_longest_unused_go() {
    let mut estimates = Estimates::default();
    let mut job = queued("J", "alice");
    for number in 0..MAX_KINDS + 10 {
        job.kind = format!("kind-{number}").into();
        estimates.kind(&job);
        // One that is used goes on.
        job.kind = "kind-0".into();
        estimates.kind(&job);
    }
    assert_eq!((estimates.kinds.len(), estimates.used.len()), (MAX_KINDS, MAX_KINDS));
    assert!(estimates.kinds.contains_key("kind-0") && !estimates.kinds.contains_key("kind-1"));
    let mut kind = KindModel::default();
    let worker = |number: usize| WorkerId::new(format!("w{number}"));
    for number in 0..3_000 {
        kind.learn_page(&worker(number), ReadMethod::Text, 40.0, 40.0);
        kind.learn_page(&worker(0), ReadMethod::Text, 400.0, 400.0);
    }
    assert!(kind.workers() <= 1024 && kind.factor(&worker(0)) > kind.factor(&worker(1)));
}

/// 14 documents as a real worker read them with tesseract 5, two pages at once on a shared machine of two processors: text
/// (120 pages), scans (4 and 6 pages), and documents with both. A line is the time in milliseconds, then what happened:
/// `start`, `plan PAGES`, `page NUMBER TOOL MILLISECONDS`, `end`.
const TESSERACT: &str = include_str!("tesseract.txt");

#[test]
fn documents_that_were_really_read() {
    let (mut view, mut estimates) = (View::default(), Estimates::default());
    let (mut job, mut revision, mut last) = (queued("J", "alice"), 0, 0);
    let (mut samples, mut documents, mut accuracy) = (Vec::new(), 0, Accuracy::default());
    for line in TESSERACT.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        let at = number(0) as i64;
        // What is told in between, as somebody sees it who looks every 250 ms.
        while last + (ASK_EVERY as i64) < at && job.state == State::Running {
            last += ASK_EVERY as i64;
            samples.push((last, estimates.remaining(&view.get(&job.id).unwrap(), Moment(last))));
        }
        let attempt = 1;
        let change = match words[1] {
            "start" => {
                documents += 1;
                job = queued(&format!("J{documents}"), "alice");
                Change::Started { attempt, worker: WorkerId::new("w") }
            }
            "plan" => Change::Planned { attempt, pages: number(2) as u32, lane: None, document: None },
            "page" => Change::PageFinished { attempt, page: Box::new(page(number(2) as u32, words[3], number(4))) },
            _ => Change::Succeeded { attempt, warnings: vec![] },
        };
        let event = Event::new(Timestamp(at), change);
        job = apply(Some(&job), &event).unwrap();
        estimates.learn(&event, &job, Moment(at), 0);
        revision += 1;
        let (key, record) = (Key::of(&job), Record::Changed { event, job: Arc::new(job.clone()) });
        view.apply(&Entry { revision: Revision(revision), key, record });
        last = at;
        if job.state == State::Running {
            samples.push((at, estimates.remaining(&view.get(&job.id).unwrap(), Moment(at))));
        } else if documents > 3 {
            accuracy.add(&std::mem::take(&mut samples), at);
        } else {
            samples.clear();
        }
    }
    println!("{documents} documents: {accuracy:?}");
    // At the end of a document nobody knows how far the pages under way are.
    accuracy.check(0.25, 0.09);
    assert!(accuracy.wrong_ms <= 3_000, "far off for long: {accuracy:?}");
}
