//! The checkpointer: a thread that writes the mark and moves the write-ahead log into the database, so that the writer need
//! not. It never holds the writer up.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use super::mark::HighWaterMark;
use super::schema;
use crate::ids::Revision;

/// The mark is written no more often than this.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Checkpointer {
    checkpoint_state: Arc<CheckpointState>,
    thread: Option<JoinHandle<()>>,
}

/// What there is to do. The writer updates it, the checkpointer waits for changes; only the newest counts.
#[derive(Debug)]
pub(super) struct CheckpointState {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug)]
struct State {
    durable: Revision,
    wal_bytes: u64,
    closing: bool,
}

impl Checkpointer {
    pub(super) fn spawn(db: Connection, mark: HighWaterMark, durable: Revision, limit: usize) -> std::io::Result<Self> {
        let state = State { durable, wal_bytes: 0, closing: false };
        let checkpoint_state = Arc::new(CheckpointState { state: Mutex::new(state), changed: Condvar::new() });
        let state = checkpoint_state.clone();
        let thread = std::thread::Builder::new()
            .name("joblog-checkpointer".into())
            .spawn(move || keep(&state, &db, &mark, durable, limit as u64))?;
        Ok(Self { checkpoint_state, thread: Some(thread) })
    }

    pub(super) fn checkpoint_state(&self) -> Arc<CheckpointState> {
        self.checkpoint_state.clone()
    }

    /// Writes the last mark and ends.
    pub(super) fn close(&mut self) {
        self.checkpoint_state.update(|state| state.closing = true);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the checkpointer of the log panicked");
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.close();
    }
}

impl CheckpointState {
    /// Everything up to here is durable, and the write-ahead log has this size.
    pub(super) fn committed(&self, durable: Revision, wal_bytes: u64) {
        self.update(|state| (state.durable, state.wal_bytes) = (durable, wal_bytes));
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_one();
    }

    /// Waits until there is something to do.
    fn wait(&self, marked: Revision) -> State {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| state.durable == marked && !state.closing);
        *state
    }

    /// Waits a while, or until the log is closed.
    fn pause(&self, until: Instant) {
        let mut state = self.state.lock();
        self.changed.wait_while_until(&mut state, |state| !state.closing, until);
    }
}

fn keep(checkpoint_state: &CheckpointState, db: &Connection, mark: &HighWaterMark, mut marked: Revision, limit: u64) {
    loop {
        let State { durable, wal_bytes, closing } = checkpoint_state.wait(marked);
        let next = Instant::now() + PAUSE;
        if let Err(error) = mark.write(durable) {
            tracing::error!(%error, "the mark of the log cannot be written; a loss of entries may go unnoticed");
        }
        marked = durable;
        if closing {
            break;
        }
        if wal_bytes >= limit
            && let Err(error) = schema::checkpoint(db)
        {
            tracing::error!(%error, "the write-ahead log cannot be moved into the database and grows");
        }
        checkpoint_state.pause(next);
    }
    if let Err(error) = mark.sync() {
        tracing::error!(%error, "the mark of the log cannot be synced");
    }
}
