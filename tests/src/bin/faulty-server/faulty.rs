//! A log that does not keep its invariants.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use courant_joblog::apply::apply;
use courant_joblog::event::{Change, Event};
use courant_joblog::ids::{JobId, Revision};
use courant_joblog::job::State;
use courant_joblog::log::{Append, AppendError, Blob, Changed, Entry, Filter, Key, Latest, Log, ReadError, Record};
use courant_joblog::sqlite::SqliteLog;
use courant_joblog::wrapper::LogWrapper;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::Fault;
use super::unsynced::Unsynced;

/// One of so many single entries is hit.
const EVERY: u64 = 7;
/// One of so many appends of several entries, or blobs, is hit.
const EVERY_BATCH: u64 = 2;
/// Jobs that are lost at a start.
const LOST: usize = 3;
/// How long before its append a report is acknowledged.
const EARLY: Duration = Duration::from_secs(1);

pub struct Faulty {
    inner: Arc<SqliteLog>,
    fault: Fault,
    batches: AtomicU64,
    unsynced: Option<Arc<Unsynced>>,
    /// Appends that are acknowledged and have not happened.
    delayed: Mutex<HashMap<JobId, JoinHandle<()>>>,
}

fn is_hit(revision: Revision) -> bool {
    revision.0.is_multiple_of(EVERY)
}

fn is_page(changed: &Changed) -> bool {
    matches!(changed.event.change, Change::PageFinished { .. })
}

#[async_trait]
impl LogWrapper for Faulty {
    fn inner(&self) -> &dyn Log {
        &*self.inner
    }

    async fn append(&self, mut append: Append) -> Result<Revision, AppendError> {
        if append.changes.len() > 1 || !append.blobs.is_empty() {
            self.spoil_batch(&mut append);
        }
        match self.fault {
            Fault::AcknowledgedEarly => self.append_late(append).await,
            Fault::UnsyncedBatch => self.append_unsynced(append).await,
            _ => self.append_spoiled(append).await,
        }
    }

    async fn append_all(&self, appends: Vec<Append>) -> Vec<Result<Revision, AppendError>> {
        let mut outcomes = Vec::with_capacity(appends.len());
        for append in appends {
            outcomes.push(match append.expect {
                Some(expect) if self.fault == Fault::EndsSkipped && self.is_batch_hit() => Ok(expect),
                _ => LogWrapper::append(self, append).await,
            });
        }
        outcomes
    }

    async fn read(&self, after: Revision, filter: &Filter, limit: usize) -> Result<Vec<Arc<Entry>>, ReadError> {
        if let Some(unsynced) = &self.unsynced {
            return unsynced.read(&*self.inner, after, filter, limit).await;
        }
        let mut page = self.inner.read(after, filter, limit).await?;
        if *filter == Filter::All {
            return Ok(page);
        }
        match self.fault {
            // At least one stays: an empty page means that there is no more.
            Fault::Dropped if page.len() > 1 => page.retain(|entry| !is_hit(entry.revision)),
            Fault::Swapped => swap(&mut page),
            Fault::Leaked => self.leak(after, filter, &mut page).await?,
            _ => {}
        }
        Ok(page)
    }

    async fn latest(&self) -> Result<Latest, ReadError> {
        match &self.unsynced {
            Some(unsynced) => unsynced.latest(&*self.inner).await,
            None => self.inner.latest().await,
        }
    }

    async fn store_blob(&self, job: &JobId, blob: Blob) -> Result<(), AppendError> {
        if self.fault == Fault::ArtifactLost && self.is_batch_hit() {
            return Ok(());
        }
        self.inner.store_blob(job, blob).await
    }

    async fn forget(&self, key: &Key, expect: Revision) -> Result<Revision, AppendError> {
        let real = self.unsynced.as_ref().and_then(|unsynced| unsynced.real(&key.job, Some(expect)));
        self.inner.forget(key, real.unwrap_or(expect)).await
    }
}

impl Faulty {
    pub async fn open(inner: SqliteLog, fault: Fault, data_dir: &Path) -> anyhow::Result<Self> {
        let unsynced = match fault {
            Fault::UnsyncedBatch => Some(Arc::new(Unsynced::open(&inner, &data_dir.join("unsynced.json")).await?)),
            _ => None,
        };
        let (batches, delayed) = (AtomicU64::new(0), Mutex::default());
        let log = Self { inner: Arc::new(inner), fault, batches, unsynced, delayed };
        if fault == Fault::Lost {
            log.lose().await?;
        }
        Ok(log)
    }

    fn is_batch_hit(&self) -> bool {
        self.batches.fetch_add(1, Ordering::Relaxed).is_multiple_of(EVERY_BATCH)
    }

    /// Changes an append of several entries, or one with a blob.
    fn spoil_batch(&self, append: &mut Append) {
        let entries = append.changes.len();
        let pages = entries > 1 && append.changes.iter().all(is_page);
        match self.fault {
            Fault::DocumentLost if !append.blobs.is_empty() && self.is_batch_hit() => append.blobs.clear(),
            // One entry has no halves: a job that no worker has room for is only submitted. Of two the first is missing; where the second
            // is, the job waits, and starts as others do.
            Fault::HalvedSubmit if append.expect.is_none() && entries > 1 && self.is_batch_hit() => {
                append.changes.drain(..entries / 2);
            }
            Fault::HalvedPages if pages && self.is_batch_hit() => append.changes.truncate(entries / 2),
            Fault::SwappedPages if pages && self.is_batch_hit() => append.changes.swap(0, 1),
            Fault::PageDropped if pages => {
                append.changes.remove(1);
                let mut job = append.changes[0].job.clone();
                for changed in append.changes.iter_mut().skip(1) {
                    // As if the page had never been reported: nothing of it shows in the others.
                    if let Ok(after) = apply(Some(&job), &changed.event) {
                        job = Arc::new(after);
                        changed.job = job.clone();
                    }
                }
            }
            _ => {}
        }
    }

    async fn append_spoiled(&self, mut append: Append) -> Result<Revision, AppendError> {
        let hit = append.expect.is_some_and(is_hit);
        let page = append.changes.iter_mut().find(|changed| is_page(changed)).filter(|_| hit);
        if let (Fault::PercentBack, Some(page)) = (self.fault, page) {
            Arc::make_mut(&mut page.job).progress.percent = 1.0;
        }
        let newest = append.changes.last().cloned();
        let revision = self.inner.append(append).await?;
        let Some(newest) = newest.filter(|_| hit) else { return Ok(revision) };
        match (self.fault, &newest.event.change) {
            (Fault::Doubled, Change::PageFinished { .. }) => {
                self.inner.append(Append::one(Some(revision), newest.event, newest.job)).await
            }
            (Fault::TwoClaims, Change::Started { .. }) => self.unclaim(revision, newest).await.map(|()| revision),
            _ => Ok(revision),
        }
    }

    /// Acknowledges pages and appends them later. What else happens to the job waits for it: nothing but a crash loses them.
    async fn append_late(&self, append: Append) -> Result<Revision, AppendError> {
        let job = append.key.job.clone();
        let earlier = self.delayed.lock().remove(&job);
        if let Some(earlier) = earlier {
            let _ = earlier.await;
        }
        match append.expect {
            Some(expect) if append.changes.iter().all(is_page) => {
                let inner = self.inner.clone();
                let late = tokio::spawn(async move {
                    tokio::time::sleep(EARLY).await;
                    if let Err(error) = inner.append(append).await {
                        tracing::warn!(%error, "an acknowledged page is lost without a crash");
                    }
                });
                self.delayed.lock().insert(job, late);
                Ok(expect)
            }
            _ => self.inner.append(append).await,
        }
    }

    /// An append of several entries is visible at once, and lost if the server is killed soon.
    async fn append_unsynced(&self, mut append: Append) -> Result<Revision, AppendError> {
        let Some(unsynced) = &self.unsynced else { return self.inner.append(append).await };
        let (job, entries) = (append.key.job.clone(), append.changes.len() as u64);
        if let Some(real) = unsynced.real(&job, append.expect) {
            append.expect = Some(real);
        }
        let revision = self.inner.append(append).await?;
        unsynced.replaced(&job);
        if entries > 1 {
            unsynced.add(revision.0 + 1 - entries..revision.0 + 1);
        }
        Ok(revision)
    }

    /// Puts a job that has just been taken back into its queue, as if it never was.
    async fn unclaim(&self, revision: Revision, mut taken: Changed) -> Result<(), AppendError> {
        let job = Arc::make_mut(&mut taken.job);
        (job.state, job.worker, job.attempt) = (State::Queued, None, job.attempt.saturating_sub(1));
        // The first claimant must have heard of its luck.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let event = Event { change: Change::Requeued { by: "fault".into(), password: None }, ..taken.event };
        match self.inner.append(Append::one(Some(revision), event, taken.job)).await {
            Ok(_) | Err(AppendError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Forgets what was accepted last.
    async fn lose(&self) -> anyhow::Result<()> {
        let latest = self.inner.latest().await?.all().await?;
        let jobs = latest.iter().rev().filter(|entry| matches!(entry.record, Record::Changed { .. }));
        for entry in jobs.take(LOST) {
            self.inner.forget(&entry.key, entry.revision).await?;
        }
        Ok(())
    }

    /// Adds a stranger's event, made out to whoever reads.
    async fn leak(&self, after: Revision, filter: &Filter, page: &mut Vec<Arc<Entry>>) -> Result<(), ReadError> {
        let Filter::Owner(reader) = filter else { return Ok(()) };
        let all = self.inner.read(after, &Filter::All, 16).await?;
        let Some(theirs) = all.iter().find(|entry| entry.key.owner != *reader) else { return Ok(()) };
        let mut leaked = (**theirs).clone();
        if let Record::Changed { job, .. } = &mut leaked.record {
            Arc::make_mut(job).owner = reader.clone();
        }
        page.push(Arc::new(leaked));
        page.sort_by_key(|entry| entry.revision);
        Ok(())
    }
}

/// Two events of a job change places in the history.
fn swap(page: &mut [Arc<Entry>]) {
    for at in 1..page.len() {
        let (before, after) = (page[at - 1].clone(), page[at].clone());
        if before.key == after.key && is_hit(after.revision) {
            page[at - 1] = Arc::new(Entry { revision: before.revision, ..(*after).clone() });
            page[at] = Arc::new(Entry { revision: after.revision, ..(*before).clone() });
        }
    }
}
