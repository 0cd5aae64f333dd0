//! Batches: several jobs as one thing, counted as their entries come in.
//!
//! A removed job leaves its batch: it is no longer counted, and neither waited for. What a submitter announced is waited
//! for until a day after the newest job came: who announced more than came must not keep everybody waiting for ever.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use courant_joblog::ids::{BatchId, JobId, Owner, Revision, Timestamp};
use courant_joblog::job::{Job, State};
use tokio::sync::watch;

use crate::clock::{Clock, Moment};
use crate::projection::{JobChange, Projection};
use crate::view::{ListKey, SortedSet, View};

/// How long after its newest job a batch waits for those that were announced.
pub const ANNOUNCED_FOR: Duration = Duration::from_secs(24 * 3600);

/// A batch belongs to one owner; another owner's of the same name is another batch.
pub type BatchKey = (Owner, BatchId);

/// All batches that have jobs.
#[derive(Debug, Default)]
pub struct Batches(HashMap<BatchKey, BatchCounts>, Clock);

/// What is known of one batch.
#[derive(Debug, Default)]
struct BatchCounts {
    jobs: SortedSet<ListKey>,
    held: BTreeSet<JobId>,
    states: HashMap<State, u32>,
    pages_total: u64,
    pages_done: u64,
    announced: u32,
    removed: u32,
    ended: Option<Timestamp>,
    /// When the newest job came.
    newest: Option<Moment>,
    revision: Revision,
    /// Made by the first who follows it.
    changed: Option<watch::Sender<()>>,
}

/// A batch as it is at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub name: BatchKey,
    /// Jobs that are there or announced.
    pub total: u32,
    /// Jobs that are there, by state.
    pub states: HashMap<State, u32>,
    /// 0 to 100.
    pub percent: f64,
    /// Pages, as far as known.
    pub pages_total: u64,
    pub pages_done: u64,
    /// Whether all have ended.
    pub complete: bool,
    /// When its first job was submitted.
    pub created: Timestamp,
    /// When its last job ended, once complete.
    pub ended: Option<Timestamp>,
    /// The newest entry of any of its jobs.
    pub revision: Revision,
}

impl Projection for Batches {
    fn on_change(&mut self, change: &JobChange<'_>) {
        let (old, new) = change.jobs();
        self.apply(old, new, change.entry.revision);
    }
}

impl Batches {
    fn apply(&mut self, old: Option<&Job>, new: Option<&Job>, revision: Revision) {
        let Some(name) = new.or(old).and_then(name) else { return };
        let counts = self.0.entry(name.clone()).or_default();
        if let Some(job) = old {
            counts.take_out(job);
        }
        match new {
            Some(job) => counts.put_in(job),
            None => counts.removed += 1,
        }
        if let (None, Some(new)) = (old, new) {
            // The clock of the log's times may be set later on.
            counts.newest = counts.newest.max(Some(self.1.moment_of(new.created, Timestamp::now())));
        }
        counts.revision = counts.revision.max(revision);
        if let Some(changed) = &counts.changed {
            changed.send_replace(());
        }
        if counts.jobs.is_empty() {
            self.0.remove(&name);
        }
    }

    /// A batch as it is, when the wall clock says this.
    pub fn get(&self, name: &BatchKey, view: &View, now: Timestamp) -> Option<Batch> {
        Some(self.0.get(name)?.state(name, view, now, self.1.now()))
    }

    /// A signal for each change of a batch. The sender is gone when the batch is.
    pub fn subscribe(&mut self, name: &BatchKey) -> Option<watch::Receiver<()>> {
        let changed = &mut self.0.get_mut(name)?.changed;
        Some(changed.get_or_insert_with(|| watch::Sender::new(())).subscribe())
    }

    /// Whether anybody follows the batch of this job.
    pub fn is_followed(&self, job: &Job) -> bool {
        let counts = name(job).and_then(|name| self.0.get(&name));
        counts.and_then(|counts| counts.changed.as_ref()).is_some_and(|changed| changed.receiver_count() > 0)
    }

    /// Jobs of a batch after a key, oldest first, at most so many.
    pub fn jobs(&self, name: &BatchKey, after: Option<&ListKey>, most: usize) -> Vec<ListKey> {
        let Some(counts) = self.0.get(name) else { return Vec::new() };
        counts.jobs.after(after).take(most).cloned().collect()
    }
}

fn name(job: &Job) -> Option<BatchKey> {
    Some((job.owner.clone(), job.batch.clone()?))
}

impl BatchCounts {
    fn put_in(&mut self, job: &Job) {
        self.jobs.insert((job.created, job.id.clone()));
        *self.states.entry(job.state).or_default() += 1;
        if job.state.is_held() {
            self.held.insert(job.id.clone());
        }
        self.pages_total += u64::from(job.pages.total.unwrap_or(0));
        self.pages_done += u64::from(job.pages.done_count());
        self.announced = self.announced.max(job.batch_size.unwrap_or(0));
        self.ended = self.ended.max(job.ended.filter(|_| job.state.is_terminal()));
    }

    fn take_out(&mut self, job: &Job) {
        self.jobs.remove(&(job.created, job.id.clone()));
        if let Some(count) = self.states.get_mut(&job.state) {
            *count = count.saturating_sub(1);
        }
        self.held.remove(&job.id);
        self.pages_total = self.pages_total.saturating_sub(u64::from(job.pages.total.unwrap_or(0)));
        self.pages_done = self.pages_done.saturating_sub(u64::from(job.pages.done_count()));
    }

    fn state(&self, name: &BatchKey, view: &View, wall: Timestamp, now: Moment) -> Batch {
        let there = u32::try_from(self.jobs.len()).unwrap_or(u32::MAX);
        let stood = self.newest.map_or(0, |newest| now.ms_since(newest));
        let still_announced = stood <= ANNOUNCED_FOR.as_millis() as u64;
        let announced = if still_announced { self.announced.saturating_sub(self.removed) } else { 0 };
        let total = there.max(announced);
        let ended: u32 = self.states.iter().filter(|(state, _)| state.is_terminal()).map(|(_, count)| count).sum();
        let running: f64 =
            self.held.iter().filter_map(|id| view.unfinished(id)).map(|current| current.progress().percent).sum();
        let complete = ended == total;
        Batch {
            name: name.clone(),
            total,
            states: self.states.clone(),
            percent: (f64::from(ended) * 100.0 + running) / f64::from(total.max(1)),
            pages_total: self.pages_total,
            pages_done: self.pages_done,
            complete,
            created: self.jobs.first().map_or(wall, |(created, _)| *created),
            ended: self.ended.filter(|_| complete),
            revision: self.revision,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::queued;

    fn job(id: &str, state: State, size: Option<u32>) -> Job {
        let mut job = queued(id, "alice");
        (job.batch, job.batch_size, job.state) = (Some(BatchId::new("B")), size, state);
        job.created = Timestamp::now();
        job.ended = state.is_terminal().then(Timestamp::now);
        job.pages.total = Some(10);
        job
    }

    fn name() -> BatchKey {
        (Owner::new("alice"), BatchId::new("B"))
    }

    fn now(batches: &Batches) -> Batch {
        batches.get(&name(), &View::default(), Timestamp::now()).unwrap()
    }

    #[test]
    fn an_announced_batch_is_not_complete_before_the_last_has_come_and_ended() {
        let mut batches = Batches::default();
        batches.apply(None, Some(&job("A", State::Succeeded, Some(2))), Revision(1));
        let batch = now(&batches);
        assert_eq!((batch.total, batch.complete, batch.percent, batch.ended), (2, false, 50.0, None));
        let (waiting, failed) = (job("C", State::Queued, None), job("C", State::Failed, None));
        batches.apply(None, Some(&waiting), Revision(2));
        assert!(!now(&batches).complete);
        batches.apply(Some(&waiting), Some(&failed), Revision(3));
        let batch = now(&batches);
        assert_eq!((batch.complete, batch.percent, batch.pages_total), (true, 100.0, 20));
        assert_eq!((batch.ended, batch.revision), (failed.ended, Revision(3)));
    }

    #[test]
    fn a_removed_job_is_neither_counted_nor_waited_for() {
        let mut batches = Batches::default();
        let (first, second) = (job("A", State::Succeeded, Some(2)), job("C", State::Succeeded, Some(2)));
        batches.apply(None, Some(&first), Revision(1));
        batches.apply(None, Some(&second), Revision(2));
        batches.apply(Some(&first), None, Revision(3));
        let batch = now(&batches);
        assert_eq!((batch.total, batch.complete, batch.pages_total), (1, true, 10));
        batches.apply(Some(&second), None, Revision(4));
        assert!(batches.0.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_announced_is_not_waited_for_for_ever_whatever_the_wall_clock_says() {
        let mut batches = Batches::default();
        let only = job("A", State::Succeeded, Some(5));
        batches.apply(None, Some(&only), Revision(1));
        let day = ANNOUNCED_FOR.as_millis() as i64;
        let seen = |batches: &Batches, set_by| {
            let batch = batches.get(&name(), &View::default(), Timestamp::now().plus_ms(set_by)).unwrap();
            (batch.total, batch.complete)
        };
        for set_by in [0, 2 * day, -2 * day] {
            assert_eq!(seen(&batches, set_by), (5, false), "set by {set_by} ms");
        }
        tokio::time::advance(ANNOUNCED_FOR + Duration::from_secs(1)).await;
        for set_by in [0, 2 * day, -2 * day] {
            assert_eq!(seen(&batches, set_by), (1, true), "set by {set_by} ms");
        }
        let mut restarted = Batches::default();
        let old = Job { created: only.created.plus_ms(-day - 1), ..only };
        restarted.apply(None, Some(&old), Revision(1));
        assert_eq!(seen(&restarted, 0), (1, true), "at a start the log is believed");
    }

    #[test]
    fn counting_up_and_down_leaves_what_counting_anew_would() {
        let mut batches = Batches::default();
        let states =
            [State::Queued, State::Running, State::Queued, State::Running, State::Cancelling, State::Cancelled];
        let mut old = None;
        for (state, revision) in states.into_iter().zip(1..) {
            let new = job("A", state, None);
            let new = Job { created: Timestamp(1), ..new };
            batches.apply(old.as_ref(), Some(&new), Revision(revision));
            old = Some(new);
        }
        let mut rebuilt = Batches::default();
        rebuilt.apply(None, old.as_ref(), Revision(6));
        let (mut batch, fresh) = (now(&batches), now(&rebuilt));
        batch.states.retain(|_, count| *count > 0);
        assert_eq!(batch, fresh);
    }
}
