//! Files of jobs that are not there: a crash came between the log and the files, or a worker wrote after the end.

use std::sync::Arc;
use std::time::Duration;

use courant_joblog::ids::JobId;

use crate::error::Error;
use crate::services::Services;

/// How often they are searched for, besides at start. Each search lists the folders of all jobs, and nothing in them.
const EVERY: Duration = Duration::from_secs(24 * 3600);

/// Files younger than this may be of a job that another server is about to make.
const OTHERS_WITHIN: Duration = Duration::from_secs(3600);

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

/// Whether another server may be about to make the job: holds are one server's own, and what it has appended may not have arrived.
/// What it makes later has a folder of its own and is not among the entries that were found.
async fn may_be_anothers(services: &Services, id: &JobId) -> Result<bool, Error> {
    if services.engine.log.peers().is_none() {
        return Ok(false);
    }
    services.objects.written_after(id, services.engine.wall.file_time() - OTHERS_WITHIN).await
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
        let found = services.objects.entries(&id).await?;
        if !is_there(&id) && !may_be_anothers(services, &id).await? {
            services.objects.remove_entries(&id, found).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use courant_joblog::memory::MemoryLog;

    use super::*;
    use crate::config::Config;
    use crate::job_folder::JobFolder;
    use crate::objects::Objects;

    /// How many jobs' files are removed of one that was written a moment ago and is in no log.
    async fn removed(log: MemoryLog) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::local(folder.path()).unwrap();
        let services = Services::open(Config::new(folder.path()), Arc::new(log), objects).await.unwrap();
        let document = services.objects.job_file(&JobFolder::new(JobId::new("J"), None), "document");
        services.objects.put(&document, b"%PDF".to_vec()).await.unwrap();
        sweep(&services).await.unwrap()
    }

    #[tokio::test]
    async fn what_another_server_may_be_about_to_make_a_job_of_stays() {
        assert_eq!((removed(MemoryLog::new()).await, removed(MemoryLog::shared()).await), (1, 0));
    }
}
