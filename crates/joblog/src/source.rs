//! A log as a whole, for who copies it: its entries in their order, then the blobs of its jobs. Both page by page, so that a log of
//! any size is read in bounded memory.

use std::sync::Arc;

use async_trait::async_trait;

use crate::ids::{JobId, Revision};
use crate::log::{Blob, Entry, ReadError};

/// Where to go on with the blobs of a source. What is in it is the source's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobPosition(pub Box<str>);

/// Some blobs, with the jobs that they belong to.
#[derive(Clone, Debug)]
pub struct BlobPage {
    pub blobs: Vec<(JobId, Blob)>,
    /// `None` when these were the last.
    pub next: Option<BlobPosition>,
}

/// A log that is read as a whole.
#[async_trait]
pub trait Source: Send + Sync {
    /// The newest revision that anybody was told of before the call.
    async fn newest(&self) -> Result<Revision, ReadError>;

    /// At most `limit` entries after `after` (exclusive), oldest first. Empty means that there are none up to [`Source::newest`].
    async fn entries(&self, after: Revision, limit: usize) -> Result<Vec<Arc<Entry>>, ReadError>;

    /// A page of blobs of jobs that are not forgotten, after this position or from the first. A page may be empty and not the last.
    async fn blobs(&self, after: Option<&BlobPosition>) -> Result<BlobPage, ReadError>;
}
