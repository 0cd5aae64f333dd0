//! The SQLite engine: one file, one writer, nothing to install.
//!
//! A folder holds `log.db` (the entries, openable with any SQLite tool), `log.lock` (held while a process has the log open),
//! `log.mark` (how far the log must reach) and, if asked for, `log.reserve` (space for ends of jobs on a full disk). One
//! thread owns the only writing connection and commits what is ready in one transaction with one fsync; nothing is answered
//! before that. A second thread moves the write-ahead log into the database and writes the mark. Readers of what is new are
//! served from memory, others by a few reading connections.
//!
//! A reader that needs to know whether it missed something asks `trimmed` after `read`, not before.
//!
//! Not for network file systems: their locks and syncs cannot be trusted.

mod batch;
mod builder;
mod checkpointer;
mod epochs;
mod lock;
mod mark;
mod options;
mod reader;
mod reserve;
mod schema;
mod snapshot;
mod stopped;
mod table;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot, watch};

use self::batch::{AppendResult, Encoded, Operation, Request, Task};
pub use self::builder::{BuildError, Builder};
use self::checkpointer::Checkpointer;
use self::lock::Lock;
use self::mark::{HighWaterMark, floor};
pub use self::options::{OnLoss, OpenError, Options};
use self::reader::Readers;
use self::reserve::Reserve;
pub use self::snapshot::{copy_any, snapshot};
pub use self::stopped::{Contents, StoppedLog};
use self::writer::{Stopped, Writer};
use crate::codec;
use crate::commit_stats::CommitStats;
use crate::ids::{DocumentId, JobId, Owner, Revision};
use crate::log::{
    Append, AppendError, Blob, Entry, Filter, Key, Latest, Log, LogDescription, LogInfo, ReadError, Record,
};
use crate::recent::Ring;

/// How often an end of a job is tried that finds the disk full.
const TRIES: usize = 4;

/// A log in a folder. Dropping it waits until what is queued is committed, then lets go of the folder.
#[derive(Debug)]
pub struct SqliteLog {
    info: LogInfo,
    path: PathBuf,
    head: watch::Receiver<Revision>,
    recent: Arc<RwLock<Ring>>,
    readers: Readers,
    stopped: Stopped,
    full: watch::Receiver<bool>,
    commits: Arc<CommitStats>,
    /// Whether space is kept for ends of jobs.
    reserves: bool,
    /// `None` only while dropping: the writer ends when the sender is gone.
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    checkpointer: Checkpointer,
    /// The last field, so that it is let go last.
    _lock: Lock,
}

impl SqliteLog {
    /// Opens the log in this folder, or makes an empty one. Blocks: some 50 ms, and more with very many entries.
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { path: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(io)?;
        let lock = Lock::take(&dir.join("log.lock"))?;
        let path = dir.join("log.db");
        let failed = |source| OpenError::Database { path: path.clone(), source };

        let mut db = schema::open(&path, &options)?;
        let have = table::newest(&db).map_err(failed)?;
        let (mark, state) = HighWaterMark::open(&dir.join("log.mark")).map_err(io)?;
        let floor = floor(state, have, options.loss, dir)?;
        let opening = epochs::begin(&mut db, have, floor).map_err(failed)?;
        // Only now: should this be cut short, the loss must be found again.
        mark.write(have).map_err(io)?;
        schema::grow_wal(&db, &path, options.wal_ahead_bytes).map_err(failed)?;

        let recent = Arc::new(RwLock::new(Ring::new(have, options.recent_entries, options.recent_bytes)));
        let checkpointer = Checkpointer::spawn(
            schema::open_checkpointer(&path).map_err(failed)?,
            mark,
            have,
            options.checkpoint_bytes,
        );
        let checkpointer = checkpointer.map_err(io)?;
        let (announce, head) = watch::channel(have);
        let (requests, waiting) = mpsc::channel(options.queue.max(1));
        let stopped = Stopped::default();
        let (report_full, full) = watch::channel(false);
        let reserve = Reserve::open(dir.join("log.reserve"), options.reserve_bytes);
        let writer = Writer::new(
            db,
            opening.next,
            &options,
            recent.clone(),
            announce,
            checkpointer.checkpoint_state(),
            report_full,
        )
        .map_err(failed)?;
        let commits = writer.stats();
        let writer = writer.reserving(reserve).spawn(waiting, stopped.clone()).map_err(io)?;
        Ok(Self {
            info: opening.info,
            head,
            recent,
            readers: Readers::new(path.clone(), options.readers),
            path,
            stopped,
            full,
            commits,
            reserves: options.reserve_bytes > 0,
            requests: Some(requests),
            writer: Some(writer),
            checkpointer,
            _lock: lock,
        })
    }

    async fn ask(&self, key: Key, operation: Operation) -> AppendResult {
        let outcome = self.ask_all(vec![Task { key, operation }]).await.pop();
        outcome.unwrap_or_else(|| Err(self.stopped.unknown()))
    }

    /// An outcome for each task.
    async fn ask_all(&self, tasks: Vec<Task>) -> Vec<AppendResult> {
        let count = tasks.len();
        match self.send(tasks).await {
            Some(outcomes) => outcomes,
            None => (0..count).map(|_| Err(self.stopped.unknown())).collect(),
        }
    }

    /// `None` when the writer has stopped.
    async fn send(&self, tasks: Vec<Task>) -> Option<Vec<AppendResult>> {
        let (answer, outcomes) = oneshot::channel();
        // Full: the caller waits. That is the back-pressure.
        self.requests.as_ref()?.send(Request { tasks, answer }).await.ok()?;
        outcomes.await.ok()
    }

    /// The same, where what ends jobs is tried again on a full disk: each time some of the reserve is given up for it.
    async fn ask_for_ends(&self, tasks: Vec<Task>) -> Vec<AppendResult> {
        let mut ends: Vec<(usize, Task)> = if self.reserves {
            let ends = tasks.iter().enumerate().filter(|(_, task)| task.operation.is_end());
            ends.map(|(place, task)| (place, task.clone())).collect()
        } else {
            Vec::new()
        };
        let mut outcomes = self.ask_all(tasks).await;
        for _ in 1..TRIES {
            ends.retain(|(place, _)| matches!(outcomes[*place], Err(AppendError::Full)));
            if ends.is_empty() {
                break;
            }
            let again = self.ask_all(ends.iter().map(|(_, task)| task.clone()).collect()).await;
            ends.iter().zip(again).for_each(|((place, _), outcome)| outcomes[*place] = outcome);
        }
        outcomes
    }
}

impl Drop for SqliteLog {
    fn drop(&mut self) {
        // First of all: the connection that is closed last tidies up, and one that only reads could not.
        self.readers.close();
        drop(self.requests.take());
        if self.writer.take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the writer of the log panicked");
        }
        self.checkpointer.close();
    }
}

#[async_trait]
impl Log for SqliteLog {
    async fn append(&self, append: Append) -> Result<Revision, AppendError> {
        let outcome = self.ask_for_ends(vec![task(append)?]).await.pop();
        outcome.unwrap_or_else(|| Err(self.stopped.unknown()))
    }

    async fn append_all(&self, appends: Vec<Append>) -> Vec<Result<Revision, AppendError>> {
        let (mut tasks, mut refused) = (Vec::with_capacity(appends.len()), Vec::new());
        for (place, append) in appends.into_iter().enumerate() {
            match task(append) {
                Ok(task) => tasks.push(task),
                Err(error) => refused.push((place, error)),
            }
        }
        let mut outcomes = if tasks.is_empty() { Vec::new() } else { self.ask_for_ends(tasks).await };
        // The lowest place first: each is then where it was.
        refused.into_iter().for_each(|(place, error)| outcomes.insert(place, Err(error)));
        outcomes
    }

    async fn read(&self, after: Revision, filter: &Filter, limit: usize) -> Result<Vec<Arc<Entry>>, ReadError> {
        let limit = limit.max(1);
        if let Some(entries) = self.recent.read().read(after, filter, limit) {
            return Ok(entries);
        }
        let filter = filter.clone();
        self.readers.run(move |db| reader::read(db, after, &filter, limit)).await
    }

    fn recent(&self, after: Revision, limit: usize) -> Option<Vec<Arc<Entry>>> {
        self.recent.read().read(after, &Filter::All, limit.max(1))
    }

    fn head(&self) -> watch::Receiver<Revision> {
        self.head.clone()
    }

    async fn store_blob(&self, job: &JobId, blob: Blob) -> Result<(), AppendError> {
        blob.check()?;
        self.ask(key_of(job), Operation::StoreBlob(blob)).await.map(drop)
    }

    async fn blob(&self, job: &JobId, name: &str) -> Result<Option<Bytes>, ReadError> {
        let (job, name) = (job.clone(), Box::<str>::from(name));
        self.readers.run(move |db| reader::blob(db, &job, &name)).await
    }

    async fn remove_blob(&self, job: &JobId, name: &str) -> Result<(), AppendError> {
        self.ask(key_of(job), Operation::RemoveBlob(name.into())).await.map(drop)
    }

    async fn latest(&self) -> Result<Latest, ReadError> {
        reader::latest(&self.readers).await
    }

    async fn forget(&self, key: &Key, expect: Revision) -> Result<Revision, AppendError> {
        let bytes = codec::encode(&Record::Forgotten)?.into();
        self.ask(key.clone(), Operation::Forget { expect, bytes }).await
    }

    async fn trimmed(&self, filter: &Filter) -> Result<Revision, ReadError> {
        let filter = filter.clone();
        self.readers.run(move |db| reader::trimmed(db, &filter)).await
    }

    fn info(&self) -> &LogInfo {
        &self.info
    }

    fn full(&self) -> Option<watch::Receiver<bool>> {
        Some(self.full.clone())
    }

    fn commits(&self) -> Option<Arc<CommitStats>> {
        Some(self.commits.clone())
    }

    async fn describe(&self) -> Result<LogDescription, ReadError> {
        let path = self.path.clone();
        self.readers
            .run(move |_| {
                let files = ["", "-wal"].map(|end| std::fs::metadata(format!("{}{end}", path.display())));
                let bytes = files.into_iter().flatten().map(|file| file.len()).sum();
                let location = path.display().to_string();
                Ok(LogDescription { engine: "sqlite", location, bytes: Some(bytes), max_bytes: None, replicas: 1 })
            })
            .await
    }

    async fn probe(&self) -> Result<(), AppendError> {
        self.ask(key_of(&JobId::new("")), Operation::Probe).await.map(drop)
    }
}

/// What an append asks of the writer.
fn task(Append { key, expect, changes, blobs }: Append) -> Result<Task, AppendError> {
    blobs.iter().try_for_each(Blob::check)?;
    let encoded = changes.into_iter().map(|changed| {
        let record = Record::from(changed);
        Ok(Encoded { bytes: codec::encode(&record)?.into(), record })
    });
    let records = encoded.collect::<Result<_, codec::EncodeError>>()?;
    Ok(Task { key, operation: Operation::Append { expect, records, blobs } })
}

/// A key for what needs the job alone.
fn key_of(job: &JobId) -> Key {
    Key { owner: Owner::new(""), document: DocumentId::new(""), job: job.clone() }
}
