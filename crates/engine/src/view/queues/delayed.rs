//! Jobs that are tried again are delayed until they are due.
//!
//! The log says when by the wall clock, which may be set back or forth while they wait; so the wait is measured once and
//! then kept on the steady clock. It is never longer than it was when it was decided, whatever the wall clock says.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use courant_joblog::ids::{JobId, Timestamp};
use courant_joblog::job::Job;
use tokio::time::Instant;

/// Nobody is delayed longer, whatever the log says: it is as good as for ever, and no clock overflows.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct ClockReading {
    /// What the log counts in.
    pub wall: Timestamp,
    /// What waiting is measured by.
    pub steady: Instant,
}

impl ClockReading {
    pub fn read() -> Self {
        Self { wall: Timestamp::now(), steady: Instant::now() }
    }
}

/// The delayed jobs, and until when.
#[derive(Debug, Default)]
pub(super) struct Delayed {
    order: BTreeSet<(Instant, JobId)>,
    until: HashMap<JobId, Instant>,
}

impl Delayed {
    /// Delays a job if it is not due. `false` if it is.
    pub(super) fn put(&mut self, job: &Job, now: ClockReading) -> bool {
        let wait = wait(job, now.wall);
        if wait.is_zero() {
            return false;
        }
        let until = now.steady + wait;
        self.take(&job.id);
        self.until.insert(job.id.clone(), until);
        self.order.insert((until, job.id.clone()))
    }

    /// Takes a job away. `false` if it is not here.
    pub(super) fn take(&mut self, job: &JobId) -> bool {
        // Mostly nothing is delayed, and an id is hashed only where something is.
        if self.until.is_empty() {
            return false;
        }
        let Some(until) = self.until.remove(job) else { return false };
        self.order.remove(&(until, job.clone()))
    }

    /// When the next is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.order.first().map(|(until, _)| *until)
    }

    /// The next, if it is due.
    pub(super) fn first_due(&self, now: Instant) -> Option<&JobId> {
        self.order.first().filter(|(until, _)| *until <= now).map(|(_, job)| job)
    }
}

/// How long a job has to wait yet: no longer than was decided when its last attempt ended.
fn wait(job: &Job, now: Timestamp) -> Duration {
    let Some(due) = job.not_before else { return Duration::ZERO };
    let decided = job.attempts.last().map_or(now, |attempt| attempt.ended);
    let ms = due.ms_since(now).min(due.ms_since(decided));
    Duration::from_millis(ms.unsigned_abs()).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::tests::tried;

    /// An attempt ended at 1,000, and the job is to wait until 1,400.
    fn waits_at(wall: i64) -> u128 {
        wait(&tried("J", 1_000, 1_400), Timestamp(wall)).as_millis()
    }

    #[test]
    fn a_wait_is_what_is_left_of_it() {
        assert_eq!([1_000, 1_100, 1_400, 9_000].map(waits_at), [400, 300, 0, 0]);
    }

    #[test]
    fn a_wall_clock_set_back_makes_no_wait_longer() {
        assert_eq!([999, 0, -3_600_000].map(waits_at), [400; 3]);
    }

    #[test]
    fn absurd_times_do_not_overflow() {
        let mut job = tried("J", i64::MIN, i64::MAX);
        assert_eq!(wait(&job, Timestamp(i64::MIN)), LONGEST);
        job.not_before = Some(Timestamp(i64::MIN));
        assert_eq!(wait(&job, Timestamp(i64::MAX)), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn setting_the_wall_clock_changes_nothing_for_one_who_waits() {
        let mut delayed = Delayed::default();
        let job = tried("J", 1_000, 1_400);
        let now = |wall| ClockReading { wall: Timestamp(wall), steady: Instant::now() };
        assert!(delayed.put(&job, now(1_000)));
        tokio::time::advance(Duration::from_millis(399)).await;
        assert_eq!(delayed.first_due(now(9_000_000).steady), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(delayed.first_due(now(-9_000_000).steady), Some(&job.id));
        assert!(delayed.take(&job.id) && !delayed.take(&job.id));
        assert_eq!(delayed.next_due(), None);
    }
}
