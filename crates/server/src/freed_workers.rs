//! Workers that hold a job less than before: whoever gives out jobs asks these, and not all, whether they have a free slot.

use std::collections::HashSet;

use courant_engine::projection::{JobChange, Projection};
use courant_joblog::ids::WorkerId;
use courant_joblog::job::Job;

/// Since they were last taken. Whoever gives out jobs does so whenever the log grew.
#[derive(Debug, Default)]
pub struct FreedWorkers(HashSet<WorkerId>);

impl FreedWorkers {
    pub fn take(&mut self) -> HashSet<WorkerId> {
        std::mem::take(&mut self.0)
    }
}

impl Projection for FreedWorkers {
    fn on_change(&mut self, change: &JobChange<'_>) {
        let (before, after) = change.jobs();
        if let Some(worker) = before.and_then(holder)
            && after.and_then(holder) != Some(worker)
        {
            self.0.insert(worker.clone());
        }
    }
}

fn holder(job: &Job) -> Option<&WorkerId> {
    job.worker.as_ref().filter(|_| job.state.is_held())
}
