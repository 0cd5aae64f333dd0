//! Makes a log out of what another one holds, with the revisions that it has there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::options::{OpenError, Options};
use super::table::Kind;
use super::{epochs, schema, table};
use crate::codec;
use crate::ids::JobId;
use crate::log::{AppendError, Blob, Entry, Record};

/// What is written to first: a folder with it holds no log yet.
const UNFINISHED: &str = "log.db.unfinished";

/// Why nothing more can be added.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Encode(#[from] AppendError),
    #[error("{path} cannot be written: {source}; check that there is space")]
    Write { path: PathBuf, source: rusqlite::Error },
}

/// A log that is being made. Dropped before [`Builder::finish`], it is none.
#[derive(Debug)]
pub struct Builder {
    db: Connection,
    dir: PathBuf,
}

impl Builder {
    /// In this folder, which must be there and have no log. What a builder left there that was cut off is replaced. Blocks, as
    /// all of it does.
    pub fn create(dir: &Path) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { path: dir.to_owned(), source };
        let path = dir.join(UNFINISHED);
        for left in [path.clone(), dir.join("log.db.unfinished-wal"), dir.join("log.db.unfinished-shm")] {
            match fs::remove_file(left) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
                Ok(()) | Err(_) => {}
            }
        }
        let db = schema::open(&path, &Options::default())?;
        Ok(Self { db, dir: dir.to_owned() })
    }

    /// Adds entries, oldest first and newer than all before. Those of one call become durable together.
    pub fn append(&mut self, entries: &[Arc<Entry>]) -> Result<(), BuildError> {
        let path = self.dir.join(UNFINISHED);
        let write = |source| BuildError::Write { path: path.clone(), source };
        let all = self.db.transaction().map_err(write)?;
        for entry in entries {
            let kind = if entry.record == Record::Forgotten { Kind::Forgotten } else { Kind::Changed };
            let record = codec::encode(&entry.record).map_err(AppendError::from)?;
            table::insert(&all, entry.revision, &entry.key, kind, &record).map_err(write)?;
        }
        all.commit().map_err(write)?;
        schema::checkpoint(&self.db).map_err(write)
    }

    pub fn store_blobs(&mut self, blobs: &[(JobId, Blob)]) -> Result<(), BuildError> {
        let path = self.dir.join(UNFINISHED);
        let write = |source| BuildError::Write { path: path.clone(), source };
        let all = self.db.transaction().map_err(write)?;
        blobs.iter().try_for_each(|(job, blob)| table::store_blob(&all, job, blob)).map_err(write)?;
        all.commit().map_err(write)?;
        schema::checkpoint(&self.db).map_err(write)
    }

    /// Removes all of a job, as if it had never been.
    pub fn remove(&mut self, job: &JobId) -> Result<(), BuildError> {
        let write = |source| BuildError::Write { path: self.dir.join(UNFINISHED), source };
        table::erase(&self.db, job).map_err(write)
    }

    /// From here on it is a log, with an epoch of its own.
    pub fn finish(mut self) -> Result<(), OpenError> {
        let (draft, path) = (self.dir.join(UNFINISHED), self.dir.join("log.db"));
        let failed = |source| OpenError::Database { path: draft.clone(), source };
        let end = table::newest(&self.db).map_err(failed)?;
        epochs::begin(&mut self.db, end, end).map_err(failed)?;
        // The last connection moves the write-ahead log into the database when it is closed.
        self.db.close().map_err(|(_, source)| failed(source))?;
        let synced = File::open(&draft).and_then(|file| file.sync_all());
        let named = synced.and_then(|()| fs::rename(&draft, &path)).and_then(|()| File::open(&self.dir)?.sync_all());
        named.map_err(|source| OpenError::Io { path, source })
    }
}
