//! Entries that a disk would have lost in a crash. They are in the log all the same: after a start they are hidden, and what
//! follows them is appended as if they were not there.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use courant_joblog::ids::{JobId, Revision};
use courant_joblog::log::{Entry, Filter, Latest, Log, ReadError};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// After this time an entry survives.
const SYNCED_AFTER: Duration = Duration::from_secs(3);

/// By revision.
#[derive(Default, Serialize, Deserialize)]
struct Entries {
    lost: BTreeSet<u64>,
    /// Would be lost in a crash now.
    unsynced: BTreeSet<u64>,
}

pub struct Unsynced {
    path: PathBuf,
    entries: Mutex<Entries>,
    /// Jobs whose newest entry is lost: the newest one that is left, and the one that the log has.
    newest: Mutex<HashMap<JobId, (Option<Revision>, Revision)>>,
}

impl Unsynced {
    /// What was not synced when the server was killed is lost now.
    pub async fn open(log: &dyn Log, path: &Path) -> anyhow::Result<Self> {
        let mut entries = match std::fs::read(path) {
            Ok(kept) => serde_json::from_slice(&kept)?,
            Err(_) => Entries::default(),
        };
        let unsynced = std::mem::take(&mut entries.unsynced);
        entries.lost.extend(unsynced);
        let (path, newest) = (path.to_owned(), Mutex::default());
        let new = Self { path, entries: Mutex::new(entries), newest };
        new.save(&new.entries.lock());
        for entry in log.latest().await?.all().await?.iter().filter(|entry| new.is_lost(entry)) {
            let history = log.read(Revision::ZERO, &Filter::Job(entry.key.job.clone()), usize::MAX).await?;
            let left = history.iter().rev().find(|entry| !new.is_lost(entry)).map(|entry| entry.revision);
            new.newest.lock().insert(entry.key.job.clone(), (left, entry.revision));
        }
        Ok(new)
    }

    /// Entries that were just appended.
    pub fn add(self: &Arc<Self>, revisions: Range<u64>) {
        let mut entries = self.entries.lock();
        entries.unsynced.extend(revisions.clone());
        self.save(&entries);
        let this = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(SYNCED_AFTER).await;
            let mut entries = this.entries.lock();
            entries.unsynced.retain(|revision| !revisions.contains(revision));
            this.save(&entries);
        });
    }

    /// The job's newest entry in the log, if `expect` is the newest that is left.
    pub fn real(&self, job: &JobId, expect: Option<Revision>) -> Option<Revision> {
        self.newest.lock().get(job).filter(|(left, _)| *left == expect).map(|(_, real)| *real)
    }

    /// The job has a newer entry.
    pub fn replaced(&self, job: &JobId) {
        self.newest.lock().remove(job);
    }

    pub async fn read(
        &self,
        log: &dyn Log,
        mut after: Revision,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>, ReadError> {
        loop {
            let mut page = log.read(after, filter, limit).await?;
            let Some(last) = page.last() else { return Ok(page) };
            after = last.revision;
            page.retain(|entry| !self.is_lost(entry));
            // An empty page means that there is no more.
            if !page.is_empty() {
                return Ok(page);
            }
        }
    }

    pub async fn latest(&self, log: &dyn Log) -> Result<Latest, ReadError> {
        let latest = log.latest().await?;
        let revision = latest.revision;
        let mut entries = latest.all().await?;
        entries.retain(|entry| !self.is_lost(entry));
        let left: Vec<Revision> = self.newest.lock().values().filter_map(|(left, _)| *left).collect();
        for newest in left {
            entries.extend(log.read(Revision(newest.0 - 1), &Filter::All, 1).await?);
        }
        entries.sort_by_key(|entry| entry.revision);
        Ok(Latest::known(revision, entries))
    }

    fn is_lost(&self, entry: &Entry) -> bool {
        self.entries.lock().lost.contains(&entry.revision.0)
    }

    fn save(&self, entries: &Entries) {
        // The file is renamed, since a kill may come at any time.
        let new = self.path.with_extension("new");
        let saved = serde_json::to_vec(entries).map_err(std::io::Error::from);
        let saved =
            saved.and_then(|bytes| std::fs::write(&new, bytes)).and_then(|()| std::fs::rename(&new, &self.path));
        if let Err(error) = saved {
            tracing::error!(%error, "what is not synced cannot be noted");
        }
    }
}
