//! Counts and times of the work, learned from the log as it is followed. Kept beside the view, under the same lock.

mod hour;

use std::collections::HashMap;

use courant_joblog::event::Change;
use courant_joblog::ids::{Timestamp, WorkerId};
use courant_joblog::job::{Job, State};
use courant_joblog::log::Record;

use self::hour::{JobCounts, LastHour};
use crate::clock::Moment;
use crate::projection::{JobChange, Projection};

/// How much the newest measurement counts against all before it.
const NEWEST: f64 = 0.2;
/// Workers whose pages are counted. When there are more, those that finished nothing for longest are forgotten.
const MAX_WORKERS: usize = 4096;

/// What is known of the work.
#[derive(Debug)]
pub struct Metrics {
    pub since: Timestamp,
    /// Jobs that ended since then, by how.
    pub ended: EndedJobs,
    /// Milliseconds from start to end of jobs that ended well (moving average).
    pub job_ms: Option<f64>,
    /// Jobs by state, as they are now.
    states: HashMap<State, u64>,
    hour: LastHour,
    workers: HashMap<WorkerId, WorkerSpeed>,
}

/// How many jobs ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndedJobs {
    pub succeeded: u64,
    pub failed: u64,
    pub cancelled: u64,
}

/// What a worker does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WorkerSpeed {
    /// Milliseconds it takes for a page (moving average).
    pub ms_per_page: f64,
    /// Pages it finished since counting began.
    pub pages: u64,
    newest: Moment,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::since(Timestamp::now())
    }
}

impl Projection for Metrics {
    fn restore(&mut self, change: &JobChange<'_>) {
        if let Some(known) = change.after {
            self.found_job(&known.job, known.since);
        }
    }

    fn on_change(&mut self, change: &JobChange<'_>) {
        let (before, after) = change.jobs();
        self.moved(before.map(|job| job.state), after.map(|job| job.state));
        if let Record::Changed { event, job } = &change.entry.record {
            self.learn(change.now, &event.change, job);
        }
    }
}

impl Metrics {
    /// Counting begins at this moment.
    pub fn since(since: Timestamp) -> Self {
        let (states, workers) = (HashMap::new(), HashMap::new());
        Self { since, ended: EndedJobs::default(), job_ms: None, states, hour: LastHour::default(), workers }
    }

    /// Takes in a job that was there before counting began, and has been in its state since a moment. Its end counts for the
    /// last hour only.
    fn found_job(&mut self, job: &Job, since: Moment) {
        self.moved(None, Some(job.state));
        if let Some(ended) = job.ended.map(|_| since) {
            self.hour.add(ended, ended_as(job.state));
            self.hour.add(ended, JobCounts { pages: job.pages.done_count().into(), ..JobCounts::default() });
        }
    }

    /// Takes in that a job went from one state to another; `None` is not being there.
    fn moved(&mut self, from: Option<State>, to: Option<State>) {
        if let Some(jobs) = from.and_then(|state| self.states.get_mut(&state)) {
            *jobs = jobs.saturating_sub(1);
        }
        if let Some(state) = to {
            *self.states.entry(state).or_default() += 1;
        }
    }

    /// Learns from what is seen to happen to a job, which is now this.
    fn learn(&mut self, at: Moment, change: &Change, job: &Job) {
        match change {
            Change::PageFinished { page, .. } => {
                self.hour.add(at, JobCounts { pages: 1, ..JobCounts::default() });
                if let Some(worker) = &job.worker {
                    self.page_finished(worker, at, page.duration_ms as f64);
                }
            }
            Change::Succeeded { .. } => {
                self.ended.succeeded += 1;
                if let Some(ms) = job.ran_for_ms() {
                    self.job_ms = Some(averaged(self.job_ms, ms as f64));
                }
            }
            Change::Failed { .. } => self.ended.failed += 1,
            Change::Cancelled { .. } => self.ended.cancelled += 1,
            Change::Submitted(_)
            | Change::Started { .. }
            | Change::Planned { .. }
            | Change::ExportStarted { .. }
            | Change::ExportCompleted { .. }
            | Change::ExportFailed { .. }
            | Change::OutputStored { .. }
            | Change::Retrying { .. }
            | Change::Requeued { .. }
            | Change::Cancelling { .. } => {}
        }
        if job.state.is_terminal() {
            self.hour.add(at, ended_as(job.state));
        }
    }

    pub fn last_hour(&self, now: Moment) -> JobCounts {
        self.hour.sum(now)
    }

    /// How many jobs are in a state.
    pub fn jobs(&self, state: State) -> u64 {
        self.states.get(&state).copied().unwrap_or(0)
    }

    /// What a worker does. `None` before its first page.
    pub fn speed(&self, worker: &WorkerId) -> Option<WorkerSpeed> {
        self.workers.get(worker).copied()
    }

    fn page_finished(&mut self, worker: &WorkerId, at: Moment, ms: f64) {
        if self.workers.len() >= MAX_WORKERS && !self.workers.contains_key(worker) {
            let idle = self.workers.iter().min_by_key(|(_, speed)| speed.newest).map(|(id, _)| id.clone());
            self.workers.retain(|id, _| Some(id) != idle.as_ref());
        }
        let speed = self.workers.entry(worker.clone()).or_default();
        speed.ms_per_page = averaged((speed.pages > 0).then_some(speed.ms_per_page), ms);
        speed.pages += 1;
        speed.newest = at;
    }
}

fn averaged(known: Option<f64>, new: f64) -> f64 {
    known.map_or(new, |known| known + NEWEST * (new - known))
}

fn ended_as(state: State) -> JobCounts {
    match state {
        State::Succeeded => JobCounts { succeeded: 1, ..JobCounts::default() },
        State::Failed => JobCounts { failed: 1, ..JobCounts::default() },
        State::Cancelled => JobCounts { cancelled: 1, ..JobCounts::default() },
        State::Queued | State::Running | State::Cancelling => JobCounts::default(),
    }
}

#[cfg(test)]
mod tests {
    use courant_joblog::apply::apply;
    use courant_joblog::event::Event;
    use courant_joblog::job::Page;

    use super::*;
    use crate::testing::queued;

    /// Lives a job through these changes, ten seconds apart.
    fn live(metrics: &mut Metrics, changes: &[Change]) -> Job {
        let mut job = queued("J", "alice");
        metrics.moved(None, Some(job.state));
        for (change, tick) in changes.iter().zip(1..) {
            let at = Timestamp(tick * 10_000);
            let next = apply(Some(&job), &Event::new(at, change.clone())).unwrap();
            metrics.moved(Some(job.state), Some(next.state));
            metrics.learn(Moment(at.0), change, &next);
            job = next;
        }
        job
    }

    fn page(number: u32, duration_ms: u64) -> Change {
        let page = Page { number, width: 1.0, height: 1.0, zones: vec![], duration_ms, warnings: vec![] };
        Change::PageFinished { attempt: 1, page: Box::new(page) }
    }

    fn story() -> Vec<Change> {
        vec![
            Change::Started { attempt: 1, worker: WorkerId::new("w") },
            Change::Planned { attempt: 1, pages: 2, lane: None, document: None },
            page(1, 100),
            page(2, 200),
            Change::Succeeded { attempt: 1, warnings: vec![] },
        ]
    }

    #[test]
    fn a_life_is_counted_once_in_every_figure() {
        let mut metrics = Metrics::since(Timestamp(0));
        live(&mut metrics, &story());
        assert_eq!(metrics.ended, EndedJobs { succeeded: 1, ..EndedJobs::default() });
        assert_eq!((metrics.jobs(State::Succeeded), metrics.jobs(State::Running)), (1, 0));
        assert_eq!(metrics.job_ms, Some(40_000.0));
        let hour = metrics.last_hour(Moment(60_000));
        assert_eq!((hour.succeeded, hour.pages), (1, 2));
        let speed = metrics.speed(&WorkerId::new("w")).unwrap();
        assert_eq!((speed.pages, speed.ms_per_page), (2, 120.0));
        metrics.moved(Some(State::Succeeded), None);
        assert_eq!(metrics.jobs(State::Succeeded), 0);
    }

    #[test]
    fn a_restart_knows_the_last_hour_and_counts_from_nothing() {
        let job = live(&mut Metrics::since(Timestamp(0)), &story());
        let mut metrics = Metrics::since(Timestamp(100_000));
        metrics.found_job(&job, Moment(50_000));
        let hour = metrics.last_hour(Moment(100_000));
        assert_eq!((hour.succeeded, hour.pages, metrics.ended.succeeded), (1, 2, 0));
        assert_eq!(metrics.jobs(State::Succeeded), 1);
    }

    #[test]
    fn workers_beyond_the_limit_push_out_the_idlest() {
        let mut metrics = Metrics::since(Timestamp(0));
        for n in 0..=MAX_WORKERS {
            metrics.page_finished(&WorkerId::new(format!("w{n}")), Moment(n as i64), 1.0);
        }
        assert_eq!(metrics.workers.len(), MAX_WORKERS);
        assert!(metrics.speed(&WorkerId::new("w0")).is_none());
    }
}
