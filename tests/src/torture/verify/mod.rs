//! The report: from what clients were told to what must not have happened. Pure: it reads records and nothing else.
//!
//! It reads them twice. First everything becomes one [`truth`]: what is in the history at the end, and whatever anybody
//! heard beside it. Then each watch is held against that truth, which needs little memory however long the run was.

pub mod answers;
pub mod attempts;
pub mod hooks;
pub mod story;
pub mod truth;
pub mod watches;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::record::{Line, Record, RecordPosition};

/// What is promised, by the names that `docs/guarantees.md` links to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Within a watch and over its resumes revisions grow.
    Ordered,
    /// No durable event comes twice.
    Unique,
    /// A watch hears every durable event of its scope, between any two that it heard and up to a `live`.
    Reliable,
    /// A watch from the cursor of a submit begins with the job's first event.
    Atomic,
    /// A watch from the cursor of any event misses nothing, on every transport.
    Resumable,
    /// So does one from the cursor of a mark.
    Bookmarkable,
    /// The same revision has the same content for everybody, at any time, on every transport.
    SameContent,
    /// What anybody has heard is in the history at the end.
    Durable,
    /// A submit that was answered has its job in the history, and its document can be read.
    Acknowledged,
    /// What a worker reported and the server acknowledged is in the history.
    Reports,
    /// The same request id gives the same job, another one another job.
    SameRequest,
    /// An attempt is given to one worker, once, and to the one that the event names.
    OneAttempt,
    /// A worker that has been silent for longer than a lease is given nothing before it speaks again.
    Silent,
    /// What an attempt that is over reports is refused and leaves no trace.
    Fenced,
    /// Events of a job follow each other by the legal moves.
    Legal,
    /// A job reaches one end; only a retry by hand leads out of it.
    Once,
    /// Percent never goes back within an attempt.
    Percent,
    /// The job in an event is what its events add up to.
    Snapshot,
    /// An answer is a state from the history and not older than what the caller knew.
    Reads,
    /// Every job ends once the faults have stopped.
    Ends,
    /// The results and pages of a job that ended well can be read, and are the ones that its attempts wrote.
    Results,
    /// Nobody sees a stranger's job.
    Isolated,
    /// A webhook receives every event of its user's jobs, each job's in order, and again under the same id only.
    Webhooks,
}

impl Rule {
    /// All of them, in the order of the guarantees.
    pub const ALL: [Self; 23] = [
        Self::Ordered,
        Self::Unique,
        Self::Reliable,
        Self::Atomic,
        Self::Resumable,
        Self::Bookmarkable,
        Self::SameContent,
        Self::Durable,
        Self::Acknowledged,
        Self::Reports,
        Self::SameRequest,
        Self::OneAttempt,
        Self::Silent,
        Self::Fenced,
        Self::Legal,
        Self::Once,
        Self::Percent,
        Self::Snapshot,
        Self::Reads,
        Self::Ends,
        Self::Results,
        Self::Isolated,
        Self::Webhooks,
    ];

    /// The name in tables and documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Unique => "unique",
            Self::Reliable => "reliable",
            Self::Atomic => "atomic",
            Self::Resumable => "resumable",
            Self::Bookmarkable => "bookmarkable",
            Self::SameContent => "same-content",
            Self::Durable => "durable-before-heard",
            Self::Acknowledged => "acknowledged-submits",
            Self::Reports => "acknowledged-reports",
            Self::SameRequest => "same-request-same-job",
            Self::OneAttempt => "one-attempt",
            Self::Silent => "silent-gets-nothing",
            Self::Fenced => "fenced",
            Self::Legal => "legal-moves",
            Self::Once => "ends-once",
            Self::Percent => "percent-never-back",
            Self::Snapshot => "snapshot-is-sum",
            Self::Reads => "reads",
            Self::Ends => "every-job-ends",
            Self::Results => "results",
            Self::Isolated => "isolated",
            Self::Webhooks => "webhooks",
        }
    }
}

/// Something that must not have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise was broken.
    pub rule: Rule,
    /// How, in a sentence.
    pub what: String,
    /// The records that show it.
    pub places: Vec<RecordPosition>,
}

/// All violations of a run, and what was looked at.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// The first ones of each rule; more are only counted.
    pub violations: Vec<Violation>,
    /// How many there were by rule.
    pub counts: BTreeMap<Rule, u64>,
    /// What was looked at, for the table.
    pub seen: Seen,
}

/// What was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Jobs in the history.
    pub jobs: u64,
    /// Durable events in the history.
    pub events: u64,
    /// Durable events that clients heard.
    pub heard: u64,
    /// News that clients heard.
    pub news: u64,
    pub watches: u64,
    /// Of these, watches from a cursor.
    pub resumes: u64,
    /// Gaps that were told.
    pub gaps: u64,
    /// Attempts that workers of the tool were given.
    pub attempts: u64,
    /// Parts of attempts that workers of the tool were given.
    pub parts: u64,
    /// Reports of workers of the tool that were acknowledged.
    pub reports: u64,
    /// Reports on attempts that were over.
    pub late: u64,
    /// Calls on strangers' jobs.
    pub probes: u64,
    /// Results that were read.
    pub results: u64,
    /// Events that came to webhooks, repeats too.
    pub hooks: u64,
    /// Faults by their first word.
    pub faults: BTreeMap<String, u64>,
}

/// How many violations of a rule are kept with their places.
const KEPT: u64 = 10;

impl VerifyReport {
    pub fn add_violation(&mut self, rule: Rule, places: &[&RecordPosition], what: String) {
        let count = self.counts.entry(rule).or_default();
        *count += 1;
        if *count <= KEPT {
            let places = places.iter().map(|place| (*place).clone()).collect();
            self.violations.push(Violation { rule, what, places });
        }
    }

    /// How many violations there were.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}

/// Hands over all records, as often as it is asked to.
pub trait Records {
    /// Calls `take` with each record, in the order of each client.
    fn each(&self, take: &mut dyn FnMut(&RecordPosition, &Line)) -> anyhow::Result<()>;
}

/// The records of a folder.
pub struct Kept<'a>(pub &'a std::path::Path);

impl Records for Kept<'_> {
    fn each(&self, take: &mut dyn FnMut(&RecordPosition, &Line)) -> anyhow::Result<()> {
        super::record::read(self.0, |place, line| take(place, &line))
    }
}

/// Judges a run by its records.
pub fn verify(records: &impl Records) -> anyhow::Result<VerifyReport> {
    let mut report = VerifyReport::default();
    let mut truth = truth::Truth::default();
    let mut answers = answers::Answers::default();
    let mut attempts = attempts::Attempts::default();
    let mut hooks = hooks::Hooks::default();
    records.each(&mut |place, line| {
        count(&mut report.seen, &line.record);
        truth.take(place, &line.record, &mut report);
        answers.take(place, &line.record, &mut report);
        attempts.take(place, &line.record, &mut report);
        hooks.take(place, &line.record, &mut report);
    })?;
    truth.finish(&mut report);
    story::check(&truth, &mut report);
    answers.check(&truth, &mut report);
    attempts.check(&truth, &mut report);
    hooks.check(&truth, &mut report);
    let mut watches = watches::Watches::new(&truth);
    records.each(&mut |place, line| {
        watches.take(place, &line.record, &mut report);
        answers.take_again(place, &line.record, &truth, &mut report);
    })?;
    report.seen.jobs = truth.jobs.len() as u64;
    report.seen.events = truth.events.len() as u64;
    report.violations.sort_by_key(|violation| violation.rule);
    Ok(report)
}

fn count(seen: &mut Seen, record: &Record) {
    match record {
        Record::Fault { what } => {
            *seen.faults.entry(what.split(' ').next().unwrap_or_default().to_owned()).or_default() += 1;
        }
        Record::Heard { .. } => seen.heard += 1,
        Record::News { .. } => seen.news += 1,
        Record::Open { after, .. } => {
            seen.watches += 1;
            seen.resumes += u64::from(*after != super::record::After::Nothing);
        }
        Record::Gap { .. } => seen.gaps += 1,
        Record::Assigned { .. } => seen.attempts += 1,
        Record::Part { .. } => seen.parts += 1,
        Record::Late { .. } => seen.late += 1,
        Record::Probe { .. } => seen.probes += 1,
        Record::Result { .. } => seen.results += 1,
        _ => {}
    }
}
