//! Streams into the object store.

use bytes::Bytes;
use object_store::Error as StoreError;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::store::{Objects, Stored, hex};
use crate::error::Error;

/// Pieces in which a remote store takes an upload. S3 wants at least 5 MiB.
const REMOTE_PART_BYTES: usize = 5 << 20;
/// Pieces in which a folder takes one: small, because each upload under way keeps some in memory.
const LOCAL_PART_BYTES: usize = 512 << 10;
/// Parts of one upload under way at once.
const PARTS_AT_ONCE: usize = 2;

impl Objects {
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
        let upload =
            BufWriter::with_capacity(self.store.clone(), path.clone(), part).with_max_concurrency(PARTS_AT_ONCE);
        Writer { objects: self.clone(), path, upload: Some(upload), hash: Sha256::new(), bytes: 0 }
    }
}

/// Something being stored: in one request when it is small, else in parts. Dropped without [`Writer::finish`], it never
/// was.
pub struct Writer {
    objects: Objects,
    path: Path,
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
        Ok(upload.put(piece).await.inspect_err(|error| self.objects.request_probe(error))?)
    }

    /// How much there is so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes it durable and visible.
    pub async fn finish(mut self) -> Result<Stored, Error> {
        let stored = Stored { bytes: self.bytes, sha256: hex(std::mem::take(&mut self.hash)) };
        let Some(mut upload) = self.upload.take() else { return Ok(stored) };
        let Err(error) = upload.shutdown().await.map_err(cause) else { return Ok(stored) };
        // An upload in parts is gone once it is complete: so it looks to who tries again because the answer got lost.
        if matches!(error, StoreError::NotFound { .. })
            && self.objects.describe(&self.path).await.is_ok_and(|found| found.as_ref() == Some(&stored))
        {
            return Ok(stored);
        }
        self.objects.request_probe(&error);
        Err(error.into())
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

/// The store's own error, out of the one of the standard library that it came in.
fn cause(error: std::io::Error) -> StoreError {
    error.downcast::<StoreError>().unwrap_or_else(|error| StoreError::Generic { store: "upload", source: error.into() })
}
