//! The unfinished jobs that somebody must follow.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use courant_joblog::ids::JobId;
use courant_joblog::job::{Job, State};

use crate::projection::{JobChange, Projection};

/// The unfinished jobs that are cancelled when nobody follows them.
#[derive(Debug, Default)]
pub struct UnwatchedIndex(BTreeSet<JobId>);

impl Projection for UnwatchedIndex {
    fn on_change(&mut self, change: &JobChange<'_>) {
        let (old, new) = change.jobs();
        match (new.or(old), new.is_some_and(needs_follower)) {
            (Some(job), true) => drop(self.0.insert(job.id.clone())),
            (Some(job), false) if job.cancel_unwatched_ms.is_some() => drop(self.0.remove(&job.id)),
            (Some(_) | None, _) => {}
        }
    }
}

impl UnwatchedIndex {
    /// Such jobs after an id, at most so many.
    pub fn after(&self, after: Option<&JobId>, most: usize) -> Vec<JobId> {
        self.0.range((after.map_or(Unbounded, Excluded), Unbounded)).take(most).cloned().collect()
    }
}

fn needs_follower(job: &Job) -> bool {
    job.cancel_unwatched_ms.is_some() && matches!(job.state, State::Queued | State::Running)
}
