//! The object store, and streams in and out of it.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use courant_joblog::ids::JobId;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};
use std::sync::atomic::AtomicBool;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;

#[cfg(feature = "cloud")]
use super::open;
use crate::error::Error;
#[cfg(feature = "cloud")]
use crate::fault;
use crate::fault::Fault;

/// Drafts of documents, made while a call lasts, that a crash has left: they are removed at start when they are older than
/// this. Uploads that go on over many calls lie elsewhere (`uploads`).
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Pieces in which a remote store takes an upload. S3 wants at least 5 MiB.
const REMOTE_PART_BYTES: usize = 5 << 20;
/// Pieces in which a folder takes one: small, because each upload under way keeps some in memory.
const LOCAL_PART_BYTES: usize = 512 << 10;
/// Parts of one upload under way at once.
const PARTS_AT_ONCE: usize = 2;

/// What is known of how the store does.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// The last probe failed, and not for want of space: on a full store, existing objects can be read.
    pub(super) away: AtomicBool,
    /// Told when somebody finds that it fails.
    pub(super) probe_requested: Notify,
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
}

/// Size and checksum of something stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub bytes: u64,
    /// Its SHA-256, lower-case hexadecimal.
    pub sha256: Box<str>,
}

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not a URL that is understood.
    #[error("--objects {url} cannot be used: {reason}")]
    Url { url: String, reason: String },
    /// The folder cannot be used.
    #[error("the folder {folder} cannot be used: {reason}")]
    Folder { folder: String, reason: String },
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
        let folder = Some(folder.to_owned());
        Ok(Self { store: Arc::new(store.with_fsync(true)), prefix: Path::default(), folder, state: Arc::default() })
    }

    /// At a URL: `file://`, `s3://`, `gs://`, `az://`; credentials come from the environment as those services define.
    pub fn at(url: &str) -> Result<Self, OpenError> {
        let refuse = |reason: String| OpenError::Url { url: url.to_owned(), reason };
        let parsed = url.parse::<url::Url>().map_err(|error| refuse(error.to_string()))?;
        if parsed.scheme() == "file" {
            let folder = parsed.to_file_path().map_err(|()| refuse("not a local path".into()))?;
            return Self::local(&folder);
        }
        #[cfg(feature = "cloud")]
        {
            let (store, prefix) = open::open(&parsed).map_err(|error| refuse(fault::error_chain(&error)))?;
            Ok(Self { store, prefix, folder: None, state: Arc::default() })
        }
        #[cfg(not(feature = "cloud"))]
        Err(refuse(
            "this program was built without cloud stores, as `make run` does; use one that `make build` built".into(),
        ))
    }

    pub(super) fn path(&self, tail: &str) -> Path {
        Path::from_iter(self.prefix.parts().chain(Path::from(tail).parts()))
    }

    /// Where a new upload goes until it is complete.
    pub fn upload(&self) -> Draft {
        Draft { objects: self.clone(), path: Some(self.path(&format!("uploads/{}", JobId::random()))) }
    }

    /// Where a file of a job lies.
    pub fn job_file(&self, job: &JobId, name: &str) -> Path {
        self.path(&format!("jobs/{job}/{name}"))
    }

    /// Where a sealed password of a job lies. Each has its own name, so that removing an old one harms no new one.
    pub fn password(&self, job: &JobId, name: &str) -> Path {
        self.path(&format!("jobs/{job}/password-{name}"))
    }

    pub async fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<(), Error> {
        self.store.put(path, bytes.into()).await.inspect_err(|error| self.request_probe_if_full(error))?;
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

    /// Bytes of memory that a [`Writer`] may take.
    pub fn write_buffers(&self) -> usize {
        self.part_bytes() * (1 + PARTS_AT_ONCE)
    }

    fn part_bytes(&self) -> usize {
        if self.folder.is_some() { LOCAL_PART_BYTES } else { REMOTE_PART_BYTES }
    }

    /// Begins to store something.
    pub fn write(&self, path: Path) -> Writer {
        let part = self.part_bytes();
        let upload = BufWriter::with_capacity(self.store.clone(), path, part).with_max_concurrency(PARTS_AT_ONCE);
        Writer { objects: self.clone(), upload: Some(upload), hash: Sha256::new(), bytes: 0 }
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

    /// All of something, and its size.
    pub async fn open(&self, path: &Path) -> Result<(u64, BoxStream<'static, Result<Bytes, Error>>), Error> {
        let result = self.store.get(path).await?;
        Ok((result.meta.size, result.into_stream().map_err(Error::from).boxed()))
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

    /// Removes everything a job has here; nothing there is fine.
    pub async fn remove_job(&self, job: &JobId) -> Result<(), Error> {
        let path = self.path(&format!("jobs/{job}"));
        if let Some(folder) = &self.folder {
            return ignore_not_found(tokio::fs::remove_dir_all(folder.join(path.as_ref())).await);
        }
        self.remove_below(&path).await
    }

    pub(super) async fn remove_below(&self, path: &Path) -> Result<(), Error> {
        let files = self.store.list(Some(path)).map_ok(|meta| meta.location).boxed();
        let gone = self.store.delete_stream(files);
        Ok(gone.try_for_each(|_| std::future::ready(Ok(()))).await?)
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
        Ok(())
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

/// Something being stored: in one request when it is small, else in parts. Dropped without [`Writer::finish`], it never
/// was.
pub struct Writer {
    objects: Objects,
    /// There until it is finished or given up.
    upload: Option<BufWriter>,
    hash: Sha256,
    bytes: u64,
}

impl Writer {
    /// Adds a piece; waits while too much is under way.
    pub async fn push(&mut self, piece: Bytes) -> Result<(), Error> {
        let Some(upload) = &mut self.upload else { return Ok(()) };
        self.hash.update(&piece);
        self.bytes += piece.len() as u64;
        Ok(upload.put(piece).await.inspect_err(|error| self.objects.request_probe_if_full(error))?)
    }

    /// How much there is so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes it durable and visible.
    pub async fn finish(mut self) -> Result<Stored, Error> {
        if let Some(mut upload) = self.upload.take() {
            upload.shutdown().await.map_err(cause).inspect_err(|error| self.objects.request_probe_if_full(error))?;
        }
        let hash = std::mem::take(&mut self.hash);
        Ok(Stored { bytes: self.bytes, sha256: hex(hash) })
    }

    pub async fn abort(mut self) {
        if let Some(upload) = self.upload.take() {
            abort(upload).await;
        }
    }
}

impl Drop for Writer {
    /// The call it belonged to was given up: a remote store would keep the parts for ever.
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(abort(upload));
        }
    }
}

async fn abort(mut upload: BufWriter) {
    if let Err(error) = upload.abort().await {
        tracing::debug!(%error, "an upload could not be aborted");
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
        self.objects.store.rename(&from, path).await?;
        self.path = None;
        Ok(())
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

/// The store's own error, out of the one of the standard library that it came in.
fn cause(error: std::io::Error) -> object_store::Error {
    error
        .downcast::<object_store::Error>()
        .unwrap_or_else(|error| object_store::Error::Generic { store: "upload", source: error.into() })
}

pub(crate) fn hex(hash: Sha256) -> Box<str> {
    courant_runtime::hex(&hash.finalize()).into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_described_and_read_in_part() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::local(folder.path()).unwrap();
        let (draft, path) = (objects.upload(), objects.job_file(&JobId::new("J"), "document-abc"));
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
        assert!(matches!(Objects::at("not a url"), Err(OpenError::Url { .. })));
        assert!(matches!(Objects::at("gopher://x"), Err(OpenError::Url { .. })));
    }

    #[tokio::test]
    async fn a_removed_job_leaves_no_files_not_even_unfinished_ones() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::local(folder.path()).unwrap();
        let id = JobId::new("J");
        let writer = objects.write(objects.job_file(&id, "document-abc"));
        writer.finish().await.unwrap();
        let mut cut_off = objects.write(objects.job_file(&id, "a1/pages/000001.json"));
        cut_off.push(vec![0; LOCAL_PART_BYTES + 1].into()).await.unwrap();
        assert_eq!(objects.jobs().await.unwrap(), std::slice::from_ref(&id));
        objects.remove_job(&id).await.unwrap();
        objects.remove_job(&id).await.unwrap();
        assert!(objects.jobs().await.unwrap().is_empty());
        drop(cut_off);
    }

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
