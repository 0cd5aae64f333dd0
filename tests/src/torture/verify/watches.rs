//! Each watch against the truth: what it heard next must be what happens next in its scope.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::fact::{DELETED, Fact, is_end};
use super::super::record::{After, Closed, Record, RecordPosition, Scope, Via};
use super::story::tenths;
use super::truth::{Truth, name};
use super::{Rule, VerifyReport};

/// The user that may see everything.
pub const ADMIN: &str = "admin";

/// All watches that are open at a place of the records.
pub struct Watches<'a> {
    truth: &'a Truth,
    open: HashMap<u64, Watch>,
}

struct Watch {
    place: RecordPosition,
    user: String,
    scope: Scope,
    via: Via,
    after: After,
    last: bool,
    /// Everything up to here was told.
    at: i64,
    /// Nothing but these snapshots was told. What they do not show may have happened before: which of the jobs that have
    /// ended are shown depends on the server's clock.
    vague: Option<HashMap<String, i64>>,
    heard: HashSet<i64>,
    /// Skipped, and what was told instead.
    missed: BTreeMap<i64, RecordPosition>,
    /// The percent last told, by job and attempt.
    percent: HashMap<String, (i32, i64, RecordPosition)>,
    /// Zones of a page that has not come yet.
    zones: i32,
}

impl<'a> Watches<'a> {
    /// Judges by this truth.
    pub fn new(truth: &'a Truth) -> Self {
        Self { truth, open: HashMap::new() }
    }

    /// Takes in a record of the second pass.
    pub fn take(&mut self, place: &RecordPosition, record: &Record, report: &mut VerifyReport) {
        if let Record::Open { seg, user, scope, via, after, last } = record {
            let watch = Watch::open(self.truth, place, (user, scope), *via, after, *last);
            self.open.insert(*seg, watch);
            return;
        }
        let Some(seg) = seg(record) else { return };
        if let Record::Closed { how, .. } = record {
            if let Some(watch) = self.open.remove(&seg) {
                watch.close(self.truth, place, how, report);
            }
            return;
        }
        let Some(watch) = self.open.get_mut(&seg) else { return };
        match record {
            Record::Heard { fact, .. } => watch.observe(self.truth, place, fact, report),
            Record::Snapshot { fact, .. } => watch.snapshot(self.truth, place, fact, report),
            Record::News { job, att, pct, .. } => watch.percent(place, job, *att, *pct, report),
            Record::Zone { .. } => watch.zones += 1,
            Record::Gap { reason, .. } => watch.gap(self.truth, place, reason, report),
            Record::Live { .. } if watch.last && self.truth.ended => watch.skip(self.truth, i64::MAX, place),
            // The bridge comes back to a source that may have forgotten live news.
            Record::Stalled { .. } => watch.percent.clear(),
            _ => {}
        }
    }
}

fn seg(record: &Record) -> Option<u64> {
    match record {
        Record::Snapshot { seg, .. }
        | Record::Heard { seg, .. }
        | Record::Zone { seg, .. }
        | Record::News { seg, .. }
        | Record::Live { seg }
        | Record::Bookmark { seg }
        | Record::Stalled { seg }
        | Record::Gap { seg, .. }
        | Record::Closed { seg, .. } => Some(*seg),
        _ => None,
    }
}

impl Watch {
    fn open(truth: &Truth, place: &RecordPosition, who: (&str, &Scope), via: Via, after: &After, last: bool) -> Self {
        let (at, vague) = match after {
            After::Nothing => (0, Some(HashMap::new())),
            After::Event(at) | After::Mark(at) => (*at, None),
            After::Snapshots(at) => (*at, Some(HashMap::new())),
            After::Submit(job) => (truth.first(job).map_or(0, |first| first - 1), None),
        };
        let (user, scope) = (who.0.to_owned(), who.1.clone());
        Self {
            place: place.clone(),
            user,
            scope,
            via,
            after: after.clone(),
            last,
            at,
            vague,
            heard: HashSet::new(),
            missed: BTreeMap::new(),
            percent: HashMap::new(),
            zones: 0,
        }
    }

    fn observe(&mut self, truth: &Truth, place: &RecordPosition, fact: &Fact, report: &mut VerifyReport) {
        self.may_see(truth, place, fact, report);
        if self.via != Via::Grpc && std::mem::take(&mut self.zones) != fact.pz {
            let what = format!("{}: not the {} zones of {} came before it", fact.job, fact.pz, name(fact));
            report.add_violation(Rule::Reliable, &[&self.place, place], what);
        }
        if !truth.events.contains_key(&fact.rev) {
            // Heard and not in the history: said elsewhere.
            return;
        }
        if !self.heard.insert(fact.rev) {
            report.add_violation(
                Rule::Unique,
                &[&self.place, place],
                format!("{}: {} came twice", fact.job, name(fact)),
            );
        } else if self.missed.remove(&fact.rev).is_some() {
            report.add_violation(
                Rule::Ordered,
                &[&self.place, place],
                format!("{}: {} came too late", fact.job, name(fact)),
            );
        } else if fact.rev <= self.at.max(self.shown(&fact.job)) {
            let what = format!("{}: {} came although the watch was at {}", fact.job, name(fact), self.at);
            report.add_violation(
                if self.heard.len() == 1 { Rule::Unique } else { Rule::Ordered },
                &[&self.place, place],
                what,
            );
        } else {
            self.skip(truth, fact.rev, place);
            (self.at, self.vague) = (fact.rev, None);
            if is_end(&fact.st) || fact.st == "queued" {
                self.percent.remove(&fact.job);
            } else {
                self.percent(place, &fact.job, fact.att, fact.pct, report);
            }
        }
    }

    /// The revision at which a job was shown, if nothing but snapshots was told.
    fn shown(&self, job: &str) -> i64 {
        self.vague.as_ref().and_then(|shown| shown.get(job)).copied().unwrap_or(0)
    }

    /// Notes what should have come before this revision.
    fn skip(&mut self, truth: &Truth, before: i64, place: &RecordPosition) {
        let mut at = self.at;
        while let Some(next) = truth.next(&self.scope, at).filter(|next| next.fact.rev < before) {
            at = next.fact.rev;
            if next.fact.ev == DELETED && self.via != Via::Grpc {
                // A browser's topic of one job may end with it instead.
                continue;
            }
            let shown = |shown: &HashMap<String, i64>| shown.get(&next.fact.job).is_some_and(|rev| *rev < at);
            if self.vague.as_ref().is_none_or(shown) {
                self.missed.insert(at, place.clone());
            }
        }
    }

    fn may_see(&self, truth: &Truth, place: &RecordPosition, fact: &Fact, report: &mut VerifyReport) {
        // By the word of the history, not by that of the event.
        let owner = truth.last(&fact.job).map_or(&fact.own, |known| &known.fact.own);
        let own = self.user == ADMIN || *owner == self.user;
        let fits = match &self.scope {
            Scope::All => true,
            Scope::Owner(owner) => *owner == fact.own,
            Scope::Document(owner, document) => *owner == fact.own && *document == fact.doc,
            Scope::Batch(owner, batch) => *owner == fact.own && (*batch == fact.bat || fact.ev == DELETED),
            Scope::Job(job) => *job == fact.job,
        };
        if !own || !fits {
            let what = format!("{} was told of {} of {owner}, watching {:?}", self.user, fact.job, self.scope);
            report.add_violation(Rule::Isolated, &[&self.place, place], what);
        }
    }

    fn snapshot(&mut self, truth: &Truth, place: &RecordPosition, fact: &Fact, report: &mut VerifyReport) {
        self.may_see(truth, place, fact, report);
        super::answers::agrees(truth, &[&self.place, place], fact, report);
        let shown = self.vague.get_or_insert_default();
        shown.insert(fact.job.clone(), fact.rev);
        // From the oldest of them on it is known what must come.
        self.at = shown.values().copied().min().unwrap_or(0);
        self.percent(place, &fact.job, fact.att, fact.pct, report);
    }

    fn percent(&mut self, place: &RecordPosition, job: &str, att: i32, pct: i64, report: &mut VerifyReport) {
        let last = self.percent.entry(job.to_owned()).or_insert((att, pct, place.clone()));
        if last.0 == att && pct < last.1 {
            let what = format!("{job}: percent went from {} back to {} in attempt {att}", tenths(last.1), tenths(pct));
            report.add_violation(Rule::Percent, &[&self.place, &last.2, place], what);
        }
        *last = (att, pct, place.clone());
    }

    fn gap(&mut self, truth: &Truth, place: &RecordPosition, reason: &str, report: &mut VerifyReport) {
        if reason != "HISTORY_TRIMMED" || truth.deleted.is_empty() {
            let what = format!("the watch of {} could not go on after {:?}: {reason}", self.user, self.after);
            report.add_violation(Rule::Resumable, &[&self.place, place], what);
        }
        (self.at, self.vague) = (0, Some(HashMap::new()));
        self.percent.clear();
    }

    fn close(mut self, truth: &Truth, place: &RecordPosition, how: &Closed, report: &mut VerifyReport) {
        let gone = matches!(&self.scope, Scope::Job(job) if truth.deleted.contains(job));
        if let Closed::Refused(code) = how
            && !gone
            && matches!(code.as_str(), "CURSOR_INVALID" | "OUT_OF_RANGE" | "JOB_NOT_FOUND" | "INVALID_FIELD")
        {
            let what = format!("{} was refused {:?} after {:?}: {code}", self.user, self.scope, self.after);
            report.add_violation(Rule::Resumable, &[&self.place, place], what);
        }
        let of_job = matches!(self.scope, Scope::Job(_)) && self.via == Via::Grpc;
        if *how == Closed::Ended
            && of_job
            && let Some(at) = truth.events.get(&self.at)
            && !is_end(&at.fact.st)
            && at.fact.ev != DELETED
        {
            let what = format!("the watch of {} ended after {}", at.fact.job, name(&at.fact));
            report.add_violation(Rule::Reliable, &[&self.place, place], what);
        }
        let first = truth.next(&self.scope, self.start(truth)).map(|known| known.fact.rev);
        for (rev, instead) in std::mem::take(&mut self.missed) {
            let Some(known) = truth.events.get(&rev) else { continue };
            let rule = match &self.after {
                After::Event(_) if first == Some(rev) => Rule::Resumable,
                After::Mark(_) if first == Some(rev) => Rule::Bookmarkable,
                After::Submit(_) if first == Some(rev) => Rule::Atomic,
                _ => Rule::Reliable,
            };
            let what = format!("{}: {} never came on {:?}", known.fact.job, name(&known.fact), self.scope);
            report.add_violation(rule, &[&self.place, &instead, &known.place], what);
        }
    }

    fn start(&self, truth: &Truth) -> i64 {
        match &self.after {
            After::Nothing => 0,
            After::Event(at) | After::Mark(at) | After::Snapshots(at) => *at,
            After::Submit(job) => truth.first(job).map_or(0, |first| first - 1),
        }
    }
}
