//! What the tool's own workers saw: who was given which attempt, and what became of late reports.

use std::collections::HashMap;

use super::super::record::{Record, RecordPosition};
use super::truth::Truth;
use super::{Rule, VerifyReport};

/// Attempts and sessions.
#[derive(Debug, Default)]
pub struct Attempts {
    given: HashMap<(String, i32), (String, RecordPosition)>,
    parts: HashMap<String, (String, RecordPosition)>,
    late: Vec<Late>,
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
            Record::LeaseLost { session, job, att, part, .. } => {
                let waiting = self.late.iter_mut().rev().take(64);
                waiting
                    .filter(|late| {
                        late.session == *session && late.job == *job && late.att == *att && late.part == *part
                    })
                    .for_each(|late| late.refused = true);
            }
            // Reports are answered in order: what was sent before this heartbeat has been looked at.
            Record::Beat { session, beats, .. } => {
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

    /// Holds the assignments against the history.
    pub fn check(&self, truth: &Truth, report: &mut VerifyReport) {
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
