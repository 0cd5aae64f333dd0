//! Documents that arrive and have no place yet, and what a crash leaves of them.

use std::path::Path as FilePath;
use std::time::{Duration, SystemTime};

use courant_joblog::ids::JobId;
use futures::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;

use super::store::{Objects, ignore_not_found, storage};
use crate::error::Error;

/// Drafts of documents, made while a call lasts, that a crash has left: they are removed when they are older than this. Uploads that go on over many calls lie elsewhere (`uploads`).
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 3600);

impl Objects {
    /// Where a new upload goes until it is complete.
    pub fn upload(&self) -> Draft {
        Draft { objects: self.clone(), path: Some(self.path(&format!("uploads/{}", JobId::random()))) }
    }

    /// Removes uploads that were cut off long ago.
    pub async fn sweep_uploads(&self, now: SystemTime) -> Result<(), Error> {
        if let Some(folder) = &self.folder {
            return sweep_folder(&folder.join("uploads"), now).await;
        }
        let uploads = self.path("uploads");
        let mut found = self.store.list(Some(&uploads));
        while let Some(meta) = found.try_next().await? {
            if is_abandoned(meta.last_modified.into(), now) {
                self.remove(&meta.location).await;
            }
        }
        #[cfg(feature = "cloud")]
        self.abort_abandoned(now).await;
        Ok(())
    }

    /// Not every store that speaks S3 lists unfinished uploads: then the bucket has to have a rule for them.
    #[cfg(feature = "cloud")]
    async fn abort_abandoned(&self, now: SystemTime) {
        let Some(s3) = &self.s3 else { return };
        match super::multipart::abort_abandoned(s3, &self.prefix, now).await {
            Ok(0) => {}
            Ok(aborted) => tracing::info!(aborted, "aborted uploads in parts that a server did not finish"),
            Err(error) => {
                tracing::warn!(%error, "let a lifecycle rule of the bucket abort incomplete multipart uploads")
            }
        }
    }
}

/// A temporary file for an upload that has no final path yet. Dropping it removes the file.
pub struct Draft {
    objects: Objects,
    path: Option<Path>,
}

impl Draft {
    pub fn path(&self) -> Path {
        self.path.clone().unwrap_or_default()
    }

    /// Nothing was written.
    pub fn unused(mut self) {
        self.path = None;
    }

    /// Moves what was written to its final path, over whatever is there.
    pub async fn commit(mut self, path: &Path) -> Result<(), Error> {
        let from = self.path();
        let store = &self.objects.store;
        if self.objects.folder.is_some() {
            store.rename(&from, path).await?;
            self.path = None;
            return Ok(());
        }
        // Object stores only copy. The draft is removed when it is dropped: nobody waits for that, nor fails by it.
        Ok(store.copy(&from, path).await.inspect_err(|error| self.objects.request_probe(error))?)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let objects = self.objects.clone();
            runtime.spawn(async move { objects.remove(&path).await });
        }
    }
}

/// Whether what was written then was left by a crash. What seems to be of days to come was written before the clock was set
/// back.
fn is_abandoned(written: SystemTime, now: SystemTime) -> bool {
    let apart = now.duration_since(written).unwrap_or_else(|ahead| ahead.duration());
    apart > ABANDONED_AFTER
}

/// Removes files that nobody has written to for long.
async fn sweep_folder(folder: &FilePath, now: SystemTime) -> Result<(), Error> {
    let mut files = match tokio::fs::read_dir(folder).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(storage)?,
    };
    while let Some(file) = files.next_entry().await.map_err(storage)? {
        let written = file.metadata().await.and_then(|meta| meta.modified()).map_err(storage)?;
        if is_abandoned(written, now) {
            ignore_not_found(tokio::fs::remove_file(file.path()).await)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_old_uploads_are_swept_also_those_that_a_crash_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::local(folder.path()).unwrap();
        objects.sweep_uploads(SystemTime::now()).await.unwrap();
        let uploads = folder.path().join("uploads");
        std::fs::create_dir(&uploads).unwrap();
        let hour = Duration::from_secs(3600);
        let now = SystemTime::now();
        let written = [("old", now - 25 * hour), ("old#1", now - 25 * hour), ("new#1", now - hour)];
        // The clock was set back meanwhile: by a day to come, and by an hour.
        let before = [("days to come", now + 25 * hour), ("set back", now + hour)];
        for (name, written) in written.into_iter().chain(before) {
            let file = std::fs::File::create(uploads.join(name)).unwrap();
            file.set_times(std::fs::FileTimes::new().set_modified(written)).unwrap();
        }
        objects.sweep_uploads(SystemTime::now()).await.unwrap();
        let mut left: Vec<_> = std::fs::read_dir(&uploads).unwrap().map(|file| file.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["new#1", "set back"]);
    }
}
