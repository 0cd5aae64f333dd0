//! The writer: one thread, the only one that changes the log.
//!
//! It takes what is ready, never waits for more, commits it with one fsync, and only then publishes it: first to the ring,
//! then the head, then the callers. An error of the storage is final: what was under way is unknown, and the writer stops. A
//! failed fsync cannot be tried again; only opening the log anew shows what is there. One error is not final: that there is no
//! space left shows while pages are written, before the one that makes them count. The transaction never was, and the next may
//! find space again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::RwLock;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, watch};

use super::batch::{AppendResult, Batch, Encoded, Operation, Request, Task};
use super::checkpointer::CheckpointState;
use super::reserve::Reserve;
use super::table::{self, Head, Kind};
use super::{Options, schema};
use crate::commit_stats::CommitStats;
use crate::ids::{JobId, Revision};
use crate::log::{AppendError, Key, Record};
use crate::recent::Ring;

/// Entries removed in one transaction of its own, at most: a few milliseconds.
const CARE_ROWS: usize = 1_000;
/// Unused pages left in the file.
const FREE_PAGES: u64 = 1_024;
/// Pages given back to the disk at a time.
const SHRINK_PAGES: u32 = 64;

/// What the writer owns.
pub(super) struct Writer {
    db: Connection,
    next: u64,
    heads: HashMap<JobId, Head>,
    forgotten: usize,
    /// Jobs with more entries than they may keep.
    overdue: Vec<JobId>,
    /// Entries were removed, so there may be space to give back.
    freed: bool,
    history: usize,
    forgotten_kept: usize,
    recent: Arc<RwLock<Ring>>,
    head: watch::Sender<Revision>,
    checkpoint_state: Arc<CheckpointState>,
    wal: Arc<AtomicU64>,
    wal_limit: u64,
    full: watch::Sender<bool>,
    reserve: Reserve,
    stats: Arc<CommitStats>,
    /// Only ends of jobs are taken until a probe has found space and the reserve is whole.
    only_ends: bool,
}

/// Why the writer stopped, once it has.
#[derive(Clone, Debug, Default)]
pub(super) struct Stopped(Arc<OnceLock<Arc<str>>>);

impl Stopped {
    pub(super) fn unknown(&self) -> AppendError {
        let reason = self.0.get().cloned().unwrap_or_else(|| "the log is closed".into());
        AppendError::Unknown { reason }
    }

    fn because(&self, error: &rusqlite::Error) -> Arc<str> {
        self.0.get_or_init(|| format!("the log cannot be written: {error}").into()).clone()
    }
}

impl Writer {
    pub(super) fn new(
        mut db: Connection,
        next: u64,
        options: &Options,
        recent: Arc<RwLock<Ring>>,
        head: watch::Sender<Revision>,
        checkpoint_state: Arc<CheckpointState>,
        full: watch::Sender<bool>,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            reserve: Reserve::default(),
            stats: Arc::default(),
            only_ends: false,
            next,
            heads: table::heads(&db)?,
            forgotten: table::count_forgotten(&db)?,
            overdue: Vec::new(),
            freed: false,
            history: options.history_per_job.max(1),
            forgotten_kept: options.forgotten_kept.max(1),
            recent,
            head,
            checkpoint_state,
            wal: schema::watch_wal(&mut db)?,
            // The checkpointer begins at a quarter of this. Under a load that never pauses it cannot finish.
            full,
            wal_limit: (options.checkpoint_bytes as u64).saturating_mul(4),
            db,
        })
    }

    /// Keeps space for ends. Where that is not to be had, the log begins as one whose disk is full.
    pub(super) fn reserving(mut self, reserve: Reserve) -> Self {
        self.reserve = reserve;
        if self.reserve.is_wanted() && !self.reserve.fill() {
            self.only_ends = true;
            self.set_full(true);
        }
        self
    }

    /// What its commits cost, as they are made.
    pub(super) fn stats(&self) -> Arc<CommitStats> {
        self.stats.clone()
    }

    pub(super) fn spawn(self, requests: mpsc::Receiver<Request>, stopped: Stopped) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("joblog-writer".into()).spawn(move || self.run(requests, &stopped))
    }

    fn run(mut self, mut requests: mpsc::Receiver<Request>, stopped: &Stopped) {
        while let Some(first) = requests.blocking_recv() {
            // Who shares a processor with this thread goes on first, so that a commit takes in what it was about to append.
            std::thread::yield_now();
            if let Err(error) = self.serve(first, &mut requests, stopped) {
                tracing::error!(%error, "the log cannot be written any more; restart to see what it holds");
                stopped.because(&error);
                // Those still waiting learn it when the channel goes with this thread.
                return;
            }
        }
    }

    fn serve(
        &mut self,
        first: Request,
        requests: &mut mpsc::Receiver<Request>,
        stopped: &Stopped,
    ) -> rusqlite::Result<()> {
        let (mut batch, forgotten) = (Batch::default(), self.forgotten);
        match self.commit(first, requests, &mut batch) {
            Ok(()) => {
                if batch.begun && !self.only_ends {
                    self.set_full(false);
                }
                self.publish(batch);
                self.unless_full(Self::care)
            }
            Err(error) if is_full(&error) => {
                self.roll_back()?;
                for (job, before) in std::mem::take(&mut batch.undo).into_iter().rev() {
                    match before {
                        Some(head) => self.heads.insert(job, head),
                        None => self.heads.remove(&job),
                    };
                }
                self.forgotten = forgotten;
                self.only_ends = self.reserve.is_wanted();
                if batch.ends {
                    // Who gets an answer now tries again at once.
                    self.reserve.give();
                }
                self.set_full(true);
                batch.send_full();
                // What was moved into the database meanwhile may have made room in the write-ahead log.
                self.unless_full(|writer| schema::checkpoint(&writer.db))
            }
            Err(error) => {
                batch.send_unknown(&stopped.because(&error));
                Err(error)
            }
        }
    }

    fn commit(
        &mut self,
        first: Request,
        requests: &mut mpsc::Receiver<Request>,
        batch: &mut Batch,
    ) -> rusqlite::Result<()> {
        self.take(first, batch)?;
        while !batch.is_full()
            && let Ok(request) = requests.try_recv()
        {
            self.take(request, batch)?;
        }
        if !batch.begun {
            return Ok(());
        }
        let begun = Instant::now();
        self.end()?;
        self.stats.took.observe(begun.elapsed());
        self.stats.entries.observe_number(batch.entries.len() as u64);
        Ok(())
    }

    fn take(&mut self, request: Request, batch: &mut Batch) -> rusqlite::Result<()> {
        for Task { key, operation } in batch.begin(request) {
            match self.judge(&key, &operation, batch)? {
                Err(refused) => batch.outcome(Err(refused)),
                Ok(newest) => {
                    // Should the transaction fail, the whole answer is replaced.
                    batch.outcome(Ok(newest));
                    self.carry_out(key, operation, batch)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a task can be carried out, and to what revision it would lead. Begins the transaction for it.
    fn judge(&mut self, key: &Key, operation: &Operation, batch: &mut Batch) -> rusqlite::Result<AppendResult> {
        if matches!(operation, Operation::Probe) {
            if self.only_ends && !self.reserve.fill() {
                return Ok(Err(AppendError::Full));
            }
            self.only_ends = false;
            self.begin_once(batch)?;
            return Ok(Ok(Revision(self.next)));
        }
        let head = self.heads.get(&key.job).copied();
        let actual = head.map(|head| head.revision);
        let as_expected = match operation {
            Operation::Append { expect, .. } => actual == *expect,
            Operation::Forget { expect, .. } => actual == Some(*expect),
            Operation::StoreBlob(_) => actual.is_some(),
            Operation::RemoveBlob(_) | Operation::Probe => true,
        };
        if !as_expected {
            return Ok(Err(AppendError::Conflict { actual }));
        }
        if self.only_ends && !operation.is_end() {
            return Ok(Err(AppendError::Full));
        }
        batch.ends |= operation.is_end();
        batch.undo.push((key.job.clone(), head));
        self.begin_once(batch)?;
        Ok(Ok(Revision(self.next + operation.entries() - 1)))
    }

    fn carry_out(&mut self, key: Key, operation: Operation, batch: &mut Batch) -> rusqlite::Result<()> {
        match operation {
            Operation::Append { records, blobs, .. } => {
                for blob in &blobs {
                    table::store_blob(&self.db, &key.job, blob)?;
                    batch.blob(blob);
                }
                records.into_iter().try_for_each(|record| self.append(&key, record, batch))
            }
            Operation::Forget { expect, bytes } => self.forget(key, expect, &bytes, batch),
            Operation::StoreBlob(blob) => {
                batch.blob(&blob);
                table::store_blob(&self.db, &key.job, &blob)
            }
            Operation::RemoveBlob(name) => {
                self.freed = true;
                table::remove_blob(&self.db, &key.job, &name)
            }
            Operation::Probe => schema::touch(&self.db),
        }
    }

    fn append(&mut self, key: &Key, Encoded { record, bytes }: Encoded, batch: &mut Batch) -> rusqlite::Result<()> {
        let revision = self.next_revision();
        table::insert(&self.db, revision, key, Kind::Changed, &bytes)?;
        self.advance(&key.job, revision);
        batch.entry(revision, key.clone(), record, bytes.len());
        Ok(())
    }

    fn forget(&mut self, key: Key, head: Revision, bytes: &[u8], batch: &mut Batch) -> rusqlite::Result<()> {
        let revision = self.next_revision();
        table::forget(&self.db, &key, head)?;
        table::insert(&self.db, revision, &key, Kind::Forgotten, bytes)?;
        self.heads.remove(&key.job);
        self.forgotten += 1;
        self.freed = true;
        batch.forget(&key.job);
        batch.entry(revision, key, Record::Forgotten, bytes.len());
        Ok(())
    }

    fn next_revision(&mut self) -> Revision {
        let revision = Revision(self.next);
        self.next += 1;
        revision
    }

    fn advance(&mut self, job: &JobId, revision: Revision) {
        // Found more often than not, and then its name is not copied.
        let head = match self.heads.get_mut(job) {
            Some(head) => head,
            None => self.heads.entry(job.clone()).or_insert(Head { revision, entries: 0 }),
        };
        head.revision = revision;
        head.entries += 1;
        if head.entries > with_slack(self.history) && !self.overdue.contains(job) {
            self.overdue.push(job.clone());
        }
    }

    fn publish(&self, mut batch: Batch) {
        if let Some(last) = batch.last() {
            self.recent.write().push(std::mem::take(&mut batch.entries), &batch.forgotten);
            self.head.send_replace(last);
            self.checkpoint_state.committed(last, self.wal.load(Ordering::Relaxed));
        }
        batch.send_answers();
    }

    /// A little housekeeping after each commit, so that it never piles up nor takes long.
    fn care(&mut self) -> rusqlite::Result<()> {
        if self.wal.load(Ordering::Relaxed) >= self.wal_limit {
            schema::checkpoint(&self.db)?;
        }
        if let Some(job) = self.overdue.pop() {
            self.trim(job)?;
        }
        if self.forgotten > with_slack(self.forgotten_kept) {
            self.drop_forgotten()?;
        }
        if self.freed {
            self.freed = table::shrink(&self.db, FREE_PAGES, SHRINK_PAGES)?;
        }
        Ok(())
    }

    fn trim(&mut self, job: JobId) -> rusqlite::Result<()> {
        let Some(head) = self.heads.get(&job) else { return Ok(()) };
        let over = head.entries.saturating_sub(self.history);
        let most = over.min(CARE_ROWS);
        self.begin()?;
        table::trim(&self.db, &job, self.history, most)?;
        self.end()?;
        if let Some(head) = self.heads.get_mut(&job) {
            head.entries -= most;
        }
        self.freed = true;
        if over > most {
            self.overdue.push(job);
        }
        Ok(())
    }

    fn drop_forgotten(&mut self) -> rusqlite::Result<()> {
        let most = (self.forgotten - self.forgotten_kept).min(CARE_ROWS);
        self.begin()?;
        table::drop_forgotten(&self.db, most)?;
        self.end()?;
        self.forgotten -= most;
        self.freed = true;
        Ok(())
    }

    /// Work that can wait until there is space again.
    fn unless_full(&mut self, work: impl FnOnce(&mut Self) -> rusqlite::Result<()>) -> rusqlite::Result<()> {
        match work(self) {
            Err(error) if is_full(&error) => {
                self.set_full(true);
                self.roll_back()
            }
            done => done,
        }
    }

    fn set_full(&self, full: bool) {
        let changed = self.full.send_if_modified(|known| std::mem::replace(known, full) != full);
        match (changed, full) {
            (true, true) => {
                tracing::error!("the disk of the log is full: nothing is appended until there is space again")
            }
            (true, false) => tracing::info!("there is space for the log again"),
            (false, _) => {}
        }
    }

    /// Ends a transaction that ran out of space, unless SQLite has done so already.
    fn roll_back(&self) -> rusqlite::Result<()> {
        if self.db.is_autocommit() { Ok(()) } else { self.db.execute_batch("ROLLBACK") }
    }

    fn begin_once(&self, batch: &mut Batch) -> rusqlite::Result<()> {
        if std::mem::replace(&mut batch.begun, true) { Ok(()) } else { self.begin() }
    }

    fn begin(&self) -> rusqlite::Result<()> {
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)
    }

    fn end(&self) -> rusqlite::Result<()> {
        self.db.prepare_cached("COMMIT")?.execute([]).map(drop)
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// Going over a limit by an eighth lets many be removed at once.
fn with_slack(limit: usize) -> usize {
    limit.saturating_add(limit / 8)
}
