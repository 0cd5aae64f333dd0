//! Where records are kept.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use courant_joblog::ids::Revision;
use courant_joblog::log::{AppendError, Log};
use courant_joblog::notes::{Notes, Put};
use tokio::sync::watch;

use super::database::Database;
use super::error::WebhookStoreError;
use super::record::{Kind, Record};

/// How long a note that is there may take to arrive here.
const ARRIVES_WITHIN: Duration = Duration::from_secs(5);
/// Notes that are read at once.
const PAGE: usize = 500;

pub(super) enum Backend {
    Database(Arc<Database>),
    Notes(Arc<dyn Notes>),
}

impl Backend {
    pub(super) fn open(log: &dyn Log, data_dir: &Path) -> Result<Self, WebhookStoreError> {
        match log.notes() {
            Some(notes) => Ok(Self::Notes(notes)),
            None => Ok(Self::Database(Arc::new(Database::open(data_dir)?))),
        }
    }

    /// All records, and up to which revision of the log they are all.
    pub(super) async fn read(&self) -> Result<(Vec<Record>, Revision), WebhookStoreError> {
        match self {
            Self::Database(database) => {
                let database = database.clone();
                Ok((blocking(move || database.read()).await?, Revision::ZERO))
            }
            Self::Notes(notes) => {
                let up_to = *notes.arrived().borrow();
                Ok((read_between(&**notes, Revision::ZERO, up_to).await?, up_to))
            }
        }
    }

    /// Puts a record. `IfAbsent`: false when there was one.
    pub(super) async fn put(&self, record: Record, put: Put) -> Result<bool, WebhookStoreError> {
        match self {
            Self::Database(database) => {
                let database = database.clone();
                blocking(move || database.put(&record)).await.map(|()| true)
            }
            Self::Notes(notes) => {
                let (key, bytes) = (record.kind().key(record.id()), record.encode()?);
                match notes.put(&key, bytes.into(), put).await {
                    Err(AppendError::Conflict { actual }) if put == Put::IfAbsent => {
                        // Who reads next is to find the one that is there.
                        let there = actual.unwrap_or(Revision::ZERO);
                        let mut arrived = notes.arrived();
                        let arrives = arrived.wait_for(|arrived| *arrived >= there);
                        let _ = tokio::time::timeout(ARRIVES_WITHIN, arrives).await;
                        Ok(false)
                    }
                    put => Ok(put.map(|_| true)?),
                }
            }
        }
    }

    pub(super) async fn remove(&self, kind: Kind, id: &str) -> Result<(), WebhookStoreError> {
        match self {
            Self::Database(database) => {
                let (database, id) = (database.clone(), id.to_owned());
                blocking(move || database.remove(kind, &id)).await
            }
            Self::Notes(notes) => Ok(notes.remove(&kind.key(id)).await?),
        }
    }

    /// What other servers put after a revision, and up to which revision that is all. None where there are no other servers.
    pub(super) async fn next(&self, after: Revision) -> Option<Result<(Vec<Record>, Revision), WebhookStoreError>> {
        let Self::Notes(notes) = self else { return None };
        let up_to = *notes.arrived().borrow();
        Some(read_between(&**notes, after, up_to).await.map(|records| (records, up_to.max(after))))
    }

    /// Whether others have to be told of what is removed.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Notes(_))
    }

    /// Changes when something may have been put; none where there are no other servers.
    pub(super) fn arrived(&self) -> Option<watch::Receiver<Revision>> {
        match self {
            Self::Database(_) => None,
            Self::Notes(notes) => Some(notes.arrived()),
        }
    }
}

async fn read_between(
    notes: &dyn Notes,
    mut after: Revision,
    up_to: Revision,
) -> Result<Vec<Record>, WebhookStoreError> {
    let mut records = Vec::new();
    loop {
        let page = notes.read(after, up_to, PAGE).await?;
        let Some(last) = page.last() else { return Ok(records) };
        after = last.revision;
        records.extend(page.iter().filter_map(|note| Record::decode(&note.bytes)));
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, WebhookStoreError> + Send + 'static,
) -> Result<T, WebhookStoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // The store does not panic, and the runtime does not end under its own calls.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
