//! The history as all clients together know it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::fact::{DELETED, Fact};
use super::super::record::{Closed, Outcome, Record, RecordPosition, Scope};
use super::{Rule, VerifyReport};

/// Everything that happened, as far as anybody was told.
#[derive(Debug, Default)]
pub struct Truth {
    /// By revision.
    pub events: BTreeMap<i64, KnownJob>,
    /// The revisions of each job, in order.
    pub jobs: HashMap<String, Vec<i64>>,
    /// Jobs whose whole history was read at the end.
    pub audited: HashSet<String>,
    /// Jobs that were removed, or may have been.
    pub deleted: HashSet<String>,
    /// Of these, jobs of which nobody knows whether the removal was done.
    pub unsure: HashSet<String>,
    /// Jobs that were looked for at the end and were there, though they may have been removed.
    kept: Vec<(String, RecordPosition)>,
    /// Where a removal was acknowledged.
    removals: HashMap<String, RecordPosition>,
    /// Whether the run came to its end.
    pub ended: bool,
    scopes: HashMap<Scope, Vec<i64>>,
    audits: HashMap<u64, String>,
}

/// An event and who said so.
#[derive(Debug)]
pub struct KnownJob {
    pub fact: Fact,
    /// Where it was told first.
    pub place: RecordPosition,
    /// Whether it is in a history that was read at the end.
    pub audited: bool,
}

impl Truth {
    /// Takes in a record of the first pass.
    pub fn take(&mut self, place: &RecordPosition, record: &Record, report: &mut VerifyReport) {
        match record {
            Record::Open { seg, scope: Scope::Job(job), last: true, .. } if &*place.file == "audit" => {
                self.audits.insert(*seg, job.clone());
            }
            Record::Closed { seg, how: Closed::Ended } => {
                if let Some(job) = self.audits.remove(seg) {
                    self.audited.insert(job);
                }
            }
            Record::Heard { seg, fact } => self.observe(place, self.audits.contains_key(seg), fact, report),
            Record::Deleted { job, outcome: Outcome::Done, .. } => {
                self.removals.entry(job.clone()).or_insert_with(|| place.clone());
                self.deleted.insert(job.clone());
            }
            Record::Deleted { job, outcome: Outcome::Unknown, .. } => {
                self.deleted.insert(job.clone());
                self.unsure.insert(job.clone());
            }
            Record::Kept { job, .. } => self.kept.push((job.clone(), place.clone())),
            Record::End => self.ended = true,
            _ => {}
        }
    }

    fn observe(&mut self, place: &RecordPosition, audited: bool, fact: &Fact, report: &mut VerifyReport) {
        let Some(known) = self.events.get_mut(&fact.rev) else {
            let known = KnownJob { fact: fact.clone(), place: place.clone(), audited };
            self.events.insert(fact.rev, known);
            return;
        };
        if known.fact.dig != fact.dig {
            let was = format!("{} of {}", known.fact.ev, known.fact.job);
            let what = format!("revision {} is {was} here and {} of {} there", fact.rev, fact.ev, fact.job);
            // What does not survive is replaced under its own number.
            let rule = if known.fact.job == fact.job { Rule::SameContent } else { Rule::Durable };
            report.add_violation(rule, &[&known.place, place], what);
        }
        if audited && !known.audited {
            // What the history says at the end counts; and gRPC says which worker, WebSocket does not.
            (known.fact, known.audited) = (fact.clone(), true);
        } else if known.fact.who.is_empty() {
            known.fact.who.clone_from(&fact.who);
        }
    }

    /// Puts everything in order once all is known.
    pub fn finish(&mut self, report: &mut VerifyReport) {
        self.finish_removals(report);
        let missing: Vec<i64> = self
            .events
            .iter()
            .filter(|(_, known)| !known.audited && self.audited.contains(&known.fact.job))
            .map(|(rev, _)| *rev)
            .collect();
        for rev in missing {
            if let Some(known) = self.events.remove(&rev) {
                let what = format!("{} of {} was heard but is not in its history", name(&known.fact), known.fact.job);
                report.add_violation(Rule::Durable, &[&known.place], what);
            }
        }
        for (rev, KnownJob { fact, .. }) in &self.events {
            self.jobs.entry(fact.job.clone()).or_default().push(*rev);
            let mut scopes = vec![Scope::All, Scope::Owner(fact.own.clone()), Scope::Job(fact.job.clone())];
            scopes.push(Scope::Document(fact.own.clone(), fact.doc.clone()));
            if fact.ev != DELETED {
                // The batch of a job that is gone may not be known any more.
                scopes.push(Scope::Batch(fact.own.clone(), fact.bat.clone()));
            }
            scopes.into_iter().for_each(|scope| self.scopes.entry(scope).or_default().push(*rev));
        }
    }

    /// Says of jobs that may have been removed whether they were.
    fn finish_removals(&mut self, report: &mut VerifyReport) {
        self.unsure.retain(|job| !self.removals.contains_key(job));
        for (job, place) in &self.kept {
            match self.removals.get(job) {
                Some(removal) => {
                    let what = format!("{job} was removed and is there again");
                    report.add_violation(Rule::Durable, &[removal, place], what);
                }
                None => {
                    self.unsure.remove(job);
                    self.deleted.remove(job);
                }
            }
        }
    }

    /// The next event of a scope after a revision.
    pub fn next(&self, scope: &Scope, after: i64) -> Option<&KnownJob> {
        let revisions = self.scopes.get(scope)?;
        let rev = revisions.get(revisions.partition_point(|rev| *rev <= after))?;
        self.events.get(rev)
    }

    /// The first event of a job.
    pub fn first(&self, job: &str) -> Option<i64> {
        self.jobs.get(job).and_then(|revisions| revisions.first().copied())
    }

    /// The last event of a job.
    pub fn last(&self, job: &str) -> Option<&KnownJob> {
        self.jobs.get(job).and_then(|revisions| revisions.last()).and_then(|rev| self.events.get(rev))
    }

    /// The events of a job, in order.
    pub fn story(&self, job: &str) -> impl Iterator<Item = &KnownJob> {
        self.jobs.get(job).into_iter().flatten().filter_map(|rev| self.events.get(rev))
    }
}

/// An event in few words.
pub fn name(fact: &Fact) -> String {
    if fact.of.is_empty() {
        format!("{} ({})", fact.ev, fact.rev)
    } else {
        format!("{} {} ({})", fact.ev, fact.of, fact.rev)
    }
}
