//! How queues behave with many waiting jobs: `cargo run --release -p courant-engine --example queues [MOST]`.
//!
//! For a thousand waiting jobs up to a million, side by side: what it takes to read a place, to submit a job, and to give
//! one to a worker; what a start takes; and what a job takes in memory. Only the view: no disk, no network.
//!
//! A job is also found by its id, which is one step in a hash table however many there are: it shows what the memory of
//! the machine adds when less and less of the data lies in the processor's caches.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use courant_engine::view::{RunningLimits, View};
use courant_joblog::apply::apply;
use courant_joblog::event::{Change, Event, Submission};
use courant_joblog::ids::{DocumentId, JobId, Revision, Timestamp, WorkerId};
use courant_joblog::job::{Document, Job, Lane};
use courant_joblog::log::{Entry, Key, Record};
use courant_joblog::samples;

/// Each figure is the mean of so many.
const TIMES: usize = 20_000;
const OWNERS: usize = 1000;

fn main() {
    let most = std::env::args().nth(1).and_then(|most| most.parse().ok()).unwrap_or(1_000_000);
    println!(
        "Beside each time is how many times that of the first row it is; log n would be as many as in the last column, and one step would be 1.0.\n"
    );
    println!("| waiting jobs | find a job | read a place | submit | claim | start | memory a job | log n |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let sizes = std::iter::successors(Some(1000usize), |size| Some(size * 10));
    let mut first: Option<Row> = None;
    for size in sizes.take_while(|size| *size <= most) {
        let row = measure(size);
        let base = *first.get_or_insert(row);
        let beside = |now: Duration, then: Duration| {
            format!("{:.2} µs ({:.1}×)", now.as_secs_f64() * 1e6, now.as_secs_f64() / then.as_secs_f64())
        };
        println!(
            "| {size} | {} | {} | {} | {} | {:.0} ms | {} bytes | {:.1}× |",
            beside(row.find, base.find),
            beside(row.position, base.position),
            beside(row.submit, base.submit),
            beside(row.claim, base.claim),
            row.start.as_secs_f64() * 1e3,
            row.bytes,
            (size as f64).ln() / 1000f64.ln(),
        );
    }
}

#[derive(Clone, Copy)]
struct Row {
    find: Duration,
    position: Duration,
    submit: Duration,
    claim: Duration,
    start: Duration,
    bytes: usize,
}

fn measure(size: usize) -> Row {
    let before = resident_bytes();
    let (mut view, mut start) = (View::default(), Duration::ZERO);
    for number in 1..=size as u64 {
        let entry = submitted(number);
        start += timed(|| drop(view.apply(&entry)));
    }
    let bytes = resident_bytes().saturating_sub(before) / size;
    let jobs: Vec<Arc<Job>> =
        view.list(None, None).filter_map(|(_, known)| Some(known.unfinished()?.job.clone())).collect();

    let mut random = fastrand::Rng::with_seed(1);
    let find = mean(TIMES, |_| {
        black_box(view.get(&jobs[random.usize(..size)].id).map(|known| known.job.queued));
    });
    let position = mean(TIMES, |_| {
        black_box(view.position(&jobs[random.usize(..size)]));
    });
    let mut bench = Bench { view, revision: size as u64 };
    // As many go as come: the line keeps its length.
    let (mut submit, mut claim) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..TIMES {
        bench.revision += 1;
        let entry = submitted(bench.revision);
        submit += timed(|| drop(bench.view.apply(&entry)));
        claim += bench.claim();
    }
    // Kept, so that the next size does not live in what this one gave back.
    std::mem::forget((bench, jobs));
    Row { find, position, submit: submit / TIMES as u32, claim: claim / TIMES as u32, start, bytes }
}

struct Bench {
    view: View,
    revision: u64,
}

impl Bench {
    /// Takes the next job and brings it to a worker: what the server does for a claim, without the log. Then the job is done
    /// with.
    fn claim(&mut self) -> Duration {
        let kinds: [Box<str>; 1] = ["pdf".into()];
        let (slots, mut taken) = (BTreeMap::from([(kinds[0].clone(), 100)]), None);
        let limits = RunningLimits { share: 0.75, running: u32::MAX, slots: &slots, kinds: &BTreeMap::new() };
        let mut spent = timed(|| taken = self.view.take_next(&kinds, &limits, Instant::now().into()));
        let job = taken.expect("somebody waits").job;
        let started = self.entry(&job, Change::Started { attempt: 1, worker: WorkerId::new("w") });
        spent += timed(|| drop(self.view.apply(&started)));
        let job = job_of(started);
        let ended = self.entry(&job, Change::Succeeded { attempt: 1, warnings: vec![] });
        self.view.apply(&ended);
        self.revision += 1;
        self.view.apply(&Entry { revision: Revision(self.revision), key: Key::of(&job), record: Record::Forgotten });
        spent
    }

    fn entry(&mut self, job: &Job, change: Change) -> Entry {
        self.revision += 1;
        let event = Event::new(Timestamp(self.revision as i64), change);
        entry(self.revision, apply(Some(job), &event).expect("a legal move"), event)
    }
}

fn timed(what: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    what();
    begun.elapsed()
}

fn mean(times: usize, mut what: impl FnMut(usize)) -> Duration {
    timed(|| (0..times).for_each(&mut what)) / times as u32
}

fn submitted(number: u64) -> Entry {
    let owner = format!("owner-{}", number as usize % OWNERS);
    let submission = Submission {
        document: Document {
            id: DocumentId::new(format!("document-{number}")),
            name: format!("document-{number}.pdf").into(),
            bytes: 1 << 20,
            sha256: "0".repeat(64).into(),
        },
        lane: Lane::ALL[number as usize % Lane::ALL.len()],
        pages: number.is_multiple_of(2).then_some(number as u32 % 100),
        ..samples::minimal_submission(JobId::random().as_str(), &owner)
    };
    let event = Event::new(Timestamp(number as i64), Change::Submitted(Box::new(submission)));
    let job = apply(None, &event).expect("a submission");
    // The log keeps the event, the view does not: a small one stands for it.
    entry(number, job, Event::new(event.at, Change::Requeued { by: "x".into(), password: None }))
}

fn entry(revision: u64, job: Job, event: Event) -> Entry {
    let record = Record::Changed { event, job: Arc::new(job) };
    let Record::Changed { job, .. } = &record else { unreachable!("it was made just now") };
    Entry { revision: Revision(revision), key: Key::of(job), record }
}

fn job_of(entry: Entry) -> Arc<Job> {
    match entry.record {
        Record::Changed { job, .. } => job,
        Record::Forgotten => unreachable!("nothing was forgotten"),
    }
}

/// What this process has in memory; 0 where that cannot be read.
fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}
