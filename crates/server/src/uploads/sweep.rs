//! Uploads that nobody finished go, once nothing has come for long enough.
//!
//! How old one is the store's times say, which outlive a restart. A wall clock that is set ahead removes nothing early, see
//! [`Wall`](courant_engine::clock::Wall); of one that was set back, whose files seem to be of days to come, what was seen
//! without a change for long enough goes as well.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::stored_upload;
use crate::error::Error;
use crate::objects::UploadPath;
use crate::services::Services;

/// The longest pause between two sweeps. In between, an expired upload is answered as not found.
const EVERY: Duration = Duration::from_secs(3600);

/// Looks for them for ever.
pub async fn run(services: Arc<Services>) {
    let mut seen = LastSeen::default();
    loop {
        match sweep(&services, &mut seen).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed uploads that nobody finished"),
            Err(error) => tracing::warn!(%error, "expired uploads could not be looked for"),
        }
        tokio::time::sleep(EVERY.min(services.config.upload_retention)).await;
    }
}

/// Each upload that was there at the last sweep, when something of it was written last, and since when that is known.
#[derive(Debug, Default)]
pub struct LastSeen(HashMap<UploadPath, (SystemTime, Instant)>);

/// Removes what has expired. How many uploads that were.
pub async fn sweep(services: &Services, seen: &mut LastSeen) -> Result<usize, Error> {
    let mut removed = 0;
    let mut now = LastSeen::default();
    for owner in services.objects.upload_owners().await? {
        for path in services.objects.folders(&owner).await? {
            let Some(newest) = stored_upload::newest(&services.objects.upload_files(&path).await?) else { continue };
            let known = seen.0.get(&path).filter(|(written, _)| *written == newest).map(|(_, since)| *since);
            let since = known.unwrap_or_else(Instant::now);
            if is_over(services, newest, since) {
                services.objects.remove_upload(&path).await?;
                removed += 1;
            } else {
                now.0.insert(path, (newest, since));
            }
        }
    }
    *seen = now;
    Ok(removed)
}

/// Also what has no descriptor: a piece that came after its upload was removed.
fn is_over(services: &Services, newest: SystemTime, since: Instant) -> bool {
    let keep = services.config.upload_retention;
    newest + keep <= services.engine.wall.file_time() || since.elapsed() >= keep
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use courant_joblog::ids::{JobId, Owner};
    use courant_joblog::memory::MemoryLog;
    use courant_proto::v1::SubmitJobHeader;

    use super::super::stored_upload::UploadKey;
    use super::*;
    use crate::Config;
    use crate::objects::Objects;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    async fn services() -> (Arc<Services>, tempfile::TempDir, UploadKey) {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::local(folder.path()).unwrap();
        let services = Services::open(Config::new(folder.path()), Arc::new(MemoryLog::new()), objects).await.unwrap();
        let key = UploadKey { owner: Owner::new("alice"), id: JobId::new("U") };
        assert!(stored_upload::begin(&services, &key, SubmitJobHeader::default()).await.unwrap());
        (services, folder, key)
    }

    fn set(services: &Services, by: i64) {
        services.engine.wall.set_by.store(by, Ordering::Relaxed);
    }

    #[tokio::test]
    async fn a_wall_clock_that_is_set_a_day_ahead_removes_nothing_early() {
        let (services, _folder, key) = services().await;
        let keep = services.config.upload_retention.as_millis() as i64;
        let mut seen = LastSeen::default();
        for by in [keep, 2 * keep, -keep] {
            set(&services, by);
            assert_eq!(sweep(&services, &mut seen).await.unwrap(), 0, "set by {by} ms");
            assert!(stored_upload::find(&services, &key).await.unwrap().is_some(), "set by {by} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_goes_after_its_time_also_by_a_wall_clock_that_was_set_back() {
        let (services, folder, key) = services().await;
        set(&services, -10 * DAY.as_millis() as i64);
        let (mut seen, keep) = (LastSeen::default(), services.config.upload_retention);
        assert_eq!(sweep(&services, &mut seen).await.unwrap(), 0);
        tokio::time::advance(keep - Duration::from_secs(1)).await;
        let path = services.objects.upload_path(&key.owner, &key.id);
        let piece = path.file("piece");
        services.objects.put_new(&piece, "more".into()).await.unwrap();
        // Later than the descriptor, however coarse the times of files are.
        let written = SystemTime::now() + Duration::from_secs(1);
        std::fs::File::open(folder.path().join(piece.as_ref())).unwrap().set_modified(written).unwrap();
        assert_eq!(sweep(&services, &mut seen).await.unwrap(), 0, "something came");
        tokio::time::advance(keep - Duration::from_secs(1)).await;
        assert_eq!(sweep(&services, &mut seen).await.unwrap(), 0);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(sweep(&services, &mut seen).await.unwrap(), 1);
        assert!(seen.0.is_empty());
    }
}
