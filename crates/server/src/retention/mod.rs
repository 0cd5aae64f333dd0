//! Retention: how long ended jobs stay, and how they go.
//!
//! A job goes in one order: first its entries in the log, then its document and results. So a job that can be read never
//! promises a result that is gone. A crash in between leaves files without a job; [`orphans`] finds them.
//!
//! Removing cannot be undone, so a wall clock that is set ahead while the server runs removes nothing early, see
//! [`CautiousClock`](crate::clock::CautiousClock). At its start the server believes the wall clock.

mod due;
pub mod holds;
pub mod orphans;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use courant_joblog::ids::{JobId, Timestamp};
use courant_joblog::job::Job;
use futures::StreamExt;

pub use due::Due;

use crate::engine::Engine;
use crate::error::Error;

/// The longest pause between two looks, in case the clock was set.
const LOOK: Duration = Duration::from_secs(60);
/// Jobs removed at once.
const AT_ONCE: usize = 16;
/// Jobs taken from the list at a time.
const BATCH: usize = 256;
/// The pause after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// How long ended jobs are kept unless told otherwise.
const DEFAULT: Duration = Duration::from_secs(7 * 24 * 3600);
/// More than anybody means.
const ABSURD: Duration = Duration::from_secs(36_500 * 24 * 3600);

/// How long an ended job is kept; `None` for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention(pub Option<Duration>);

impl Default for Retention {
    fn default() -> Self {
        Self(Some(DEFAULT))
    }
}

impl FromStr for Retention {
    type Err = humantime::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if matches!(text, "0" | "forever") {
            return Ok(Self(None));
        }
        Ok(Self(Some(humantime::parse_duration(text)?).filter(|time| !time.is_zero())))
    }
}

impl Retention {
    /// When a job is removed; `None` while it has not ended, and when everything is kept.
    pub fn expires(self, job: &Job) -> Option<Timestamp> {
        let ended = job.ended.filter(|_| job.state.is_terminal())?;
        Some(ended.plus_ms(i64::try_from(self.0?.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Whether it is longer than a program lives.
    pub fn is_absurd(self) -> bool {
        self.0.is_some_and(|time| time > ABSURD)
    }
}

/// Removes jobs whose time is over, for ever.
pub async fn run(engine: Arc<Engine>) {
    let Some(keep) = engine.config.retention.0 else { return std::future::pending().await };
    let look = LOOK.min(keep / 10).max(Duration::from_millis(10));
    let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    loop {
        let now = engine.wall.now();
        let (over, next) = {
            let before = now.plus_ms(-keep_ms);
            engine.tallies(|tallies, _| (tallies.due.until(before, BATCH), tallies.due.first()))
        };
        if over.is_empty() {
            let left = next.map_or(i64::MAX, |ended| ended.plus_ms(keep_ms).ms_since(now));
            tokio::time::sleep(look.min(Duration::from_millis(left.unsigned_abs() + 1))).await;
            continue;
        }
        if !remove_all(&engine, over, now).await {
            tokio::time::sleep(AFTER_FAILURE).await;
        }
    }
}

/// Whether all went well.
async fn remove_all(engine: &Engine, jobs: Vec<JobId>, now: Timestamp) -> bool {
    let removals = futures::stream::iter(jobs).map(|id| async move {
        let expired = |job: &Job| Ok(engine.config.retention.expires(job).is_some_and(|at| at <= now));
        match remove(engine, &id, expired).await {
            Ok(true) => {
                tracing::info!(job = %id, "job expired");
                true
            }
            Ok(false) => true,
            Err(error) => {
                tracing::warn!(job = %id, %error, "an expired job could not be removed; trying again");
                false
            }
        }
    });
    removals.buffer_unordered(AT_ONCE).fold(true, |all, one| async move { all && one }).await
}

/// Removes a job, if `may` says so of its newest state. `false` when it does not, or the job is gone already.
///
/// Must run to its end: who may be cancelled gives it a task of its own.
pub async fn remove(engine: &Engine, id: &JobId, may: impl Fn(&Job) -> Result<bool, Error>) -> Result<bool, Error> {
    // A repeated submit may make the same job again: not before its old files are gone.
    let _hold = engine.holds.take(id).await;
    let removed = engine.remove(id, may).await?;
    if removed && let Err(error) = engine.objects.remove_job(id).await {
        tracing::warn!(job = %id, %error, "files of a removed job are left; the next sweep takes them");
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::tests::queued;

    #[test]
    fn times_are_read_and_forever_has_three_names() {
        for text in ["forever", "0", "0s"] {
            assert_eq!(text.parse(), Ok(Retention(None)), "{text}");
        }
        assert_eq!("90m".parse(), Ok(Retention(Some(Duration::from_secs(5400)))));
        assert!("soon".parse::<Retention>().is_err() && "-1s".parse::<Retention>().is_err());
        assert!(Retention(Some(ABSURD * 2)).is_absurd() && !Retention::default().is_absurd());
    }

    #[test]
    fn only_an_ended_job_expires() {
        let mut job = queued("J", "alice");
        let keep = Retention(Some(Duration::from_secs(2)));
        assert_eq!(keep.expires(&job), None);
        job.state = courant_joblog::job::State::Cancelled;
        job.ended = Some(Timestamp(5));
        assert_eq!(keep.expires(&job), Some(Timestamp(2005)));
        assert_eq!(Retention(None).expires(&job), None);
    }
}
