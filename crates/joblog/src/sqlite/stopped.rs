//! A log that no server has open, to be read as a whole. Nothing of it is written: no epoch begins and no mark moves.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;

use super::lock::Lock;
use super::mark::{self, floor};
use super::options::{OnLoss, OpenError};
use super::reader::{self, Readers};
use super::{epochs, schema, table};
use crate::ids::{JobId, Revision};
use crate::log::{Entry, Epoch, Filter, ReadError};
use crate::source::{BlobPage, BlobPosition, Source};

/// How much there is in a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Jobs that are not forgotten.
    pub jobs: u64,
    /// Entries of jobs; tombstones of forgotten ones are not counted.
    pub events: u64,
    /// Bytes of those entries, as stored.
    pub event_bytes: u64,
    /// Bytes of the largest of them.
    pub largest_event: u64,
    /// Tombstones of forgotten jobs.
    pub forgotten: u64,
    pub blobs: u64,
    pub blob_bytes: u64,
}

/// A log that is kept from being opened by a server as long as this is there.
#[derive(Debug)]
pub struct StoppedLog {
    readers: Readers,
    head: Revision,
    epochs: Vec<Epoch>,
    contents: Contents,
    /// Logs of the first version have no blobs.
    has_blobs: bool,
    _lock: Lock,
}

impl StoppedLog {
    /// Opens the log in this folder. Blocks; counting what is in it reads all of it once.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let path = schema::existing(dir)?;
        let failed = |source| OpenError::Database { path: path.clone(), source };
        let lock = Lock::take(&dir.join("log.lock"))?;
        let state =
            mark::read(&dir.join("log.mark")).map_err(|source| OpenError::Io { path: dir.to_owned(), source })?;
        let version = schema::version(&path)?;
        let db = schema::open_reader(&path).map_err(failed)?;
        let head = table::newest(&db).map_err(failed)?;
        floor(state, head, OnLoss::Refuse, dir)?;
        let has_blobs = version >= schema::WITH_BLOBS;
        Ok(Self {
            head,
            epochs: epochs::read(&db).map_err(failed)?,
            contents: contents(&db, has_blobs).map_err(failed)?,
            readers: Readers::new(path.clone(), 1),
            has_blobs,
            _lock: lock,
        })
    }

    pub fn contents(&self) -> Contents {
        self.contents
    }

    /// Its openings, oldest first. They name this log among all others.
    pub fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    /// Jobs with more than `most` entries, and how many each has.
    pub async fn longer_than(&self, most: u64) -> Result<Vec<(JobId, u64)>, ReadError> {
        self.readers.run(move |db| longer_than(db, most).map_err(reader::storage)).await
    }
}

#[async_trait]
impl Source for StoppedLog {
    async fn newest(&self) -> Result<Revision, ReadError> {
        Ok(self.head)
    }

    async fn entries(&self, after: Revision, limit: usize) -> Result<Vec<Arc<Entry>>, ReadError> {
        self.readers.run(move |db| reader::read(db, after, &Filter::All, limit)).await
    }

    async fn blobs(&self, after: Option<&BlobPosition>) -> Result<BlobPage, ReadError> {
        if !self.has_blobs {
            return Ok(BlobPage { blobs: Vec::new(), next: None });
        }
        let after = after.cloned();
        self.readers.run(move |db| reader::blobs(db, after.as_ref())).await
    }
}

fn contents(db: &Connection, has_blobs: bool) -> rusqlite::Result<Contents> {
    let contents = db.query_row(
        "SELECT count(DISTINCT job), count(*), coalesce(sum(length(record)), 0), coalesce(max(length(record)), 0)
         FROM entry WHERE forgotten = 0",
        [],
        |row| {
            let (jobs, events) = (row.get(0)?, row.get(1)?);
            Ok(Contents { jobs, events, event_bytes: row.get(2)?, largest_event: row.get(3)?, ..Contents::default() })
        },
    )?;
    let forgotten = db.query_row("SELECT count(*) FROM entry WHERE forgotten = 1", [], |row| row.get(0))?;
    let (blobs, blob_bytes) = match has_blobs {
        true => db.query_row("SELECT count(*), coalesce(sum(length(bytes)), 0) FROM blob", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?,
        false => (0, 0),
    };
    Ok(Contents { forgotten, blobs, blob_bytes, ..contents })
}

fn longer_than(db: &Connection, most: u64) -> rusqlite::Result<Vec<(JobId, u64)>> {
    let mut statement = db.prepare("SELECT job, count(*) FROM entry GROUP BY job HAVING count(*) > ?1")?;
    let rows = statement.query_map([most], |row| Ok((JobId::new(row.get::<_, Box<str>>(0)?), row.get(1)?)))?;
    rows.collect()
}
