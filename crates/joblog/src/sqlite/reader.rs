//! Reading connections, and what they ask. Each question sees one moment of the log.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, Row};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{schema, table};
use crate::codec;
use crate::ids::{DocumentId, JobId, Owner, Revision};
use crate::latest::LATEST_PAGE;
use crate::log::{Blob, Entry, Filter, Key, Latest, ReadError, Record};
use crate::source::{BlobPage, BlobPosition};

/// After so many bytes a read ends, whatever its limit: it is short then, but never empty.
const READ_BYTES: usize = 16 * 1024 * 1024;
/// After so many bytes a page of the newest entries, or of blobs, is full.
const LATEST_BYTES: usize = 4 * 1024 * 1024;

/// A few connections. When all are in use, readers wait for one.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, connections: usize) -> Self {
        let permits = Arc::new(Semaphore::new(connections.clamp(1, Semaphore::MAX_PERMITS)));
        Self { path, idle: Arc::default(), permits }
    }

    /// Closes what is not in use.
    pub(super) fn close(&self) {
        self.idle.lock().clear();
    }

    /// Asks on a thread that may block.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        self.begin(ask).await?.await.map_err(storage)?
    }

    /// Begins to ask on a thread that may block.
    async fn begin<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<JoinHandle<Result<T, ReadError>>, ReadError> {
        let permit = self.permits.clone().acquire_owned().await.map_err(storage)?;
        let (path, idle) = (self.path.clone(), self.idle.clone());
        Ok(tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let connection = idle.lock().pop();
            let mut db = connection.map_or_else(|| schema::open_reader(&path), Ok).map_err(storage)?;
            // After an error the connection is closed: the next one may fare better with a new one.
            let answer = ask(&mut db)?;
            idle.lock().push(db);
            Ok(answer)
        }))
    }
}

/// See [`Log::read`](crate::log::Log::read).
pub(super) fn read(
    db: &mut Connection,
    after: Revision,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<Arc<Entry>>, ReadError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let (scope, name) = match filter {
        Filter::All => ("?3 = ''", ""),
        Filter::Owner(owner) => ("owner = ?3", owner.as_str()),
        Filter::Job(job) => ("job = ?3", job.as_str()),
    };
    let sql = format!(
        "SELECT revision, owner, document, job, record FROM entry
         WHERE {scope} AND revision > ?1 ORDER BY revision LIMIT ?2"
    );
    let mut statement = db.prepare_cached(&sql).map_err(storage)?;
    let mut rows = statement.query((after.0, limit, name)).map_err(storage)?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while bytes < READ_BYTES
        && let Some(row) = rows.next().map_err(storage)?
    {
        let (entry, size) = entry(row)?;
        bytes += size;
        entries.push(Arc::new(entry));
    }
    Ok(entries)
}

/// See [`Log::latest`](crate::log::Log::latest). Holds one connection until its end.
pub(super) async fn latest(readers: &Readers) -> Result<Latest, ReadError> {
    // One page is taken, one waits, one is being read.
    let (pages, read) = mpsc::channel(1);
    let (begun, revision) = oneshot::channel();
    let reading = readers.begin(move |db| read_latest(db, begun, &pages)).await?;
    match revision.await {
        Ok(revision) => Ok(Latest::read(revision, read, reading)),
        Err(_) => {
            reading.await.map_err(storage)??;
            Err(storage("the reader ended before it began"))
        }
    }
}

/// All in one transaction, and so of one moment. Ends early when nobody takes the pages any more.
fn read_latest(
    db: &mut Connection,
    begun: oneshot::Sender<Revision>,
    pages: &mpsc::Sender<Vec<Arc<Entry>>>,
) -> Result<(), ReadError> {
    let moment = db.transaction().map_err(storage)?;
    let revision = table::newest(&moment).map_err(storage)?;
    if begun.send(revision).is_err() {
        return Ok(());
    }
    let mut statement = moment
        .prepare_cached(
            "SELECT revision, owner, document, job, record FROM entry
             WHERE revision IN (SELECT max(revision) FROM entry GROUP BY job) ORDER BY revision",
        )
        .map_err(storage)?;
    let mut rows = statement.query([]).map_err(storage)?;
    let (mut page, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next().map_err(storage)? {
        let (entry, size) = entry(row)?;
        if entry.record == Record::Forgotten {
            continue;
        }
        bytes += size;
        page.push(Arc::new(entry));
        if page.len() == LATEST_PAGE || bytes >= LATEST_BYTES {
            bytes = 0;
            if pages.blocking_send(std::mem::take(&mut page)).is_err() {
                return Ok(());
            }
        }
    }
    if !page.is_empty() {
        // An error means that nobody is there: nothing is left to do either way.
        let _ = pages.blocking_send(page);
    }
    Ok(())
}

/// See [`Log::trimmed`](crate::log::Log::trimmed).
pub(super) fn trimmed(db: &mut Connection, filter: &Filter) -> Result<Revision, ReadError> {
    let moment = db.transaction().map_err(storage)?;
    let of = |scope: &str, name: &str| table::trimmed(&moment, scope, name).map_err(storage);
    match filter {
        Filter::All => Ok(of("all", "")?.unwrap_or_default()),
        Filter::Owner(owner) => Ok(of("owner", owner.as_str())?.unwrap_or_default()),
        Filter::Job(job) => match of("job", job.as_str())? {
            Some(revision) => Ok(revision),
            // It may have been forgotten so long ago that this is forgotten too; then all of it was before its first.
            None => {
                let dropped = of("forgotten", "")?.unwrap_or_default();
                let first = first(&moment, job).map_err(storage)?;
                Ok(first.map_or(dropped, |first| dropped.min(Revision(first.0.saturating_sub(1)))))
            }
        },
    }
}

/// See [`Log::blob`](crate::log::Log::blob).
pub(super) fn blob(db: &mut Connection, job: &JobId, name: &str) -> Result<Option<Bytes>, ReadError> {
    let mut statement = db.prepare_cached("SELECT bytes FROM blob WHERE job = ?1 AND name = ?2").map_err(storage)?;
    let bytes = statement.query_row((job.as_str(), name), |row| row.get::<_, Vec<u8>>(0)).optional();
    Ok(bytes.map_err(storage)?.map(Bytes::from))
}

/// See [`Source::blobs`](crate::source::Source::blobs). A position is a job's id and a name, with the first `/` between them.
pub(super) fn blobs(db: &mut Connection, after: Option<&BlobPosition>) -> Result<BlobPage, ReadError> {
    let (job, name) = after.and_then(|position| position.0.split_once('/')).unwrap_or_default();
    let mut statement = db
        .prepare_cached("SELECT job, name, bytes FROM blob WHERE (job, name) > (?1, ?2) ORDER BY job, name")
        .map_err(storage)?;
    let mut rows = statement.query((job, name)).map_err(storage)?;
    let (mut page, mut bytes) = (BlobPage { blobs: Vec::new(), next: None }, 0);
    while let Some(row) = rows.next().map_err(storage)? {
        if bytes >= LATEST_BYTES || page.blobs.len() >= LATEST_PAGE {
            let last = page.blobs.last().map(|(job, blob)| BlobPosition(format!("{job}/{}", blob.name).into()));
            return Ok(BlobPage { next: last, ..page });
        }
        let text = |column| row.get::<_, Box<str>>(column).map_err(storage);
        let blob = Blob { name: text(1)?, bytes: row.get::<_, Vec<u8>>(2).map_err(storage)?.into() };
        bytes += blob.bytes.len();
        page.blobs.push((JobId::new(text(0)?), blob));
    }
    Ok(page)
}

fn first(db: &Connection, job: &JobId) -> rusqlite::Result<Option<Revision>> {
    let mut statement = db.prepare_cached("SELECT revision FROM entry WHERE job = ?1 ORDER BY revision LIMIT 1")?;
    statement.query_row([job.as_str()], |row| Ok(Revision(row.get(0)?))).optional()
}

/// The entry of a row, and its size as stored.
fn entry(row: &Row<'_>) -> Result<(Entry, usize), ReadError> {
    let revision = Revision(row.get(0).map_err(storage)?);
    let text = |column| row.get::<_, Box<str>>(column).map_err(storage);
    let key = Key { owner: Owner::new(text(1)?), document: DocumentId::new(text(2)?), job: JobId::new(text(3)?) };
    let bytes = row.get_ref(4).map_err(storage)?.as_blob().map_err(storage)?;
    let record = codec::decode(bytes).map_err(|error| error.at(revision))?;
    Ok((Entry { revision, key, record }, bytes.len()))
}

pub(super) fn storage(error: impl std::fmt::Display) -> ReadError {
    ReadError::Storage { reason: error.to_string() }
}
