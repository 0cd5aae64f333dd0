//! What is said at the end.

use std::path::Path;
use std::time::Duration;

use super::plan::Plan;
use super::run::Ran;
use super::verify::{Rule, VerifyReport};

/// The table of a run.
pub fn table(plan: &Plan, ran: &Ran, report: &VerifyReport, took: Duration) -> String {
    let seen = &report.seen;
    let fault = |word: &str| seen.faults.get(word).copied().unwrap_or(0);
    let network = ["cut", "stall", "delay", "trickle", "refuse", "unplug"].map(fault).iter().sum();
    let columns: [(&str, u64); 22] = [
        ("seed", plan.seed),
        ("seconds", plan.length.as_secs()),
        ("took", took.as_secs()),
        ("kills", fault("kill") + fault("down") + fault("stop")),
        ("pauses", fault("pause")),
        ("quorum lost", fault("quorum-loss")),
        ("network", network),
        ("full disks", fault("full-disk")),
        ("clock jumps", fault("jump")),
        ("exits", ran.exits),
        ("jobs", seen.jobs),
        ("attempts", seen.attempts),
        ("parts", seen.parts),
        ("reports", seen.reports),
        ("late reports", seen.late),
        ("events", seen.events),
        ("heard", seen.heard),
        ("watches", seen.watches),
        ("resumes", seen.resumes),
        ("gaps", seen.gaps),
        ("webhooks", seen.hooks),
        ("violations", report.total()),
    ];
    let widths = columns.map(|(name, value)| name.len().max(value.to_string().len()));
    let row = |cells: [String; 22]| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!(" {cell:>width$} |"));
        format!("|{}\n", cells.collect::<String>())
    };
    let head = row(columns.map(|(name, _)| name.to_owned()));
    let line = format!("|{}\n", widths.map(|width| format!("{}:|", "-".repeat(width + 1))).concat());
    let body = row(columns.map(|(_, value)| value.to_string()));
    let skipped: String = ran.skipped.iter().map(|what| format!("not done: {what}\n")).collect();
    head + &line + &body + &skipped
}

/// The violations, what shows them, and how to see them again.
pub fn violations(plan: &Plan, home: &Path, report: &VerifyReport) -> String {
    let mut text = String::new();
    for rule in Rule::ALL.iter().filter(|rule| report.counts.contains_key(rule)) {
        text += &format!("\n{} was broken {} times\n", rule.name(), report.counts[rule]);
        for violation in report.violations.iter().filter(|violation| violation.rule == *rule) {
            let places: Vec<_> = violation.places.iter().map(ToString::to_string).collect();
            text += &format!("  {}\n    {}\n", violation.what, places.join(", "));
        }
    }
    let (seed, seconds) = (plan.seed, plan.length.as_secs());
    text += &format!("\nrecords, data and logs: {}\n", home.display());
    text += &format!("judge them again:  torture verify {}\n", home.join(super::run::RECORDS).display());
    let target = if plan.shape.is_cluster() { "torture-cluster" } else { "torture" };
    text + &format!("the same plan:     COURANT_TORTURE_SEED={seed} COURANT_TORTURE_SECONDS={seconds} make {target}\n")
}

/// One line that says how many promises held: what CI counts.
pub fn sum(report: &VerifyReport) -> String {
    let failed = report.counts.len();
    format!("torture: {} passed, {failed} failed; guarantees", Rule::ALL.len() - failed)
}
