//! What the stream says, as far as it has arrived: heads of jobs and the newest entries. It advances by the stream's messages in
//! their order, and by nothing else.

mod heads;

use std::collections::HashSet;
use std::sync::Arc;

use courant_joblog::ids::Revision;
use courant_joblog::log::{Entry, Filter, ReadError};
use courant_joblog::recent::{Ring, StoredEntry};
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;
use tokio::sync::{oneshot, watch};

pub(crate) use self::heads::{Decision, Head, Heads};
use crate::message::Stored;

/// A message of the stream.
#[derive(Clone, Debug)]
pub(crate) enum Incoming {
    Entry(Stored),
    /// Read when it is asked for.
    Note,
    /// Tombstones up to this revision are about to go.
    Dropped(u64),
    /// Nothing of ours.
    Other,
}

/// Shared by all who append, read and follow.
#[derive(Debug)]
pub(crate) struct View {
    state: RwLock<State>,
    /// `None` when the log has stopped.
    announce: Mutex<Option<watch::Sender<Revision>>>,
    head: watch::Receiver<Revision>,
    /// Everything up to here has arrived: beyond the head where notes are.
    arrived: watch::Sender<Revision>,
    /// Who waits for an append of this id to arrive.
    waiting: Mutex<FxHashMap<u64, oneshot::Sender<Revision>>>,
    /// Why the log has stopped.
    stopped: watch::Sender<Option<Arc<str>>>,
}

#[derive(Debug)]
struct State {
    heads: Heads,
    recent: Ring,
    /// Entries of an append whose last has not arrived yet.
    open: Vec<Stored>,
    /// Messages up to here have arrived.
    seen: u64,
    /// The newest note that has arrived.
    newest_note: u64,
    /// Entries up to here are in `heads` and announced.
    applied: u64,
    recent_entries: usize,
    recent_bytes: usize,
}

/// Waits until an append arrives. Dropped, it does not wait any more.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    view: &'a View,
    id: u64,
    /// `None` once it has said what it can.
    revision: Option<oneshot::Receiver<Revision>>,
}

/// The log has stopped: nothing arrives any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopped;

impl Arrival<'_> {
    /// The revision of the append's last entry, when it is here. May be dropped and called again.
    pub(crate) async fn wait(&mut self) -> Result<Revision, Stopped> {
        let Some(receiver) = &mut self.revision else { return Err(Stopped) };
        let revision = receiver.await;
        self.revision = None;
        revision.map_err(|_| Stopped)
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.view.waiting.lock().remove(&self.id);
    }
}

impl View {
    /// As of revision `applied`. `newest_note`: the newest of the notes up to there, or a later one.
    pub(crate) fn new(
        heads: Heads,
        applied: u64,
        newest_note: u64,
        recent_entries: usize,
        recent_bytes: usize,
    ) -> Self {
        let (announce, head) = watch::channel(Revision(applied));
        let recent = Ring::new(Revision(applied), recent_entries, recent_bytes);
        let (open, seen) = (Vec::new(), applied);
        let state = State { heads, recent, open, seen, newest_note, applied, recent_entries, recent_bytes };
        Self {
            state: RwLock::new(state),
            announce: Mutex::new(Some(announce)),
            head,
            arrived: watch::Sender::new(Revision(applied)),
            waiting: Mutex::default(),
            stopped: watch::Sender::new(None),
        }
    }

    /// Takes in messages, in the order of the stream. What is not newer than what has arrived changes nothing.
    pub(crate) fn take(&self, messages: Vec<(u64, Incoming)>) {
        let mut done = Vec::new();
        let mut state = self.state.write();
        for (revision, message) in messages {
            if revision <= state.seen {
                continue;
            }
            state.seen = revision;
            match message {
                Incoming::Entry(stored) => state.push(stored, &mut done),
                Incoming::Note => {
                    state.close();
                    state.newest_note = state.newest_note.max(revision);
                }
                Incoming::Dropped(up_to) => {
                    state.close();
                    state.heads.drop_tombstones(up_to);
                }
                Incoming::Other => {}
            }
        }
        let applied = Revision(state.applied);
        // Under the lock: whoever sees the new head must find what it announces, and no head may go back.
        if let Some(announce) = &*self.announce.lock() {
            announce.send_if_modified(|head| std::mem::replace(head, applied) != applied);
        }
        let arrived = Revision(state.open.first().map_or(state.seen, |open| open.revision - 1));
        self.arrived.send_if_modified(|known| std::mem::replace(known, arrived) != arrived);
        drop(state);
        let mut waiting = self.waiting.lock();
        for (id, revision) in done {
            if let Some(waiter) = waiting.remove(&id) {
                // Who does not wait any more does not need it.
                let _ = waiter.send(revision);
            }
        }
    }

    /// Registers for the append of this id.
    pub(crate) fn arrival(&self, id: u64) -> Arrival<'_> {
        let (sender, revision) = oneshot::channel();
        self.waiting.lock().insert(id, sender);
        Arrival { view: self, id, revision: Some(revision) }
    }

    /// `last`: the revision that the server named in its last refusal. `synced`: whether all has arrived here that was stored
    /// before the call.
    pub(crate) fn decide(
        &self,
        owner: &str,
        job: &str,
        expect: Option<Revision>,
        last: Option<u64>,
        synced: bool,
    ) -> Decision {
        let state = self.state.read();
        let seen = if synced { u64::MAX } else { state.applied };
        state.heads.decide(owner, job, expect, seen, last)
    }

    /// The newest entry of a job, by its token.
    pub(crate) fn newest(&self, job: &str) -> Option<Head> {
        self.state.read().heads.get(job).cloned()
    }

    pub(crate) fn with_heads<T>(&self, look: impl FnOnce(&Heads) -> T) -> T {
        look(&self.state.read().heads)
    }

    /// Revisions of the newest entries of jobs, and what they are true for.
    pub(crate) fn alive(&self) -> (Revision, Vec<u64>) {
        let state = self.state.read();
        (Revision(state.applied), state.heads.alive())
    }

    /// Entries from memory, if all that are asked for are there.
    pub(crate) fn recent(&self, after: Revision, filter: &Filter, limit: usize) -> Option<Vec<Arc<Entry>>> {
        self.state.read().recent.read(after, filter, limit)
    }

    /// Messages up to here have arrived.
    pub(crate) fn seen(&self) -> u64 {
        self.state.read().seen
    }

    /// The newest note that has arrived, or was there at opening.
    pub(crate) fn newest_note(&self) -> u64 {
        self.state.read().newest_note
    }

    pub(crate) fn arrived(&self) -> watch::Receiver<Revision> {
        self.arrived.subscribe()
    }

    pub(crate) fn applied(&self) -> Revision {
        *self.head.borrow()
    }

    pub(crate) fn head(&self) -> watch::Receiver<Revision> {
        self.head.clone()
    }

    /// For ever: the stream is not what it was.
    pub(crate) fn stop(&self, reason: impl Into<Arc<str>>) {
        let reason = reason.into();
        tracing::error!(%reason, "the log has stopped");
        self.stopped.send_replace(Some(reason));
        self.announce.lock().take();
        self.waiting.lock().clear();
    }

    /// Why the log has stopped, if it has.
    pub(crate) fn stopped(&self) -> Option<Arc<str>> {
        self.stopped.borrow().clone()
    }

    pub(crate) async fn until_stopped(&self) {
        // The sender is in this view.
        let _ = self.stopped.subscribe().wait_for(Option::is_some).await;
    }

    pub(crate) fn check(&self) -> Result<(), ReadError> {
        match self.stopped() {
            Some(reason) => Err(ReadError::Storage { reason: reason.to_string() }),
            None => Ok(()),
        }
    }
}

impl State {
    /// Takes in an entry; those of one append together, when its last is here, or when something else follows: the rest was removed
    /// before it arrived. Names appends that are complete.
    fn push(&mut self, stored: Stored, done: &mut Vec<(u64, Revision)>) {
        if self.open.last().is_some_and(|before| before.about.id != stored.about.id) {
            self.close();
        }
        let (id, left, revision) = (stored.about.id, stored.about.left, Revision(stored.revision));
        self.open.push(stored);
        if left == 0 {
            self.close();
            done.push((id, revision));
        }
    }

    fn close(&mut self) {
        for stored in std::mem::take(&mut self.open) {
            self.applied = stored.revision;
            self.heads.apply(&stored);
            match stored.entry() {
                Ok(entry) => {
                    let forgotten: HashSet<_> =
                        stored.about.forgotten.then(|| entry.key.job.clone()).into_iter().collect();
                    let kept = StoredEntry { entry: Arc::new(entry), bytes: stored.payload.len() };
                    self.recent.push(vec![kept], &forgotten);
                }
                Err(error) => {
                    // Nothing up to it is served from memory: who reads there is told by the stream.
                    tracing::error!(%error, "an entry of the log cannot be read");
                    self.recent = Ring::new(Revision(stored.revision), self.recent_entries, self.recent_bytes);
                }
            }
        }
    }
}
