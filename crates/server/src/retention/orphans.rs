//! Files of jobs that are not there: a crash came between the log and the files, or a worker wrote after the end.

use std::sync::Arc;
use std::time::Duration;

use courant_joblog::ids::JobId;

use crate::error::Error;
use crate::services::Services;

/// How often they are searched for, besides at start. Each search lists the folders of all jobs, and nothing in them.
const EVERY: Duration = Duration::from_secs(24 * 3600);

/// Looks for them for ever.
pub async fn run(services: Arc<Services>) {
    loop {
        match sweep(&services).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed files of jobs that are gone"),
            Err(error) => tracing::warn!(%error, "files of jobs that are gone could not be looked for"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Removes the files of all jobs that are not there. How many jobs that were.
pub async fn sweep(services: &Services) -> Result<usize, Error> {
    let mut removed = 0;
    let is_there = |id: &JobId| services.engine.read(|view| view.stored(id).is_some());
    for id in services.objects.jobs().await? {
        if is_there(&id) {
            continue;
        }
        // A submit may be about to make it: under the hold it either has or has not.
        let _hold = services.holds.take(&id).await;
        if !is_there(&id) {
            services.objects.remove_job(&id).await?;
            removed += 1;
        }
    }
    Ok(removed)
}
