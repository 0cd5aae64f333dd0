//! The notifications of several servers on one log. What cannot be read from the jobs' entries (messages, what was read, where to push)
//! is put into the log as notes; each server applies entries and notes in their one order to a store of its own.

use std::sync::Arc;
use std::time::Duration;

use courant_engine::engine::PAGE;
use courant_joblog::event::Change;
use courant_joblog::ids::Revision;
use courant_joblog::log::{AppendError, Entry, Filter, Log, ReadError, Record};
use courant_joblog::notes::{Notes, Put};
use tokio::sync::watch;

use super::draft::draft;
use super::operation::{self, MESSAGES, READ, UNSUBSCRIBED};
use super::store::{Item, Obsolete, Operation, StoreError, What};
use crate::seal::Sealer;

/// How long what was put may take to be applied here.
const APPLIED_WITHIN: Duration = Duration::from_secs(5);
/// Items that are applied together, about.
const MAX_ITEMS: usize = 2_048;

/// What this server shares with the others.
pub struct SharedNotes {
    notes: Arc<dyn Notes>,
    sealer: Sealer,
    /// This server's number, random.
    pub(super) by: u64,
    /// Everything up to here is applied to this server's store.
    applied: watch::Sender<Revision>,
}

/// Items to apply, and the revision up to which they are all.
pub(super) type Step = (Vec<Item>, Revision);

impl SharedNotes {
    /// None for a log that only one server has open.
    pub fn new(log: &dyn Log, sealer: Sealer) -> Option<Self> {
        let notes = log.notes()?;
        Some(Self { notes, sealer, by: fastrand::u64(..), applied: watch::Sender::new(Revision::ZERO) })
    }

    /// Puts an operation and waits until it is applied here. One that was put before is not put again.
    pub(super) async fn put(&self, operation: Operation) -> Result<(), StoreError> {
        let (key, put) = match &operation {
            Operation::Message { .. } => (operation::key(&operation), Put::IfAbsent),
            _ => (operation::key(&operation), Put::Replace),
        };
        let bytes = operation::encode(operation, &self.sealer)
            .map_err(|error| AppendError::Unencodable { reason: error.to_string() })?;
        let revision = match self.notes.put(&key, bytes, put).await {
            Err(AppendError::Conflict { actual: Some(there) }) => there,
            put => put?,
        };
        self.applied_up_to(revision).await
    }

    /// Waits until everything up to a revision is applied here.
    pub(super) async fn applied_up_to(&self, revision: Revision) -> Result<(), StoreError> {
        let mut applied = self.applied.subscribe();
        match tokio::time::timeout(APPLIED_WITHIN, applied.wait_for(|applied| *applied >= revision)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(StoreError::Behind),
        }
    }

    /// Ends a subscription, at all servers and in the log.
    pub(super) async fn unsubscribe(&self, owner: String, endpoint_name: String) -> Result<(), StoreError> {
        let gone = operation::subscription_keys(&owner, &endpoint_name);
        self.put(Operation::Unsubscribe { owner, endpoint_name }).await?;
        for key in gone {
            self.notes.remove(&key).await?;
        }
        Ok(())
    }

    pub(super) fn set_applied(&self, revision: Revision) {
        self.applied.send_if_modified(|applied| revision > std::mem::replace(applied, revision.max(*applied)));
    }

    /// Removes what no store has any more.
    pub(super) async fn remove(&self, obsolete: &[Obsolete]) {
        for key in obsolete.iter().flat_map(operation::keys_of) {
            if let Err(error) = self.notes.remove(&key).await {
                tracing::debug!(%error, kind = key.kind, "an obsolete note stays in the log");
            }
        }
    }

    /// Removes what is older than notifications are kept.
    pub(super) async fn remove_older(&self, than: Revision) -> Result<(), StoreError> {
        for kind in [MESSAGES, READ, UNSUBSCRIBED] {
            self.notes.remove_older(kind, than).await?;
        }
        Ok(())
    }

    pub(super) fn arrived(&self) -> watch::Receiver<Revision> {
        self.notes.arrived()
    }

    /// What comes next after a revision.
    pub(super) async fn next(&self, log: &dyn Log, after: Revision) -> Result<Step, ReadError> {
        let arrived = *self.notes.arrived().borrow();
        let entries = log.read(after, &Filter::All, PAGE).await?;
        let last = entries.last().map_or(after, |entry| entry.revision);
        let up_to = if entries.len() < PAGE { last.max(arrived) } else { last };
        self.merge(&entries, after, up_to).await
    }

    /// What entries and the notes between two revisions say, in one order. If there are too many notes, up to an earlier revision.
    pub(super) async fn merge(
        &self,
        entries: &[Arc<Entry>],
        after: Revision,
        mut up_to: Revision,
    ) -> Result<Step, ReadError> {
        let (mut items, mut read) = (Vec::new(), after);
        loop {
            let page = self.notes.read(read, up_to, PAGE).await?;
            let Some(last) = page.last() else { break };
            read = last.revision;
            items.extend(page.iter().filter_map(|note| operation::decode(note, &self.sealer)));
            if items.len() >= MAX_ITEMS {
                up_to = read;
                break;
            }
        }
        items.extend(entries.iter().filter(|entry| entry.revision <= up_to).filter_map(|entry| item(entry)));
        items.sort_by_key(|item| item.revision);
        Ok((items, up_to))
    }
}

fn item(entry: &Entry) -> Option<Item> {
    let what = match &entry.record {
        Record::Forgotten => What::JobReopened(entry.key.job.clone()),
        Record::Changed { event, .. } if matches!(event.change, Change::Requeued { .. }) => {
            What::JobReopened(entry.key.job.clone())
        }
        Record::Changed { .. } => What::JobEnded(draft(entry)?),
    };
    Some(Item { revision: entry.revision, what })
}
