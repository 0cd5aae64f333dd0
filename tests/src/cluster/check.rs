//! Whether anything was lost: what the browser saw, and what each server says.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use courant_proto::v1::{JobState, ResultFormat};
use sha2::{Digest as _, Sha256};

use super::parts::{Parts, SERVERS};
use super::story::Seen;

/// What was found.
pub(super) struct Shown {
    jobs: usize,
    pages: i32,
    attempts: i32,
    events: usize,
    longest_silence: Duration,
    reconnects: u32,
    /// Empty when nothing was lost.
    pub(super) violations: Vec<String>,
}

pub(super) async fn everything(parts: &Parts, jobs: &[String], seen: &Seen) -> anyhow::Result<Shown> {
    let mut shown = Shown {
        jobs: jobs.len(),
        pages: 0,
        attempts: 0,
        events: seen.revisions.values().map(Vec::len).sum(),
        longest_silence: seen.longest_silence,
        reconnects: seen.reconnects,
        violations: Vec::new(),
    };
    for (job, revisions) in &seen.revisions {
        if !revisions.is_sorted_by(|one, next| one < next) {
            shown.violations.push(format!("events of job {job} came twice or in another order: {revisions:?}"));
        }
    }
    let mut results = BTreeSet::new();
    for server in 0..SERVERS {
        let client = parts.jobs(server).await?;
        for id in jobs {
            let job = client.get(id).await?;
            if job.state() != JobState::Succeeded || job.pages_done != job.pages_total {
                let (state, done, total) = (job.state().as_str_name(), job.pages_done, job.pages_total);
                shown.violations.push(format!("job {id} at server-{}: {state}, {done} of {total} pages", server + 1));
            }
            if server == 0 {
                shown.pages += job.pages_done;
                shown.attempts += job.attempt;
            }
            results.insert(Sha256::digest(client.result(id, ResultFormat::Markdown).await?));
        }
    }
    if results.len() != 1 {
        shown.violations.push(format!("the results of the same document differ: {} kinds", results.len()));
    }
    Ok(shown)
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{} documents with {} pages in {} attempts.", self.jobs, self.pages, self.attempts)?;
        let silence = self.longest_silence.as_secs_f64();
        let (events, reconnects) = (self.events, self.reconnects);
        writeln!(
            f,
            "The browser saw {events} events; it reconnected {reconnects} times, and once waited {silence:.1} s."
        )?;
        if self.violations.is_empty() {
            return write!(
                f,
                "Nothing was lost: every event came once and in order, every page is done, all results are the same, at every server."
            );
        }
        self.violations.iter().try_for_each(|violation| writeln!(f, "LOST: {violation}"))
    }
}
