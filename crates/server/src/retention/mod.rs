//! Retention: how long ended jobs stay, and how they go.
//!
//! A job goes in one order: first its entries in the log, then its document and results. So a job that can be read never
//! promises a result that is gone. A crash in between leaves files without a job; [`orphans`] finds them.
//!
//! Removing cannot be undone, so a wall clock that is set ahead while the server runs removes nothing early, see
//! [`CautiousClock`](courant_engine::clock::CautiousClock). At its start the server believes the wall clock.

pub mod orphans;

use std::sync::Arc;
use std::time::Duration;

use courant_engine::Error as Refused;
use courant_joblog::ids::{JobId, Timestamp};
use courant_joblog::job::Job;
use futures::StreamExt;

use crate::error::Error;
use crate::job_folder::JobFolder;
use crate::services::Services;

/// The longest pause between two checks, in case the clock was set.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// Jobs removed at once.
const AT_ONCE: usize = 16;
/// Jobs taken from the list at a time.
const BATCH: usize = 256;
/// The pause after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Removes jobs whose time is over, for ever.
pub async fn run(services: Arc<Services>) {
    let Some(keep) = services.config.retention.0 else { return std::future::pending().await };
    let max_pause = MAX_PAUSE.min(keep / 10).max(Duration::from_millis(10));
    let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    loop {
        let now = services.engine.wall.now();
        let (over, next) = {
            let before = now.plus_ms(-keep_ms);
            services
                .engine
                .projection(&services.projections.expiry, |expiry, _| (expiry.until(before, BATCH), expiry.first()))
        };
        if over.is_empty() {
            let left = next.map_or(i64::MAX, |ended| ended.plus_ms(keep_ms).ms_since(now));
            tokio::time::sleep(max_pause.min(Duration::from_millis(left.unsigned_abs() + 1))).await;
            continue;
        }
        if !remove_all(&services, over, now).await {
            tokio::time::sleep(AFTER_FAILURE).await;
        }
    }
}

/// Whether all went well.
async fn remove_all(services: &Services, jobs: Vec<JobId>, now: Timestamp) -> bool {
    let removals = futures::stream::iter(jobs).map(|id| async move {
        let expired = |job: &Job| Ok(services.config.retention.expires(job).is_some_and(|at| at <= now));
        match remove(services, &id, expired).await {
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

/// Removes a job, if `may` allows it for its newest state. `false` when it does not, or the job is gone already. Other servers
/// need not know: what they make again under this id has a folder of its own.
///
/// Must run to its end: who may be cancelled gives it a task of its own.
pub async fn remove(
    services: &Services,
    id: &JobId,
    may: impl Fn(&Job) -> Result<bool, Refused>,
) -> Result<bool, Error> {
    // A repeated submit may make the same job again: not before its old files are gone.
    let _hold = services.holds.take(id).await;
    let Some(job) = services.engine.remove(id, may).await? else { return Ok(false) };
    let folder = JobFolder::of(&job);
    services.files.forget(&folder);
    if let Err(error) = services.objects.remove_folder(&folder).await {
        tracing::warn!(job = %id, %error, "files of a removed job are left; the next sweep takes them");
    }
    Ok(true)
}
