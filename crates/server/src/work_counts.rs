//! What becomes of jobs, counted as the log is followed, for operators. Counts what happens since the start of this server,
//! whoever did it: each of several servers on one log counts all of it.

use std::sync::Arc;

use courant_engine::projection::{JobChange, Projection};
use courant_joblog::event::Change;
use courant_joblog::job::{Job, Lane, State};
use courant_joblog::log::Record;
use courant_runtime::stats::{Counter, Histogram, WAITS};
use tokio::time::Duration;

/// Read without a lock.
#[derive(Debug)]
pub struct WorkCounts {
    pub submitted: Counter,
    pub succeeded: Counter,
    pub failed: Counter,
    pub cancelled: Counter,
    /// Attempts that ended badly, and another will be made.
    pub retries: Counter,
    /// Ended jobs that somebody asked for once more.
    pub requeued: Counter,
    pub pages: Counter,
    /// From waiting to started, by lane; of a retry with the pause before it.
    waits: [Histogram; Lane::ALL.len()],
    /// From the start of the last attempt to the end of jobs that succeeded.
    pub took: Histogram,
}

impl Default for WorkCounts {
    fn default() -> Self {
        let count = Counter::default;
        Self {
            submitted: count(),
            succeeded: count(),
            failed: count(),
            cancelled: count(),
            retries: count(),
            requeued: count(),
            pages: count(),
            waits: std::array::from_fn(|_| Histogram::of_seconds(WAITS)),
            took: Histogram::of_seconds(WAITS),
        }
    }
}

impl WorkCounts {
    pub fn waits(&self, lane: Lane) -> &Histogram {
        &self.waits[lane as usize]
    }
}

/// Counts into what others read.
#[derive(Debug, Default)]
pub struct WorkCounter(Arc<WorkCounts>);

impl WorkCounter {
    pub fn counts(&self) -> Arc<WorkCounts> {
        self.0.clone()
    }

    fn ended(&self, job: &Job) {
        match job.state {
            State::Succeeded => {
                self.0.succeeded.inc();
                if let Some(ms) = job.ran_for_ms() {
                    self.0.took.observe(Duration::from_millis(ms));
                }
            }
            State::Failed => self.0.failed.inc(),
            State::Cancelled => self.0.cancelled.inc(),
            State::Queued | State::Running | State::Cancelling => {}
        }
    }
}

impl Projection for WorkCounter {
    /// What was there before does not count.
    fn restore(&mut self, _: &JobChange<'_>) {}

    fn on_change(&mut self, change: &JobChange<'_>) {
        let Record::Changed { event, job } = &change.entry.record else { return };
        match &event.change {
            Change::Submitted(_) => self.0.submitted.inc(),
            Change::Started { .. } => {
                if let Some(before) = change.before.filter(|before| before.job.state == State::Queued) {
                    let waited = change.now.ms_since(before.since);
                    self.0.waits(before.job.lane).observe(Duration::from_millis(waited));
                }
            }
            Change::PageFinished { .. } => self.0.pages.inc(),
            Change::Retrying { .. } => self.0.retries.inc(),
            Change::Requeued { .. } => self.0.requeued.inc(),
            Change::Succeeded { .. } | Change::Failed { .. } | Change::Cancelled { .. } => self.ended(job),
            Change::Planned { .. }
            | Change::ExportStarted { .. }
            | Change::ExportCompleted { .. }
            | Change::ExportFailed { .. }
            | Change::OutputStored { .. }
            | Change::Cancelling { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use courant_engine::projection::Projections;
    use courant_engine::testing;
    use courant_joblog::ids::{JobId, WorkerId};
    use courant_joblog::memory::MemoryLog;

    use super::*;

    #[tokio::test]
    async fn the_life_of_a_job_is_counted_once() {
        let (counter, mut projections) = (WorkCounter::default(), Projections::default());
        let counts = counter.counts();
        projections.register(counter);
        let log = Arc::new(MemoryLog::new());
        let engine = testing::follow(testing::config(), log, projections).await.unwrap();
        let id = JobId::new("J");
        let submitted = Change::Submitted(Box::new(testing::submission("J", "alice")));
        engine.create(submitted, id.clone(), Vec::new(), None).await.unwrap();
        let waiting = engine.get(&id).unwrap().current.job;
        engine.claim(&WorkerId::new("w"), &waiting).await.unwrap().unwrap();
        let succeeded = Change::Succeeded { attempt: 1, warnings: Vec::new() };
        engine.change(&id, |_| Ok(Some(succeeded.clone()))).await.unwrap();
        let ended = (counts.succeeded.get(), counts.failed.get(), counts.cancelled.get());
        assert_eq!((counts.submitted.get(), ended), (1, (1, 0, 0)));
        assert_eq!((counts.waits(Lane::Normal).counted().count, counts.took.counted().count), (1, 1));
        assert_eq!(counts.waits(Lane::Large).counted().count, 0);
    }
}
