//! The memory engine: for tests, and the shortest way to say what the invariants mean. Nothing survives the process.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::codec;
use crate::ids::{JobId, Owner, Revision};
use crate::log::{Append, AppendError, Blob, Entry, Epoch, Filter, Key, Latest, Log, LogInfo, ReadError, Record};
use crate::notes::{self, Note, NoteKey, Notes, Put};
use crate::peers::{LocalPeers, Peers};

/// A log in memory.
#[derive(Debug)]
pub struct MemoryLog {
    info: LogInfo,
    history_per_job: usize,
    state: Arc<Mutex<State>>,
    head: watch::Sender<Revision>,
    /// What servers share that have it open together.
    shared: Option<Shared>,
}

#[derive(Debug)]
struct Shared {
    peers: Arc<LocalPeers>,
    notes: Arc<MemoryNotes>,
}

#[derive(Debug)]
struct MemoryNotes {
    state: Arc<Mutex<State>>,
    arrived: watch::Sender<Revision>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<Revision, Arc<Entry>>,
    last: Revision,
    jobs: HashMap<JobId, Vec<Revision>>,
    blobs: HashMap<JobId, HashMap<Box<str>, Bytes>>,
    trimmed: Trimmed,
    notes: BTreeMap<Revision, (NoteKey, Bytes)>,
}

#[derive(Debug, Default)]
struct Trimmed {
    all: Revision,
    owners: HashMap<Owner, Revision>,
    jobs: HashMap<JobId, Revision>,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLog {
    /// An empty log with all history.
    pub fn new() -> Self {
        Self::with_history(usize::MAX)
    }

    /// An empty log that keeps only the newest entries of each job, at least one.
    pub fn with_history(per_job: usize) -> Self {
        Self {
            info: LogInfo { epochs: vec![Epoch::begin(Revision::ZERO)] },
            history_per_job: per_job.max(1),
            state: Arc::default(),
            head: watch::Sender::new(Revision::ZERO),
            shared: None,
        }
    }

    /// An empty log that several servers of this process share.
    pub fn shared() -> Self {
        let log = Self::new();
        let notes = MemoryNotes { state: log.state.clone(), arrived: watch::Sender::new(Revision::ZERO) };
        Self { shared: Some(Shared { peers: Arc::default(), notes: Arc::new(notes) }), ..log }
    }

    /// Called while the state is locked, so that it never goes back.
    fn announce(&self, newest: Revision) {
        self.head.send_replace(newest);
        if let Some(shared) = &self.shared {
            shared.notes.arrived.send_replace(newest);
        }
    }
}

#[async_trait]
impl Log for MemoryLog {
    async fn append(&self, append: Append) -> Result<Revision, AppendError> {
        let checked = Checked::of(append)?;
        let mut state = self.state.lock();
        let newest = state.append_checked(checked, self.history_per_job)?;
        self.announce(newest);
        Ok(newest)
    }

    async fn append_all(&self, appends: Vec<Append>) -> Vec<Result<Revision, AppendError>> {
        let checked: Vec<_> = appends.into_iter().map(Checked::of).collect();
        let mut state = self.state.lock();
        let outcomes: Vec<_> =
            checked.into_iter().map(|checked| state.append_checked(checked?, self.history_per_job)).collect();
        // One announcement, after the last.
        if outcomes.iter().any(Result::is_ok) {
            self.announce(state.last);
        }
        outcomes
    }

    async fn read(&self, after: Revision, filter: &Filter, limit: usize) -> Result<Vec<Arc<Entry>>, ReadError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let state = self.state.lock();
        let entries = state.entries.range((Excluded(after), Unbounded)).map(|(_, entry)| entry);
        Ok(entries.filter(|entry| filter.matches(&entry.key)).take(limit.max(1)).cloned().collect())
    }

    fn recent(&self, after: Revision, limit: usize) -> Option<Vec<Arc<Entry>>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let state = self.state.lock();
        let entries = state.entries.range((Excluded(after), Unbounded)).map(|(_, entry)| entry);
        Some(entries.take(limit.max(1)).cloned().collect())
    }

    fn head(&self) -> watch::Receiver<Revision> {
        self.head.subscribe()
    }

    async fn store_blob(&self, job: &JobId, blob: Blob) -> Result<(), AppendError> {
        blob.check()?;
        let mut state = self.state.lock();
        if !state.jobs.contains_key(job) {
            return Err(AppendError::Conflict { actual: None });
        }
        state.store(job, blob);
        Ok(())
    }

    async fn blob(&self, job: &JobId, name: &str) -> Result<Option<Bytes>, ReadError> {
        Ok(self.state.lock().blobs.get(job).and_then(|blobs| blobs.get(name)).cloned())
    }

    async fn remove_blob(&self, job: &JobId, name: &str) -> Result<(), AppendError> {
        if let Some(blobs) = self.state.lock().blobs.get_mut(job) {
            blobs.remove(name);
        }
        Ok(())
    }

    async fn latest(&self) -> Result<Latest, ReadError> {
        let state = self.state.lock();
        let mut heads: Vec<Revision> = state.jobs.values().filter_map(|revisions| revisions.last().copied()).collect();
        heads.sort_unstable();
        let entries = heads.iter().filter_map(|revision| state.entries.get(revision).cloned()).collect();
        Ok(Latest::known(state.last, entries))
    }

    async fn forget(&self, key: &Key, expect: Revision) -> Result<Revision, AppendError> {
        let mut state = self.state.lock();
        state.check(&key.job, Some(expect))?;
        for revision in state.jobs.remove(&key.job).unwrap_or_default() {
            state.remove(key, revision);
        }
        state.blobs.remove(&key.job);
        let revision = state.push(key.clone(), Record::Forgotten);
        self.announce(revision);
        Ok(revision)
    }

    async fn trimmed(&self, filter: &Filter) -> Result<Revision, ReadError> {
        let trimmed = &self.state.lock().trimmed;
        Ok(match filter {
            Filter::All => trimmed.all,
            Filter::Owner(owner) => trimmed.owners.get(owner).copied().unwrap_or_default(),
            Filter::Job(job) => trimmed.jobs.get(job).copied().unwrap_or_default(),
        })
    }

    fn info(&self) -> &LogInfo {
        &self.info
    }

    fn peers(&self) -> Option<Arc<dyn Peers>> {
        self.shared.as_ref().map(|shared| shared.peers.clone() as Arc<dyn Peers>)
    }

    fn notes(&self) -> Option<Arc<dyn Notes>> {
        self.shared.as_ref().map(|shared| shared.notes.clone() as Arc<dyn Notes>)
    }
}

#[async_trait]
impl Notes for MemoryNotes {
    async fn put(&self, key: &NoteKey, bytes: Bytes, put: Put) -> Result<Revision, AppendError> {
        notes::check(&bytes)?;
        let mut state = self.state.lock();
        let there = state.notes.iter().find(|(_, (known, _))| known == key).map(|(revision, _)| *revision);
        if let Some(actual) = there {
            if put == Put::IfAbsent {
                return Err(AppendError::Conflict { actual: Some(actual) });
            }
            state.notes.remove(&actual);
        }
        state.last = Revision(state.last.0 + 1);
        let revision = state.last;
        state.notes.insert(revision, (key.clone(), bytes));
        self.arrived.send_replace(revision);
        Ok(revision)
    }

    async fn read(&self, after: Revision, up_to: Revision, limit: usize) -> Result<Vec<Note>, ReadError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let state = self.state.lock();
        let notes = state.notes.range((Excluded(after), Unbounded)).take_while(|(revision, _)| **revision <= up_to);
        let notes = notes.map(|(revision, (_, bytes))| Note { revision: *revision, bytes: bytes.clone() });
        Ok(notes.take(limit.max(1)).collect())
    }

    fn arrived(&self) -> watch::Receiver<Revision> {
        self.arrived.subscribe()
    }

    async fn remove(&self, key: &NoteKey) -> Result<(), AppendError> {
        self.state.lock().notes.retain(|_, (known, _)| known != key);
        Ok(())
    }

    async fn remove_older(&self, kind: &'static str, than: Revision) -> Result<(), AppendError> {
        self.state.lock().notes.retain(|revision, (key, _)| key.kind != kind || *revision >= than);
        Ok(())
    }
}

/// An append that is within the limits.
struct Checked {
    key: Key,
    expect: Option<Revision>,
    records: Vec<Record>,
    blobs: Vec<Blob>,
}

impl Checked {
    fn of(Append { key, expect, changes, blobs }: Append) -> Result<Self, AppendError> {
        let records: Vec<Record> = changes.into_iter().map(Record::from).collect();
        // The same limits as the engines that store bytes, so that tests on this one find what would not fit there.
        records.iter().try_for_each(|record| codec::encode(record).map(drop))?;
        blobs.iter().try_for_each(Blob::check)?;
        Ok(Self { key, expect, records, blobs })
    }
}

impl State {
    fn append_checked(&mut self, checked: Checked, history: usize) -> Result<Revision, AppendError> {
        let Checked { key, expect, records, blobs } = checked;
        self.check(&key.job, expect)?;
        for record in records {
            self.append(&key, record, history);
        }
        blobs.into_iter().for_each(|blob| self.store(&key.job, blob));
        Ok(self.last)
    }

    fn check(&self, job: &JobId, expect: Option<Revision>) -> Result<(), AppendError> {
        let actual = self.jobs.get(job).and_then(|revisions| revisions.last().copied());
        if actual == expect { Ok(()) } else { Err(AppendError::Conflict { actual }) }
    }

    fn append(&mut self, key: &Key, record: Record, history: usize) {
        let revision = self.push(key.clone(), record);
        let revisions = self.jobs.entry(key.job.clone()).or_default();
        revisions.push(revision);
        if revisions.len() > history {
            let oldest = revisions.remove(0);
            self.remove(key, oldest);
        }
    }

    fn store(&mut self, job: &JobId, Blob { name, bytes }: Blob) {
        // Copied: the bytes may be a piece of a much larger buffer.
        self.blobs.entry(job.clone()).or_default().insert(name, Bytes::copy_from_slice(&bytes));
    }

    fn push(&mut self, key: Key, record: Record) -> Revision {
        self.last = Revision(self.last.0 + 1);
        self.entries.insert(self.last, Arc::new(Entry { revision: self.last, key, record }));
        self.last
    }

    fn remove(&mut self, key: &Key, revision: Revision) {
        self.entries.remove(&revision);
        let Trimmed { all, owners, jobs } = &mut self.trimmed;
        for newest in [all, owners.entry(key.owner.clone()).or_default(), jobs.entry(key.job.clone()).or_default()] {
            *newest = revision.max(*newest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (Arc<dyn Log>, ()) {
        (Arc::new(MemoryLog::shared()), ())
    }

    fn short() -> (Arc<dyn Log>, ()) {
        (Arc::new(MemoryLog::with_history(4)), ())
    }

    crate::conformance!(fresh(), short());

    crate::conformance_of_notes!(fresh());
}
