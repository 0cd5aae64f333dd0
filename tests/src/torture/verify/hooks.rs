//! Webhooks: every event of a user's jobs is received, in the order of each job, and comes again under its own id only.

use std::collections::{HashMap, HashSet};

use super::super::record::{Record, RecordPosition};
use super::truth::{Truth, name};
use super::{Rule, VerifyReport};

/// The events that webhooks are sent, in the words of facts.
const SENT: [&str; 6] = ["queued", "started", "retrying", "completed", "failed", "cancelled"];

/// What receivers were sent.
#[derive(Debug, Default)]
pub struct Hooks {
    /// Users with a webhook.
    users: HashSet<String>,
    /// By user and revision: the id, and where it came first.
    events: HashMap<(String, i64), (String, RecordPosition)>,
    /// What an id stands for.
    ids: HashMap<String, (String, i64)>,
    /// By user and revision: what was received.
    received: HashSet<(String, i64)>,
    /// By user and job: the newest revision that was received.
    newest: HashMap<(String, String), i64>,
}

impl Hooks {
    pub fn take(&mut self, place: &RecordPosition, record: &Record, report: &mut VerifyReport) {
        let Record::Hook { user, id, job, owner, rev, signed, received } = record else { return };
        report.seen.hooks += 1;
        self.users.insert(user.clone());
        if !signed {
            report.add_violation(Rule::Webhooks, &[place], format!("{id} is not signed by the secret of {user}"));
        }
        if owner != user {
            report.add_violation(Rule::Isolated, &[place], format!("{user} was sent {job}, which is {owner}'s"));
        }
        let event = (user.clone(), *rev);
        let (known, first) = self.events.entry(event.clone()).or_insert_with(|| (id.clone(), place.clone()));
        if known != id {
            let what = format!("revision {rev} of {job} came as {known} and as {id}");
            report.add_violation(Rule::Webhooks, &[first, place], what);
        }
        let stands_for = self.ids.entry(id.clone()).or_insert_with(|| event.clone());
        if *stands_for != event {
            let what = format!("{id} stands for revision {} and for revision {rev}", stands_for.1);
            report.add_violation(Rule::Webhooks, &[place], what);
        }
        // Only what is received first counts for the order: it may come again.
        if *received && self.received.insert(event) {
            let newest = self.newest.entry((user.clone(), job.clone())).or_default();
            if *newest > *rev {
                let what = format!("revision {rev} of {job} was received after revision {newest}");
                report.add_violation(Rule::Webhooks, &[place], what);
            }
            *newest = (*newest).max(*rev);
        }
    }

    /// Of a job that was removed not everything was sent.
    pub fn check(&self, truth: &Truth, report: &mut VerifyReport) {
        if !truth.ended {
            return;
        }
        for job in truth.jobs.keys().filter(|job| !truth.deleted.contains(*job)) {
            for known in truth.story(job) {
                let fact = &known.fact;
                let is_sent = SENT.contains(&fact.ev.as_str()) && self.users.contains(&fact.own);
                if is_sent && !self.received.contains(&(fact.own.clone(), fact.rev)) {
                    let what = format!("{} of {job} was never received by the webhook of {}", name(fact), fact.own);
                    report.add_violation(Rule::Webhooks, &[&known.place], what);
                }
            }
        }
    }
}
