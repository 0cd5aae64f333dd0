//! Documents and results: where they lie, and streams in and out of the object store. Knows nothing of jobs' states.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use courant_joblog::ids::JobId;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt as _;

use crate::error::Error;

/// Uploads that nobody finished are removed at start when they are older than this.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Pieces in which a remote store takes an upload. S3 wants at least 5 MiB.
const PART_BYTES: usize = 5 << 20;
/// Parts under way at once.
const PARTS_AT_ONCE: usize = 4;

/// The store of documents and results.
#[derive(Clone, Debug)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

/// Size and checksum of something stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, lower-case hexadecimal.
    pub sha256: Box<str>,
}

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not a URL that is understood.
    #[error("--objects {url} cannot be used: {reason}")]
    Url {
        /// As given.
        url: String,
        /// Why.
        reason: String,
    },
    /// The folder cannot be used.
    #[error("the folder {folder} cannot be used: {reason}")]
    Folder {
        /// As given.
        folder: String,
        /// Why.
        reason: String,
    },
}

impl Objects {
    /// In a local folder, made if missing. Everything written is synced to the disk.
    pub fn local(folder: &FilePath) -> Result<Self, OpenError> {
        let refuse = |reason: String| OpenError::Folder { folder: folder.display().to_string(), reason };
        std::fs::create_dir_all(folder).map_err(|error| refuse(error.to_string()))?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| refuse(error.to_string()))?;
        Ok(Self { store: Arc::new(store.with_fsync(true)), prefix: Path::default() })
    }

    /// At a URL: `file://`, `s3://`, `gs://`, `az://`; credentials come from the environment as those services define.
    pub fn at(url: &str) -> Result<Self, OpenError> {
        let refuse = |reason: String| OpenError::Url { url: url.to_owned(), reason };
        let parsed = url.parse::<url::Url>().map_err(|error| refuse(error.to_string()))?;
        if parsed.scheme() == "file" {
            let folder = parsed.to_file_path().map_err(|()| refuse("not a local path".into()))?;
            return Self::local(&folder);
        }
        let environment = std::env::vars().map(|(key, value)| (key.to_lowercase(), value));
        let (store, prefix) =
            object_store::parse_url_opts(&parsed, environment).map_err(|error| refuse(error.to_string()))?;
        Ok(Self { store: store.into(), prefix })
    }

    fn path(&self, tail: &str) -> Path {
        Path::from_iter(self.prefix.parts().chain(Path::from(tail).parts()))
    }

    /// Where a new upload goes until it is complete.
    pub fn upload(&self) -> Path {
        self.path(&format!("uploads/{}", JobId::random()))
    }

    /// Where a job's document lies. The checksum in the name keeps two submits with one request id apart.
    pub fn document(&self, job: &JobId, sha256: &str) -> Path {
        self.path(&format!("jobs/{job}/document-{sha256}"))
    }

    /// Where an attempt's artifact lies. Each attempt has its own folder, so a late writer harms nobody.
    pub fn artifact(&self, job: &JobId, attempt: u32, name: &str) -> Path {
        self.path(&format!("jobs/{job}/a{attempt}/{name}"))
    }

    /// Begins to store something.
    pub fn write(&self, path: Path) -> Writer {
        let upload = BufWriter::with_capacity(self.store.clone(), path, PART_BYTES).with_max_concurrency(PARTS_AT_ONCE);
        Writer { upload, hash: Sha256::new(), bytes: 0 }
    }

    /// Moves something to its final place, over whatever is there.
    pub async fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        Ok(self.store.rename(from, to).await?)
    }

    /// Removes something; nothing there is fine.
    pub async fn remove(&self, path: &Path) {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => tracing::warn!(%path, %error, "could not be removed"),
        }
    }

    /// Reads something, from an offset and at most so many bytes.
    pub async fn read(
        &self,
        path: &Path,
        offset: u64,
        limit: Option<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let range = match limit {
            Some(limit) => GetRange::Bounded(offset..offset.saturating_add(limit)),
            None => GetRange::Offset(offset),
        };
        let options = GetOptions { range: (offset > 0 || limit.is_some()).then_some(range), ..GetOptions::default() };
        let result = self.store.get_opts(path, options).await?;
        Ok(result.into_stream().map_err(Error::from).boxed())
    }

    /// Size and checksum of something stored; `None` when there is nothing.
    pub async fn describe(&self, path: &Path) -> Result<Option<Stored>, Error> {
        let mut stream = match self.read(path, 0, None).await {
            Ok(stream) => stream,
            Err(Error::Objects(object_store::Error::NotFound { .. })) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        while let Some(piece) = stream.try_next().await? {
            hash.update(&piece);
            bytes += piece.len() as u64;
        }
        Ok(Some(Stored { bytes, sha256: hex(hash) }))
    }

    /// Whether something is stored there.
    pub async fn exists(&self, path: &Path) -> Result<bool, Error> {
        match self.store.head(path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes uploads that were cut off long ago.
    pub async fn sweep_uploads(&self) -> Result<(), Error> {
        let uploads = self.path("uploads");
        let mut found = self.store.list(Some(&uploads));
        while let Some(meta) = found.try_next().await? {
            let age = std::time::SystemTime::now().duration_since(meta.last_modified.into()).unwrap_or_default();
            if age > ABANDONED_AFTER {
                self.remove(&meta.location).await;
            }
        }
        Ok(())
    }
}

/// Something being stored: in one request when it is small, else in parts. Dropped without [`Writer::finish`], it never
/// was.
pub struct Writer {
    upload: BufWriter,
    hash: Sha256,
    bytes: u64,
}

impl Writer {
    /// Adds a piece; waits while too much is under way.
    pub async fn push(&mut self, piece: Bytes) -> Result<(), Error> {
        self.hash.update(&piece);
        self.bytes += piece.len() as u64;
        Ok(self.upload.put(piece).await?)
    }

    /// How much there is so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes it durable and visible.
    pub async fn finish(mut self) -> Result<Stored, Error> {
        self.upload.shutdown().await.map_err(cause)?;
        Ok(Stored { bytes: self.bytes, sha256: hex(self.hash) })
    }

    /// Gives up.
    pub async fn abort(mut self) {
        if let Err(error) = self.upload.abort().await {
            tracing::debug!(%error, "an upload could not be aborted");
        }
    }
}

/// The store's own error, out of the one of the standard library that it came in.
fn cause(error: std::io::Error) -> object_store::Error {
    error
        .downcast::<object_store::Error>()
        .unwrap_or_else(|error| object_store::Error::Generic { store: "upload", source: error.into() })
}

fn hex(hash: Sha256) -> Box<str> {
    use std::fmt::Write as _;
    let digest = hash.finalize();
    digest
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
        .into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_described_and_read_in_part() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::local(folder.path()).unwrap();
        let (draft, place) = (objects.upload(), objects.document(&JobId::new("J"), "abc"));
        let mut writer = objects.write(draft.clone());
        writer.push(Bytes::from_static(b"hello ")).await.unwrap();
        writer.push(Bytes::from_static(b"world")).await.unwrap();
        let stored = writer.finish().await.unwrap();
        assert_eq!(stored.bytes, 11);
        assert_eq!(&stored.sha256[..12], "b94d27b9934d");
        objects.rename(&draft, &place).await.unwrap();
        assert_eq!(objects.describe(&place).await.unwrap(), Some(stored));
        assert_eq!(objects.describe(&draft).await.unwrap(), None);
        let part: Vec<Bytes> = objects.read(&place, 6, Some(3)).await.unwrap().try_collect().await.unwrap();
        assert_eq!(part.concat(), b"wor");
    }

    #[test]
    fn a_url_that_is_none_is_refused() {
        assert!(matches!(Objects::at("not a url"), Err(OpenError::Url { .. })));
        assert!(matches!(Objects::at("gopher://x"), Err(OpenError::Url { .. })));
    }
}
