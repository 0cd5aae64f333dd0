//! The story of each job: legal moves, one end, and every snapshot the sum of what came before it.

use super::super::fact::{Fact, is_end};
use super::super::record::RecordPosition;
use super::truth::{Truth, name};
use super::{Rule, VerifyReport};

pub fn check(truth: &Truth, report: &mut VerifyReport) {
    // Of a job that was removed nobody may have heard all.
    for job in truth.jobs.keys().filter(|job| !truth.deleted.contains(*job)) {
        let mut told: Vec<(String, String, i32)> = Vec::new();
        let mut before: Option<(&Fact, &RecordPosition)> = None;
        for known in truth.story(job) {
            let mut check = Check { before, now: &known.fact, place: &known.place, report };
            if check.is_again(&mut told) {
                let what = format!("{job}: {} says again what was said", name(&known.fact));
                check.add_violation(Rule::Unique, what);
            } else {
                check.moves();
                check.adds_up();
            }
            check.percent();
            check.fenced();
            before = Some((&known.fact, &known.place));
        }
    }
}

struct Check<'a> {
    before: Option<(&'a Fact, &'a RecordPosition)>,
    now: &'a Fact,
    place: &'a RecordPosition,
    report: &'a mut VerifyReport,
}

impl Check<'_> {
    fn add_violation(&mut self, rule: Rule, what: String) {
        match self.before {
            Some((_, before)) => self.report.add_violation(rule, &[before, self.place], what),
            None => self.report.add_violation(rule, &[self.place], what),
        }
    }

    /// Whether this was said before, under another revision.
    fn is_again(&self, told: &mut Vec<(String, String, i32)>) -> bool {
        let once = match self.now.ev.as_str() {
            "queued" | "planned" | "page" => (self.now.ev.clone(), self.now.of.clone(), 0),
            "started" | "export-started" | "export-completed" | "export-failed" | "output-stored" => {
                (self.now.ev.clone(), self.now.of.clone(), self.now.att)
            }
            _ => return self.before.is_some_and(|(before, _)| before.ev == self.now.ev && before.att == self.now.att),
        };
        let again = told.contains(&once);
        told.push(once);
        again
    }

    /// Whether the state may follow, through this event.
    fn moves(&mut self) {
        let now = self.now;
        let Some((before, _)) = self.before else {
            if now.ev != "queued" || now.st != "queued" || now.att != 0 {
                self.add_violation(Rule::Legal, format!("{} begins with {} as {}", now.job, name(now), now.st));
            }
            return;
        };
        let from = before.st.as_str();
        if is_end(from) {
            if !(now.ev == "deleted" || now.ev == "retrying" && now.st == "queued" && from != "succeeded") {
                self.add_violation(Rule::Once, format!("{} had ended as {from} before {}", now.job, name(now)));
            }
            return;
        }
        let fits = match now.ev.as_str() {
            "started" => from == "queued" && now.st == "running",
            "planned" | "page" | "export-started" | "export-completed" | "export-failed" | "output-stored" => {
                from == "running" && now.st == "running"
            }
            "retrying" => from == "running" && now.st == "queued",
            "cancelling" => from == "running" && now.st == "cancelling",
            "completed" => from == "running" && now.st == "succeeded",
            "failed" => from == "running" && now.st == "failed",
            "cancelled" => now.st == "cancelled",
            _ => false,
        };
        if !fits {
            self.add_violation(Rule::Legal, format!("{}: {} leads from {from} to {}", now.job, name(now), now.st));
        }
    }

    /// Whether the snapshot is the one before it and this event.
    fn adds_up(&mut self) {
        let now = self.now;
        let nothing = Fact::default();
        let before = self.before.map_or(&nothing, |(before, _)| before);
        let page = i32::from(now.ev == "page");
        let sums = [
            ("attempt", before.att + i32::from(now.ev == "started"), now.att),
            ("pages", before.done + page, now.done),
            ("zones", before.zon + now.pz, now.zon),
        ];
        for (of, sum, said) in sums {
            if sum != said {
                self.add_violation(
                    Rule::Snapshot,
                    format!("{}: {} says {of} {said}, the events say {sum}", now.job, name(now)),
                );
            }
        }
        if self.before.is_some_and(|_| (&before.own, &before.doc, &before.bat) != (&now.own, &now.doc, &now.bat)) {
            self.add_violation(
                Rule::Isolated,
                format!("{}: {} is of another owner, document or batch", now.job, name(now)),
            );
        }
    }

    fn percent(&mut self) {
        let now = self.now;
        let back = self.before.is_some_and(|(before, _)| {
            before.att == now.att
                && now.pct < before.pct
                && matches!(now.st.as_str(), "running" | "succeeded")
                && before.st == "running"
        });
        if back {
            self.add_violation(Rule::Percent, format!("{}: {} goes back to {}", now.job, name(now), tenths(now.pct)));
        }
    }

    /// Whether what the event is about was made in the attempt that is current.
    fn fenced(&mut self) {
        let now = self.now;
        if now.by != 0 && now.by != now.att {
            let what = format!("{}: {} was made by attempt {} and counted in {}", now.job, name(now), now.by, now.att);
            self.add_violation(Rule::Fenced, what);
        }
    }
}

/// Tenths of a percent for people.
pub fn tenths(tenths: i64) -> String {
    format!("{}.{} %", tenths / 10, tenths % 10)
}
