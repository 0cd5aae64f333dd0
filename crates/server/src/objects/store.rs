//! The object store, and where in it what lies.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use bytes::Bytes;
use courant_joblog::ids::JobId;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, OnceCell};

use super::counted::{CountedStore, ObjectStats};
#[cfg(feature = "cloud")]
use super::open;
use super::open_error::OpenError;
use crate::error::Error;
use crate::fault::Fault;

/// What is known of how the store does.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// The last probe failed, and not for want of space: on a full store, existing objects can be read.
    pub(super) away: AtomicBool,
    /// Told when somebody finds that it fails.
    pub(super) probe_requested: Notify,
    /// Whether it does not write over what is there when asked not to, once that is known.
    pub(super) keeps_what_is_there: OnceCell<bool>,
}

/// The store of documents and results.
#[derive(Clone, Debug)]
pub struct Objects {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) prefix: Path,
    /// Where a local store lies. Its crate does not list unfinished uploads and leaves empty folders.
    pub(super) folder: Option<PathBuf>,
    /// What is known of how it does, by all clones.
    pub(super) state: Arc<Health>,
    /// What was asked of it, by all clones.
    pub stats: Arc<ObjectStats>,
    /// The store, where it is S3, which can do more than others.
    #[cfg(feature = "cloud")]
    pub(super) s3: Option<Arc<object_store::aws::AmazonS3>>,
}

/// Size and checksum of something stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub bytes: u64,
    /// Its SHA-256, lower-case hexadecimal.
    pub sha256: Box<str>,
}

impl Objects {
    /// In a local folder, made if missing. Everything written is synced to the disk.
    pub fn local(folder: &FilePath) -> Result<Self, OpenError> {
        let refuse = |reason: String| OpenError::Folder { folder: folder.display().to_string(), reason };
        // Documents are nobody else's to read, also where the folder is not within the data folder.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| refuse(error.to_string()))?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| refuse(error.to_string()))?;
        Ok(Self { folder: Some(folder.to_owned()), ..Self::of(Arc::new(store.with_fsync(true))) })
    }

    /// In this store.
    pub(super) fn of(store: Arc<dyn ObjectStore>) -> Self {
        let stats = Arc::<ObjectStats>::default();
        Self {
            store: Arc::new(CountedStore { store, stats: stats.clone() }),
            prefix: Path::default(),
            folder: None,
            state: Arc::default(),
            stats,
            #[cfg(feature = "cloud")]
            s3: None,
        }
    }

    /// At a URL: `file://`, `s3://`, `gs://`, `az://`. Credentials of S3 come from the file, if one is named, and else, as all
    /// settings, from the environment as those services define.
    pub fn at(url: &str, credentials: Option<&FilePath>) -> Result<Self, OpenError> {
        let refuse = |reason: String| OpenError::Url { url: url.to_owned(), reason };
        let parsed = url.parse::<url::Url>().map_err(|error| refuse(error.to_string()))?;
        if parsed.scheme() == "file" {
            let folder = parsed.to_file_path().map_err(|()| refuse("not a local path".into()))?;
            return Self::local(&folder);
        }
        Self::remote(&parsed, credentials)
    }

    #[cfg(feature = "cloud")]
    fn remote(url: &url::Url, credentials: Option<&FilePath>) -> Result<Self, OpenError> {
        let open::Opened { store, path, s3 } = open::open(url, credentials)?;
        Ok(Self { prefix: path, s3, ..Self::of(store) })
    }

    #[cfg(not(feature = "cloud"))]
    fn remote(url: &url::Url, _credentials: Option<&FilePath>) -> Result<Self, OpenError> {
        let reason = "this program was built without cloud stores, as `make run` does; use one that `make build` built";
        Err(OpenError::Url { url: url.to_string(), reason: reason.into() })
    }

    pub(super) fn path(&self, tail: &str) -> Path {
        Path::from_iter(self.prefix.parts().chain(Path::from(tail).parts()))
    }

    pub async fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<(), Error> {
        self.store.put(path, bytes.into()).await.inspect_err(|error| self.request_probe(error))?;
        Ok(())
    }

    /// Reads something small; `None` when there is nothing.
    pub async fn get(&self, path: &Path) -> Result<Option<Bytes>, Error> {
        match self.store.get(path).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes something; nothing there is fine.
    pub async fn delete(&self, path: &Path) -> Result<(), Error> {
        match self.store.delete(path).await {
            Err(error) if !is_not_found(&error) => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes something that does no harm where it is.
    pub async fn remove(&self, path: &Path) {
        if let Err(error) = self.delete(path).await {
            tracing::warn!(%path, %error, "could not be removed");
        }
    }

    /// Size and checksum of something stored; `None` when there is nothing.
    pub async fn describe(&self, path: &Path) -> Result<Option<Stored>, Error> {
        let mut stream = match self.read(path, 0, None).await {
            Ok(stream) => stream,
            Err(Error::Objects(error)) if is_not_found(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        while let Some(piece) = self.with_timeout(stream.try_next()).await? {
            hash.update(&piece);
            bytes += piece.len() as u64;
        }
        Ok(Some(Stored { bytes, sha256: hex(hash) }))
    }

    /// Whether something is stored there.
    pub async fn exists(&self, path: &Path) -> Result<bool, Error> {
        match self.store.head(path).await {
            Ok(_) => Ok(true),
            Err(error) if is_not_found(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The jobs that have files here.
    pub async fn jobs(&self) -> Result<Vec<JobId>, Error> {
        let jobs = self.path("jobs");
        let found = self.store.list_with_delimiter(Some(&jobs)).await?;
        Ok(found.common_prefixes.iter().filter_map(|path| path.filename()).map(JobId::new).collect())
    }

    /// Whether anything a job has here was written after a moment.
    pub async fn written_after(&self, job: &JobId, moment: SystemTime) -> Result<bool, Error> {
        let mut files = self.store.list(Some(&self.path(&format!("jobs/{job}"))));
        while let Some(meta) = files.try_next().await? {
            if SystemTime::from(meta.last_modified) > moment {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether it is just not there. A missing bucket answers alike, and is something else.
pub(super) fn is_not_found(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. }) && Fault::of(error) == Fault::Missing
}

pub(super) fn ignore_not_found(removed: std::io::Result<()>) -> Result<(), Error> {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(storage(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(super) fn storage(error: std::io::Error) -> Error {
    Error::Objects(object_store::Error::Generic { store: "local", source: Box::new(error) })
}

pub(crate) fn hex(hash: Sha256) -> Box<str> {
    courant_runtime::hex(&hash.finalize()).into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job_folder::JobFolder;

    #[tokio::test]
    async fn what_is_written_is_described_and_read_in_part() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::local(folder.path()).unwrap();
        let (draft, path) =
            (objects.upload(), objects.job_file(&JobFolder::new(JobId::new("J"), None), "document-abc"));
        let written = draft.path();
        let mut writer = objects.write(written.clone());
        writer.push(Bytes::from_static(b"hello ")).await.unwrap();
        writer.push(Bytes::from_static(b"world")).await.unwrap();
        let stored = writer.finish().await.unwrap();
        assert_eq!(stored.bytes, 11);
        assert_eq!(&stored.sha256[..12], "b94d27b9934d");
        draft.commit(&path).await.unwrap();
        assert_eq!(objects.describe(&path).await.unwrap(), Some(stored));
        assert_eq!(objects.describe(&written).await.unwrap(), None);
        let part: Vec<Bytes> = objects.read(&path, 6, Some(3)).await.unwrap().try_collect().await.unwrap();
        assert_eq!(part.concat(), b"wor");
    }

    #[test]
    fn a_url_that_is_none_is_refused() {
        assert!(matches!(Objects::at("not a url", None), Err(OpenError::Url { .. })));
        assert!(matches!(Objects::at("gopher://x", None), Err(OpenError::Url { .. })));
    }
}
