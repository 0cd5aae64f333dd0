//! Answers to calls: submits, reads, results, and calls on strangers' jobs.

use std::collections::HashMap;

use super::super::fact::{Fact, KIND, is_end};
use super::super::record::{Outcome, Record, RecordPosition};
use super::super::worker::page_text;
use super::truth::{Truth, name};
use super::watches::ADMIN;
use super::{Rule, VerifyReport};

#[derive(Debug, Default)]
pub struct Answers {
    /// The job and where it was given, by owner and request id.
    submits: HashMap<(String, String), (String, RecordPosition)>,
    /// The request that made a job.
    requests: HashMap<String, (String, String)>,
    /// The checksum of the document that made a job.
    documents: HashMap<String, String>,
    results: Vec<(RecordPosition, Record)>,
    batches: Vec<(RecordPosition, Record)>,
    wrote: HashMap<(String, i32, String), String>,
    /// The newest revision that a client has read of a job from a server, by file.
    read: HashMap<(std::sync::Arc<str>, String, usize), (i64, RecordPosition)>,
}

impl Answers {
    /// Takes in a record of the first pass.
    pub fn take(&mut self, place: &RecordPosition, record: &Record, report: &mut VerifyReport) {
        match record {
            Record::Submit { user, request, outcome: Outcome::Done, job, sha, .. } => {
                self.documents.insert(job.clone(), sha.clone());
                self.submit(place, (user.clone(), request.clone()), job, report);
            }
            Record::Submit { user, request, outcome: Outcome::Refused(code), .. }
                if matches!(code.as_str(), "REQUEST_ID_MISMATCH" | "INVALID_FIELD" | "DOCUMENT_EMPTY") =>
            {
                let what = format!("{request} of {user} is in order but was refused: {code}");
                report.add_violation(Rule::SameRequest, &[place], what);
            }
            Record::Misused { user, request, outcome } if *outcome == Outcome::Done => {
                let what = format!("another document under {request} of {user} was accepted");
                report.add_violation(Rule::SameRequest, &[place], what);
            }
            Record::Probe { user, call, job, outcome, .. } => probe(place, (user, call, job), outcome, report),
            Record::Wrote { job, att, of, sha, .. } => {
                self.wrote.insert((job.clone(), *att, of.clone()), sha.clone());
            }
            Record::Batch { .. } => self.batches.push((place.clone(), record.clone())),
            Record::Result { .. } | Record::Document { .. } | Record::Page { .. } => {
                self.results.push((place.clone(), record.clone()))
            }
            _ => {}
        }
    }

    fn submit(&mut self, place: &RecordPosition, request: (String, String), job: &str, report: &mut VerifyReport) {
        let (before, at) = self.submits.entry(request.clone()).or_insert_with(|| (job.to_owned(), place.clone()));
        if before != job {
            let what = format!("{} of {} gave {before} and then {job}", request.1, request.0);
            report.add_violation(Rule::SameRequest, &[at, place], what);
        }
        let made_by = self.requests.entry(job.to_owned()).or_insert_with(|| request.clone());
        if *made_by != request {
            let what = format!("{job} is the answer to {made_by:?} and to {request:?}");
            report.add_violation(Rule::SameRequest, &[place], what);
        }
    }

    /// Holds everything against the history.
    pub fn check(&self, truth: &Truth, report: &mut VerifyReport) {
        for ((owner, request), (job, place)) in &self.submits {
            match truth.last(job) {
                _ if truth.deleted.contains(job) => {}
                None => {
                    report.add_violation(
                        Rule::Acknowledged,
                        &[place],
                        format!("{job} ({request} of {owner}) is not there"),
                    );
                }
                Some(known) if known.fact.own != *owner => {
                    let what = format!("{job} was submitted by {owner} and is of {}", known.fact.own);
                    report.add_violation(Rule::Isolated, &[place, &known.place], what);
                }
                Some(known) if truth.ended && !is_end(&known.fact.st) => {
                    let what = format!("{job} is {} after {} for good", known.fact.st, name(&known.fact));
                    report.add_violation(Rule::Ends, &[place, &known.place], what);
                }
                Some(_) if truth.ended && !truth.audited.contains(job) => {
                    report.add_violation(
                        Rule::Ends,
                        &[place],
                        format!("the history of {job} could not be read to its end"),
                    );
                }
                Some(_) => {}
            }
        }
        self.batches.iter().for_each(|(place, batch)| check_batch(place, batch, truth, report));
        self.results.iter().for_each(|(place, result)| self.result(place, result, truth, report));
    }

    fn result(&self, place: &RecordPosition, result: &Record, truth: &Truth, report: &mut VerifyReport) {
        match result {
            Record::Result { job, of, promised, read, .. } => {
                self.export(place, (job, of), (promised, read), truth, report);
            }
            Record::Document { job, read, .. } => {
                if let Some(sha) = self.documents.get(job)
                    && sha != read
                {
                    let what = format!("the document of {job} is {read}, submitted was {sha}");
                    report.add_violation(Rule::Acknowledged, &[place], what);
                }
            }
            Record::Page { job, page, att, read, .. } if *read != page_text(*att) => {
                let what = format!("page {page} of {job} is {read:?} of attempt {att}");
                report.add_violation(Rule::Results, &[place], what);
            }
            _ => {}
        }
    }

    fn export(
        &self,
        place: &RecordPosition,
        (job, of): (&String, &String),
        (promised, read): (&String, &String),
        truth: &Truth,
        report: &mut VerifyReport,
    ) {
        if promised != read {
            report.add_violation(Rule::Results, &[place], format!("{of} of {job} is {read}, promised was {promised}"));
        }
        let attempt = truth.last(job).map_or(0, |known| known.fact.att);
        if let Some(wrote) = self.wrote.get(&(job.clone(), attempt, of.clone()))
            && wrote != read
        {
            let what = format!("{of} of {job} is {read}, attempt {attempt} wrote {wrote} for {KIND}");
            report.add_violation(Rule::Results, &[place], what);
        }
    }

    /// Takes in a record of the second pass.
    pub fn take_again(&mut self, place: &RecordPosition, record: &Record, truth: &Truth, report: &mut VerifyReport) {
        let Record::Read { user, fact, call, server, .. } = record else { return };
        if user != ADMIN && fact.own != *user {
            report.add_violation(Rule::Isolated, &[place], format!("{user} was told of {} of {}", fact.job, fact.own));
        }
        agrees(truth, &[place], fact, report);
        // Another server may be some entries behind (`docs/guarantees.md`).
        let Some(server) = server else { return };
        let newest =
            self.read.entry((place.file.clone(), fact.job.clone(), *server)).or_insert((fact.rev, place.clone()));
        if fact.rev < newest.0 {
            let what = format!("{call} of {} says {} after {} was read", fact.job, fact.rev, newest.0);
            report.add_violation(Rule::Reads, &[&newest.1, place], what);
        }
        *newest = (fact.rev, place.clone());
    }
}

/// Whether a state of a job is the one that the history has at its revision.
pub fn agrees(truth: &Truth, places: &[&RecordPosition], fact: &Fact, report: &mut VerifyReport) {
    let Some(known) = truth.events.get(&fact.rev) else {
        if truth.audited.contains(&fact.job) {
            let what = format!("{} was read at {}, which is not in its history", fact.job, fact.rev);
            report.add_violation(Rule::Durable, places, what);
        }
        return;
    };
    let said = (&fact.job, &fact.own, &fact.st, fact.att, fact.done, fact.zon);
    let is = &known.fact;
    if said != (&is.job, &is.own, &is.st, is.att, is.done, is.zon) {
        let what = format!("{} at {} was read as {said:?}, the event says {is:?}", fact.job, fact.rev);
        report.add_violation(Rule::Reads, &[places, &[&known.place]].concat(), what);
    }
}

/// Whether a batch is the sum of its jobs. One of which a job may or may not be gone, because nobody could be asked at the
/// end, says nothing.
fn check_batch(place: &RecordPosition, read: &Record, truth: &Truth, report: &mut VerifyReport) {
    let Record::Batch { user, batch, counts, complete } = read else { return };
    let last = truth.jobs.keys().filter_map(|job| truth.last(job));
    let of = |known: &&super::truth::KnownJob| known.fact.own == *user && known.fact.bat == *batch;
    let (unsure, jobs): (Vec<_>, Vec<_>) = last.filter(of).partition(|known| truth.unsure.contains(&known.fact.job));
    let jobs: Vec<_> = jobs.into_iter().filter(|known| !truth.deleted.contains(&known.fact.job)).collect();
    let count = |state: &str| i32::try_from(jobs.iter().filter(|known| known.fact.st == state).count()).unwrap_or(0);
    let (succeeded, failed, cancelled) = (count("succeeded"), count("failed"), count("cancelled"));
    let sum = [i32::try_from(jobs.len()).unwrap_or(0), succeeded, failed, cancelled];
    if truth.ended && unsure.is_empty() && (sum != *counts || !complete) {
        let what = format!("{batch} of {user} was read as {counts:?}, complete {complete}; its jobs say {sum:?}");
        report.add_violation(Rule::Reads, &[place], what);
    }
}

fn probe(place: &RecordPosition, (user, call, job): (&str, &str, &str), outcome: &Outcome, report: &mut VerifyReport) {
    let hidden = match outcome {
        Outcome::Unknown => true,
        Outcome::Refused(code) => code == "JOB_NOT_FOUND" || !code.starts_with("JOB_") && code != "RESULT_NOT_READY",
        Outcome::Done => false,
    };
    if !hidden {
        report.add_violation(Rule::Isolated, &[place], format!("{call} of {job} told {user} something: {outcome:?}"));
    }
}
