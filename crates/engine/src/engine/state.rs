//! What lies under the engine's one lock, and how an entry of the log gets into it.

use std::sync::Arc;

use courant_joblog::ids::{Revision, Timestamp};
use courant_joblog::job::{self, Job};
use courant_joblog::log::{Entry, Filter, Log, ReadError, Record};

use crate::clock::{Clock, Moment, Replay};
use crate::estimate::Estimates;
use crate::hub::Hub;
use crate::hub::watch_queue::Durable;
use crate::projection::{JobChange, PastEvent, Projection, Projections};
use crate::snapshot::{EstimatedPosition, JobSnapshot};
use crate::view::{Applied, CurrentJob, View};

/// Entries read from the log at a time.
pub const PAGE: usize = 512;
/// How many entries a start replays for the estimates.
const WARM_UP: u64 = 8192;

/// View, watchers and all that is counted beside them.
#[derive(Default)]
pub(super) struct State {
    pub(super) view: View,
    pub(super) hub: Hub,
    /// A projection too, but known by name: what readers see of a job is made of view and estimates.
    pub(super) estimates: Estimates,
    pub(super) projections: Projections,
}

impl State {
    /// Applies the newest entry of a job at the start.
    pub(super) fn restore(&mut self, entry: &Entry) {
        if let Some(applied) = self.view.apply(entry) {
            self.project(entry, &applied, |projection, change| projection.restore(change));
        }
    }

    pub(super) fn apply(&mut self, entry: &Arc<Entry>) {
        let Some(applied) = self.view.apply(entry) else { return };
        self.project(entry, &applied, |projection, change| projection.on_change(change));
        let Applied { before, after } = &applied;
        let batch = before.as_ref().and_then(|before| before.job.batch.clone());
        match (&entry.record, before) {
            (Record::Changed { job, .. }, _) => {
                let waited =
                    |before: &CurrentJob| before.job.state == job::State::Queued && before.job.lane == job.lane;
                if job.state == job::State::Queued && !before.as_ref().is_some_and(waited) {
                    self.hub.begins_to_wait(&job.id);
                }
                let percent = after.as_ref().map_or(job.progress.percent, |current| current.progress().percent);
                let remaining = after.as_ref().and_then(|current| self.estimates.remaining(current, self.view.now()));
                self.hub.notify(job, &Durable { entry: entry.clone(), percent, remaining, batch });
            }
            (Record::Forgotten, Some(before)) => {
                self.hub.notify(&before.job, &Durable { batch, ..Durable::of(entry.clone()) });
            }
            // Created and removed between two reads of the log: nobody ever saw it.
            (Record::Forgotten, None) => {}
        }
    }

    fn project(
        &mut self,
        entry: &Entry,
        Applied { before, after }: &Applied,
        call: impl Fn(&mut dyn Projection, &JobChange<'_>),
    ) {
        let change = JobChange { entry, before: before.as_ref(), after: after.as_ref(), now: self.view.now() };
        call(&mut self.estimates, &change);
        self.projections.each(|projection| call(projection, &change));
    }

    fn replay(&mut self, past: &PastEvent<'_>) {
        self.estimates.replay(past);
        self.projections.each(|projection| projection.replay(past));
    }

    pub(super) fn snapshot(&self, current: &CurrentJob) -> JobSnapshot {
        let now = self.view.now();
        let remaining = self.estimates.remaining(current, now);
        let elapsed = current.elapsed_ms(now);
        JobSnapshot {
            current: current.clone(),
            position: self.estimated_position(&current.job, now),
            remaining,
            elapsed,
        }
    }

    pub(super) fn estimated_position(&self, job: &Job, now: Moment) -> Option<EstimatedPosition> {
        let position = self.view.position(job)?;
        Some(EstimatedPosition::of(position, &self.estimates.basis(&self.view, &job.kind, job.lane, now)))
    }
}

/// Shows the newest entries to what learns from them, so that estimates do not begin again with every start. Gives the
/// clock that goes on from there.
pub(super) async fn warm_up(log: &dyn Log, head: Revision, state: &mut State) -> Result<Clock, ReadError> {
    let mut after = Revision(head.0.saturating_sub(WARM_UP));
    let mut replay = Replay::default();
    loop {
        let page = log.read(after, &Filter::All, PAGE).await?;
        let Some(last) = page.last() else { return Ok(Clock::starting_at(replay.moment(Timestamp::now()))) };
        after = last.revision;
        for entry in &page {
            if let Record::Changed { event, job } = &entry.record {
                state.replay(&PastEvent { event, job, at: replay.moment(event.at) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use courant_joblog::apply::apply;
    use courant_joblog::event::{Change, Event};
    use courant_joblog::ids::WorkerId;
    use courant_joblog::job::Page;
    use courant_joblog::log::{Append, Key};
    use courant_joblog::memory::MemoryLog;
    use tokio::time::Duration;

    use super::*;
    use crate::metrics::Metrics;
    use crate::testing::queued;

    const DAY: i64 = 24 * 3600 * 1000;

    /// What happens to a document of five pages, a second each; the last page is still to come.
    fn changes() -> Vec<Change> {
        let page =
            |number| Page { number, width: 1.0, height: 1.0, zones: vec![], duration_ms: 1_000, warnings: vec![] };
        let started = Change::Started { attempt: 1, worker: WorkerId::new("w") };
        let mut changes = vec![started, Change::Planned { attempt: 1, pages: 5, lane: None, document: None }];
        changes.extend((1..5).map(|number| Change::PageFinished { attempt: 1, page: Box::new(page(number)) }));
        changes
    }

    #[tokio::test(start_paused = true)]
    async fn estimates_stand_through_a_wall_clock_that_is_set() {
        let (mut state, mut revision) = (State::default(), 0);
        let metrics = state.projections.register(Metrics::default());
        state.view.advance(Revision(1));
        for number in 0..12 {
            // Every other document has a day of its own: forth and back.
            let wall = 10 * DAY + if number % 2 == 0 { DAY } else { -DAY } * i64::from(number % 4 < 2);
            let mut job = queued(&format!("J{number}"), "alice");
            for change in changes() {
                tokio::time::advance(Duration::from_secs(1)).await;
                // In the middle of a document too.
                let at = Timestamp(if job.pages.done_count() > 2 { wall - DAY } else { wall });
                let ran_ms = state.view.get(&job.id).and_then(|current| current.held_for_ms(state.view.now()));
                let event = Event { at, change, ran_ms };
                job = apply(Some(&job), &event).unwrap();
                revision += 1;
                let (key, record) = (Key::of(&job), Record::Changed { event, job: Arc::new(job.clone()) });
                state.apply(&Arc::new(Entry { revision: Revision(1 + revision), key, record }));
            }
            let current = state.view.get(&job.id).unwrap();
            assert_eq!(current.elapsed_ms(state.view.now()), Some(5_000), "{number}");
            let remaining = state.estimates.remaining(&current, state.view.now());
            let left = remaining.map_or(0, |remaining| remaining.ms);
            assert!(number < 2 || (500..2_000).contains(&left), "{number}: {remaining:?}");
        }
        assert_eq!(metrics.lock().last_hour(state.view.now()).pages, 12 * 4, "all of it happened within minutes");
    }

    #[tokio::test]
    async fn a_log_over_days_that_never_were_is_learned_from() {
        let log = MemoryLog::new();
        for number in 0..8i64 {
            let mut job = queued(&format!("J{number}"), "alice");
            let mut expect = None;
            for (change, tick) in changes().into_iter().zip(0..) {
                // The clock was set a day ahead in the middle of each second document, and back in the others.
                let jump = if tick > 3 { DAY * (1 - 2 * (number % 2)) } else { 0 };
                let event = Event::new(Timestamp(100 * DAY + number * 10_000 + tick * 1_000 + jump), change);
                job = apply(Some(&job), &event).unwrap();
                let append = Append::one(expect, event, Arc::new(job.clone()));
                expect = Some(log.append(append).await.unwrap());
            }
        }
        let mut state = State::default();
        let head = *log.head().borrow();
        let clock = warm_up(&log, head, &mut state).await.unwrap();
        state.view = View::new(Default::default(), clock);
        state.view.advance(head);
        let mut job = queued("N", "alice");
        for change in changes().into_iter().take(2) {
            let event = Event::new(Timestamp::now(), change);
            job = apply(Some(&job), &event).unwrap();
            let revision = Revision(state.view.revision().0 + 1);
            let (key, record) = (Key::of(&job), Record::Changed { event, job: Arc::new(job.clone()) });
            state.apply(&Arc::new(Entry { revision, key, record }));
        }
        let remaining = state.estimates.remaining(&state.view.get(&job.id).unwrap(), state.view.now()).unwrap();
        assert!(remaining.ms < 3_600_000, "no page takes a day: {remaining:?}");
    }
}
