//! The unfinished jobs that somebody must follow.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use courant_joblog::ids::JobId;
use courant_joblog::job::{Job, State};

/// The unfinished jobs that want a follower.
#[derive(Debug, Default)]
pub struct UnwatchedIndex(BTreeSet<JobId>);

impl UnwatchedIndex {
    /// Takes in a job's change.
    pub fn apply(&mut self, old: Option<&Job>, new: Option<&Job>) {
        match (new.or(old), new.is_some_and(wishes)) {
            (Some(job), true) => drop(self.0.insert(job.id.clone())),
            (Some(job), false) if job.cancel_unwatched_ms.is_some() => drop(self.0.remove(&job.id)),
            (Some(_) | None, _) => {}
        }
    }

    /// Such jobs after an id, at most so many.
    pub fn after(&self, after: Option<&JobId>, most: usize) -> Vec<JobId> {
        self.0.range((after.map_or(Unbounded, Excluded), Unbounded)).take(most).cloned().collect()
    }
}

fn wishes(job: &Job) -> bool {
    job.cancel_unwatched_ms.is_some() && matches!(job.state, State::Queued | State::Running)
}
