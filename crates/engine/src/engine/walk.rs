//! Reading many jobs: in pieces, so that nobody waits long for the lock, however many there are.

use courant_joblog::ids::{Owner, Revision};

use super::core::Engine;
use super::state::State;
use crate::hub::watch_queue::WatchQueue;
use crate::hub::{Scope, Topic, WatcherId};
use crate::snapshot::JobSnapshot;
use crate::view::{CurrentJob, ListKey};

/// Jobs read under one lock: everybody waits for that long.
pub const CHUNK: usize = 512;
/// Finished jobs among the first snapshots of a watch over many jobs.
pub const RECENT_FINISHED: usize = 50;

/// A walk through the jobs of a scope as they are: the newest finished ones, then all unfinished, oldest first.
///
/// Jobs go on changing while one walks. Every job is shown as it is when it is reached; what happened after the walk's
/// revision and is not in what was shown already comes to the watcher as events.
#[derive(Debug)]
pub struct Walk {
    scope: Scope,
    at: WalkPosition,
    /// Events after this one are in the watcher's queue.
    pub revision: Revision,
}

/// How far a walk is.
#[derive(Debug)]
enum WalkPosition {
    Ended { before: Option<ListKey>, found: Vec<JobSnapshot> },
    Open { after: Option<ListKey> },
    Done,
}

impl Walk {
    /// Whether everything was reached.
    pub fn is_over(&self) -> bool {
        matches!(self.at, WalkPosition::Done)
    }
}

impl Engine {
    /// At most [`CHUNK`] of the newest jobs of an owner, or of all, before a key, as they are now.
    pub fn newest(&self, owner: Option<&Owner>, before: Option<&ListKey>) -> Vec<(ListKey, CurrentJob)> {
        let state = self.state.lock();
        let jobs = state.view.list(owner, before).take(CHUNK);
        jobs.map(|(key, current)| (key.clone(), current.clone())).collect()
    }

    /// Begins a walk and empties the watcher's queue, which goes on from the walk's revision. Gives the first piece.
    pub fn begin_walk(&self, scope: &Scope, id: &WatcherId, queue: &WatchQueue) -> (Walk, Vec<JobSnapshot>) {
        let mut state = self.state.lock();
        queue.clear();
        state.hub.lost_positions(id);
        let at = WalkPosition::Ended { before: None, found: Vec::new() };
        let mut walk = Walk { scope: scope.clone(), at, revision: state.view.revision() };
        let mut piece = state.walk(&mut walk);
        if matches!(walk.at, WalkPosition::Open { .. }) {
            piece.extend(state.walk(&mut walk));
        }
        (walk, piece)
    }

    /// The next piece of a walk; `None` at its end. A piece may be empty.
    pub fn walk_on(&self, walk: &mut Walk) -> Option<Vec<JobSnapshot>> {
        (!walk.is_over()).then(|| self.state.lock().walk(walk))
    }
}

impl State {
    /// Reads one piece.
    fn walk(&self, walk: &mut Walk) -> Vec<JobSnapshot> {
        let owner = match &walk.scope.topic {
            Topic::Job(id) => {
                walk.at = WalkPosition::Done;
                return self.view.get(id).map(|current| self.snapshot(current)).into_iter().collect();
            }
            Topic::Owner(owner) => Some(owner),
            Topic::All => None,
        };
        let Some(job_index) = self.view.job_index(owner) else {
            walk.at = WalkPosition::Done;
            return Vec::new();
        };
        match &mut walk.at {
            WalkPosition::Ended { before, found } => {
                let keys: Vec<&ListKey> = job_index.ended(before.as_ref()).take(CHUNK).collect();
                let room = RECENT_FINISHED - found.len();
                found.extend(keys.iter().filter_map(|key| self.in_scope(&walk.scope, key)).take(room));
                if let Some(last) = keys.get(CHUNK - 1).filter(|_| found.len() < RECENT_FINISHED) {
                    *before = Some((*last).clone());
                    return Vec::new();
                }
                let recent = found.drain(..).rev().collect();
                walk.at = WalkPosition::Open { after: None };
                recent
            }
            WalkPosition::Open { after } => {
                let keys: Vec<&ListKey> = job_index.open(after.as_ref()).take(CHUNK).collect();
                let snapshot = keys.iter().filter_map(|key| self.in_scope(&walk.scope, key)).collect();
                let last = keys.get(CHUNK - 1).map(|key| (*key).clone());
                walk.at = last.map_or(WalkPosition::Done, |last| WalkPosition::Open { after: Some(last) });
                snapshot
            }
            WalkPosition::Done => Vec::new(),
        }
    }

    fn in_scope(&self, scope: &Scope, key: &ListKey) -> Option<JobSnapshot> {
        self.view.get(&key.1).filter(|current| scope.holds(&current.job)).map(|current| self.snapshot(current))
    }
}
