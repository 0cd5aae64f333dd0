//! Jobs that are cancelled when nobody follows them any more.
//!
//! Who follows the job, its document, its batch or its owner's jobs counts; who follows everything does not. The time
//! begins when the job is queued, or when the last follower leaves, and anew when the server starts.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::time::Duration;

use courant_joblog::ids::{JobId, Timestamp};
use courant_joblog::job::{Job, State};
use tokio::time::{Instant, MissedTickBehavior};

use super::cancelling;
use crate::engine::{CHUNK, Engine};
use crate::error::Error;

/// How often one looks.
const LOOK: Duration = Duration::from_secs(1);
/// Who is said to have cancelled such a job.
pub const BY: &str = "unwatched";

/// The unfinished jobs that want a follower.
#[derive(Debug, Default)]
pub struct Wishes(BTreeSet<JobId>);

impl Wishes {
    /// Takes in a job's change.
    pub fn moved(&mut self, old: Option<&Job>, new: Option<&Job>) {
        match (new.or(old), new.is_some_and(wishes)) {
            (Some(job), true) => drop(self.0.insert(job.id.clone())),
            (Some(job), false) if job.cancel_unwatched_ms.is_some() => drop(self.0.remove(&job.id)),
            (Some(_) | None, _) => {}
        }
    }

    fn after(&self, after: Option<&JobId>, most: usize) -> Vec<JobId> {
        self.0.range((after.map_or(Unbounded, Excluded), Unbounded)).take(most).cloned().collect()
    }
}

fn wishes(job: &Job) -> bool {
    job.cancel_unwatched_ms.is_some() && matches!(job.state, State::Queued | State::Running)
}

/// Looks for jobs that nobody follows, for ever.
pub async fn run(engine: Arc<Engine>) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut alone = Alone { engine, begun: Instant::now(), since: HashMap::new() };
    loop {
        ticks.tick().await;
        alone.look().await;
    }
}

struct Alone {
    engine: Arc<Engine>,
    begun: Instant,
    /// Since when nobody follows a job.
    since: HashMap<JobId, Instant>,
}

impl Alone {
    async fn look(&mut self) {
        let mut before = std::mem::take(&mut self.since);
        let mut after: Option<JobId> = None;
        loop {
            let ids = self.engine.tallies(|tallies, _| tallies.wishes.after(after.as_ref(), CHUNK));
            let Some(last) = ids.last().cloned() else { return };
            for id in ids {
                self.judge(id, &mut before).await;
            }
            after = Some(last);
        }
    }

    async fn judge(&mut self, id: JobId, before: &mut HashMap<JobId, Instant>) {
        let Some(job) = self.engine.read(|view| view.get(&id).map(|known| known.job.clone())) else { return };
        let Some(limit) = job.cancel_unwatched_ms.map(Duration::from_millis) else { return };
        if self.is_followed(&job) {
            // From now on: the next look finds out whether they left.
            self.since.insert(id, Instant::now());
            return;
        }
        let since = before.remove(&id).unwrap_or_else(|| self.queued(&job));
        self.since.insert(id.clone(), since);
        if since.elapsed() < limit {
            return;
        }
        match self.engine.change(&id, |job| Ok(cancelling(job, BY).filter(|_| !self.is_followed(job)))).await {
            Ok(seen) if seen.known.job.cancelled_by.as_deref() == Some(BY) => {
                tracing::info!(job = %id, "cancelled: nobody follows it");
            }
            // Somebody came, or it has ended.
            Ok(_) | Err(Error::JobNotFound(_)) => {}
            Err(error) => tracing::warn!(job = %id, %error, "a job that nobody follows could not be cancelled"),
        }
    }

    fn is_followed(&self, job: &Job) -> bool {
        self.engine.is_followed(job) || self.engine.tallies(|tallies, _| tallies.batches.is_followed(job))
    }

    /// When the job was queued, but not before this server began.
    fn queued(&self, job: &Job) -> Instant {
        let waited = Duration::from_millis(Timestamp::now().ms_since(job.queued).unsigned_abs());
        Instant::now() - waited.min(self.begun.elapsed())
    }
}
