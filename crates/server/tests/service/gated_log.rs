//! A log whose appends can be held back, job by job, and are counted.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use courant_joblog::ids::{JobId, Revision};
use courant_joblog::log::{Append, AppendError, Blob, Entry, Filter, Key, Latest, Log, LogInfo, ReadError};
use courant_joblog::memory::MemoryLog;
use courant_worker::async_trait;
use tokio::sync::watch;

use crate::support::PATIENCE;

/// See the module.
#[derive(Default)]
pub struct GatedLog {
    log: MemoryLog,
    state: watch::Sender<Gates>,
}

#[derive(Default)]
struct Gates {
    held: HashSet<String>,
    /// Appends that wait.
    waiting: HashMap<String, usize>,
    /// How many entries each append had.
    done: HashMap<String, Vec<usize>>,
}

impl GatedLog {
    /// Holds back what is appended to a job from now on.
    pub fn hold(&self, job: &str) {
        self.state.send_modify(|gates| {
            gates.held.insert(job.to_owned());
        });
    }

    pub fn release(&self, job: &str) {
        self.state.send_modify(|gates| {
            gates.held.remove(job);
        });
    }

    /// Waits until so many appends to a job are held back.
    pub async fn until_held(&self, job: &str, appends: usize) {
        let mut gates = self.state.subscribe();
        let held = gates.wait_for(|gates| gates.waiting.get(job).copied().unwrap_or(0) == appends);
        tokio::time::timeout(PATIENCE, held).await.expect("they did not come").unwrap();
    }

    /// How many entries each append to a job had.
    pub fn appends(&self, job: &str) -> Vec<usize> {
        self.state.borrow().done.get(job).cloned().unwrap_or_default()
    }
}

/// An append that waits, or did until it was dropped.
struct Waiting<'a>(&'a GatedLog, String);

impl<'a> Waiting<'a> {
    fn new(log: &'a GatedLog, job: &str) -> Self {
        log.state.send_modify(|gates| *gates.waiting.entry(job.to_owned()).or_default() += 1);
        Self(log, job.to_owned())
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|gates| *gates.waiting.get_mut(&self.1).unwrap() -= 1);
    }
}

#[async_trait]
impl Log for GatedLog {
    async fn append(&self, append: Append) -> Result<Revision, AppendError> {
        let (job, entries) = (append.key.job.to_string(), append.changes.len());
        {
            let _waiting = Waiting::new(self, &job);
            let mut gates = self.state.subscribe();
            gates.wait_for(|gates| !gates.held.contains(&job)).await.unwrap();
        }
        let appended = self.log.append(append).await;
        if appended.is_ok() {
            self.state.send_modify(|gates| gates.done.entry(job).or_default().push(entries));
        }
        appended
    }

    async fn read(&self, after: Revision, filter: &Filter, limit: usize) -> Result<Vec<Arc<Entry>>, ReadError> {
        self.log.read(after, filter, limit).await
    }

    fn recent(&self, after: Revision, limit: usize) -> Option<Vec<Arc<Entry>>> {
        self.log.recent(after, limit)
    }

    fn head(&self) -> watch::Receiver<Revision> {
        self.log.head()
    }

    async fn store_blob(&self, job: &JobId, blob: Blob) -> Result<(), AppendError> {
        self.log.store_blob(job, blob).await
    }

    async fn blob(&self, job: &JobId, name: &str) -> Result<Option<Bytes>, ReadError> {
        self.log.blob(job, name).await
    }

    async fn remove_blob(&self, job: &JobId, name: &str) -> Result<(), AppendError> {
        self.log.remove_blob(job, name).await
    }

    async fn latest(&self) -> Result<Latest, ReadError> {
        self.log.latest().await
    }

    async fn forget(&self, key: &Key, expect: Revision) -> Result<Revision, AppendError> {
        self.log.forget(key, expect).await
    }

    async fn trimmed(&self, filter: &Filter) -> Result<Revision, ReadError> {
        self.log.trimmed(filter).await
    }

    fn info(&self) -> &LogInfo {
        self.log.info()
    }
}
