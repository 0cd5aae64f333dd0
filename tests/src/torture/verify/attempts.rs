//! What the tool's own workers saw: who was given which attempt, and what became of late reports.

use std::collections::{HashMap, HashSet};

use super::super::record::{Record, RecordPosition};
use super::truth::Truth;
use super::{Rule, VerifyReport};

#[derive(Debug, Default)]
pub struct Attempts {
    given: HashMap<(String, i32), (String, RecordPosition)>,
    parts: HashMap<String, (String, RecordPosition)>,
    late: Vec<Late>,
    /// By session, reports that were not acknowledged yet.
    open: HashMap<u64, Vec<Reported>>,
    /// Refused attempts and parts, by session.
    refused: HashSet<(u64, String, i32, String)>,
    acknowledged: Vec<Reported>,
}

/// A report that is to be in the history once it is acknowledged.
#[derive(Debug)]
struct Reported {
    job: String,
    att: i32,
    part: String,
    beats: u64,
    ev: String,
    of: String,
    place: RecordPosition,
}

#[derive(Debug)]
struct Late {
    session: u64,
    job: String,
    att: i32,
    part: String,
    beats: u64,
    place: RecordPosition,
    refused: bool,
    over: bool,
}

impl Attempts {
    /// Takes in a record.
    pub fn take(&mut self, place: &RecordPosition, record: &Record, report: &mut VerifyReport) {
        match record {
            Record::Assigned { worker, job, att, .. } => {
                let given = (worker.clone(), place.clone());
                if let Some((before, at)) = self.given.insert((job.clone(), *att), given) {
                    let what = format!("attempt {att} of {job} was given to {before} and to {worker}");
                    report.add_violation(Rule::OneAttempt, &[&at, place], what);
                }
            }
            Record::AfterSilence { worker, job, att, ms, .. } => {
                let what = format!("attempt {att} of {job} was given to {worker}, silent for {ms} ms");
                report.add_violation(Rule::Silent, &[place], what);
            }
            Record::Part { worker, job, att, part, .. } => {
                if let Some((before, at)) = self.parts.insert(part.clone(), (worker.clone(), place.clone())) {
                    let what = format!("part {part} of attempt {att} of {job} was given to {before} and to {worker}");
                    report.add_violation(Rule::OneAttempt, &[&at, place], what);
                }
            }
            Record::Late { session, job, att, part, beats, .. } => self.late.push(Late {
                session: *session,
                job: job.clone(),
                att: *att,
                part: part.clone(),
                beats: *beats,
                place: place.clone(),
                refused: false,
                over: false,
            }),
            Record::Reported { session, job, att, part, beats, ev, of, .. } => {
                self.open.entry(*session).or_default().push(Reported {
                    job: job.clone(),
                    att: *att,
                    part: part.clone(),
                    beats: *beats,
                    ev: ev.clone(),
                    of: of.clone(),
                    place: place.clone(),
                });
            }
            Record::LeaseLost { session, job, att, part, .. } => {
                self.refused.insert((*session, job.clone(), *att, part.clone()));
                let waiting = self.late.iter_mut().rev().take(64);
                waiting
                    .filter(|late| {
                        late.session == *session && late.job == *job && late.att == *att && late.part == *part
                    })
                    .for_each(|late| late.refused = true);
            }
            // What was sent before this heartbeat has been taken or refused.
            Record::Beat { session, beats, .. } => {
                self.acknowledge(*session, *beats, report);
                for late in self.late.iter_mut().rev().take(64) {
                    if late.session == *session && late.beats < *beats && !late.over {
                        late.over = true;
                        if !late.refused {
                            let what = format!("a late report of attempt {} of {} was not refused", late.att, late.job);
                            report.add_violation(Rule::Fenced, &[&late.place, place], what);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// A refusal comes before the acknowledgement: what was not refused by now was taken.
    fn acknowledge(&mut self, session: u64, beats: u64, report: &mut VerifyReport) {
        let Some(open) = self.open.get_mut(&session) else { return };
        let sent_before = open.iter().take_while(|reported| reported.beats < beats).count();
        for reported in open.drain(..sent_before) {
            let Reported { job, att, part, .. } = &reported;
            if !self.refused.contains(&(session, job.clone(), *att, part.clone())) {
                report.seen.reports += 1;
                self.acknowledged.push(reported);
            }
        }
    }

    /// Holds the acknowledged reports against the history. A cancel that was promised makes an attempt's other reports void.
    fn check_reports(&self, truth: &Truth, report: &mut VerifyReport) {
        let judged =
            |reported: &&Reported| truth.audited.contains(&reported.job) && !truth.deleted.contains(&reported.job);
        for reported in self.acknowledged.iter().filter(judged) {
            let Reported { job, att, ev, of, .. } = reported;
            let is_there = truth.story(job).any(|known| {
                let fact = &known.fact;
                let same_attempt = fact.att == *att;
                match (ev.as_str(), fact.ev.as_str()) {
                    (_, "cancelling" | "cancelled") => same_attempt,
                    // Once for the job, in whichever attempt.
                    ("page" | "planned", _) => fact.ev == *ev && fact.of == *of,
                    // The first word counts.
                    ("export-completed" | "export-failed", "export-completed" | "export-failed") => {
                        same_attempt && fact.of == *of
                    }
                    ("completed" | "failed", "completed" | "failed" | "retrying") => same_attempt,
                    _ => same_attempt && fact.ev == *ev && fact.of == *of,
                }
            });
            if !is_there {
                let what = format!("{ev} {of} of attempt {att} of {job} was acknowledged and is not in the history");
                report.add_violation(Rule::Reports, &[&reported.place], what);
            }
        }
    }

    /// Holds what the workers saw against the history.
    pub fn check(&self, truth: &Truth, report: &mut VerifyReport) {
        self.check_reports(truth, report);
        for job in truth.jobs.keys() {
            for known in truth.story(job).filter(|known| known.fact.ev == "started" && !known.fact.who.is_empty()) {
                let fact = &known.fact;
                let Some((worker, place)) = self.given.get(&(job.clone(), fact.att)) else { continue };
                if *worker != fact.who {
                    let what = format!("attempt {} of {job} was given to {worker}, not to {}", fact.att, fact.who);
                    report.add_violation(Rule::OneAttempt, &[place, &known.place], what);
                }
            }
        }
    }
}
