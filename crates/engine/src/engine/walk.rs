//! Reading many jobs: in pieces, so that nobody waits long for the lock, however many there are.

use courant_joblog::ids::{Owner, Revision};

use super::core::Engine;
use super::state::State;
use crate::hub::watch_queue::WatchQueue;
use crate::hub::{Scope, Topic, WatcherId};
use crate::snapshot::JobSnapshot;
use crate::view::{ListKey, StoredJob};

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

/// What was read of a walk under the lock.
enum Piece {
    Snapshots(Vec<JobSnapshot>),
    /// Ended jobs, newest first, still packed.
    Ended(Vec<(ListKey, StoredJob)>),
}

impl Walk {
    /// Whether everything was reached.
    pub fn is_over(&self) -> bool {
        matches!(self.at, WalkPosition::Done)
    }

    /// The snapshots of a piece. To be called without the lock: jobs are unpacked.
    fn take(&mut self, piece: Piece) -> Vec<JobSnapshot> {
        let jobs = match piece {
            Piece::Snapshots(snapshots) => return snapshots,
            Piece::Ended(jobs) => jobs,
        };
        let WalkPosition::Ended { before, found } = &mut self.at else { return Vec::new() };
        *before = jobs.get(CHUNK - 1).map(|(key, _)| key.clone());
        let ended = jobs.into_iter().filter_map(|(_, stored)| stored.into_current());
        let wanted = ended.filter(|current| self.scope.holds(&current.job)).map(JobSnapshot::of_ended);
        found.extend(wanted.take(RECENT_FINISHED - found.len()));
        if before.is_some() && found.len() < RECENT_FINISHED {
            return Vec::new();
        }
        let recent = found.drain(..).rev().collect();
        self.at = WalkPosition::Open { after: None };
        recent
    }
}

impl Engine {
    /// At most so many, and at most [`CHUNK`], of the newest jobs of an owner, or of all, before a key, as they are now. Ended
    /// ones are packed.
    pub fn newest(&self, owner: Option<&Owner>, before: Option<&ListKey>, most: usize) -> Vec<(ListKey, StoredJob)> {
        let state = self.state.lock();
        let jobs = state.view.list(owner, before).take(most.min(CHUNK));
        jobs.map(|(key, stored)| (key.clone(), stored.clone())).collect()
    }

    /// Begins a walk and empties the watcher's queue, which goes on from the walk's revision. Gives the first piece.
    pub fn begin_walk(&self, scope: &Scope, id: &WatcherId, queue: &WatchQueue) -> (Walk, Vec<JobSnapshot>) {
        // Under one lock, so that a walk that is over with this is of one moment.
        let (mut walk, piece, open) = {
            let mut state = self.state.lock();
            queue.clear();
            state.hub.lost_positions(id);
            let at = WalkPosition::Ended { before: None, found: Vec::new() };
            let mut walk = Walk { scope: scope.clone(), at, revision: state.view.revision() };
            let piece = state.walk(&mut walk);
            let open = (!walk.is_over()).then(|| state.open_jobs(scope, None));
            (walk, piece, open)
        };
        let mut snapshots = walk.take(piece);
        if let (WalkPosition::Open { .. }, Some((first, at))) = (&walk.at, open) {
            snapshots.extend(first);
            walk.at = at;
        }
        (walk, snapshots)
    }

    /// The next piece of a walk; `None` at its end. A piece may be empty.
    pub fn walk_on(&self, walk: &mut Walk) -> Option<Vec<JobSnapshot>> {
        if walk.is_over() {
            return None;
        }
        let piece = self.state.lock().walk(walk);
        Some(walk.take(piece))
    }
}

impl State {
    /// Reads one piece.
    fn walk(&self, walk: &mut Walk) -> Piece {
        let owner = match &walk.scope.topic {
            Topic::Job(id) => {
                walk.at = WalkPosition::Done;
                let current = self.view.get(id);
                return Piece::Snapshots(current.map(|current| self.snapshot(&current)).into_iter().collect());
            }
            Topic::Owner(owner) => Some(owner),
            Topic::All => None,
        };
        let Some(job_index) = self.view.job_index(owner) else {
            walk.at = WalkPosition::Done;
            return Piece::Snapshots(Vec::new());
        };
        match &mut walk.at {
            WalkPosition::Ended { before, .. } => {
                let keys = job_index.ended(before.as_ref()).take(most_ended(&walk.scope));
                Piece::Ended(keys.filter_map(|key| Some((key.clone(), self.view.stored(&key.1)?.clone()))).collect())
            }
            WalkPosition::Open { after } => {
                let (snapshots, at) = self.open_jobs(&walk.scope, after.as_ref());
                walk.at = at;
                Piece::Snapshots(snapshots)
            }
            WalkPosition::Done => Piece::Snapshots(Vec::new()),
        }
    }

    /// The next unfinished jobs of a scope over many jobs, and where the walk is then.
    fn open_jobs(&self, scope: &Scope, after: Option<&ListKey>) -> (Vec<JobSnapshot>, WalkPosition) {
        let owner = match &scope.topic {
            Topic::Owner(owner) => Some(owner),
            Topic::All | Topic::Job(_) => None,
        };
        let keys: Vec<&ListKey> =
            self.view.job_index(owner).into_iter().flat_map(|jobs| jobs.open(after)).take(CHUNK).collect();
        let snapshots = keys.iter().filter_map(|key| self.in_scope(scope, key)).collect();
        let last = keys.get(CHUNK - 1).map(|key| (*key).clone());
        (snapshots, last.map_or(WalkPosition::Done, |last| WalkPosition::Open { after: Some(last) }))
    }

    fn in_scope(&self, scope: &Scope, key: &ListKey) -> Option<JobSnapshot> {
        self.view.unfinished(&key.1).filter(|current| scope.holds(&current.job)).map(|current| self.snapshot(current))
    }
}

/// How many ended jobs are read at a time: no more than are shown where all of them are.
fn most_ended(scope: &Scope) -> usize {
    if scope.document.is_none() && scope.batch.is_none() { RECENT_FINISHED } else { CHUNK }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use courant_joblog::event::Change;
    use courant_joblog::ids::JobId;
    use courant_joblog::memory::MemoryLog;

    use super::*;
    use crate::projection::Projections;
    use crate::testing::{config, follow, submission};

    /// Jobs that are made all the time.
    const JOBS: usize = 300;
    const WALKS: usize = 20_000;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_walk_that_is_over_at_once_is_of_one_moment() {
        let engine = follow(config(), Arc::new(MemoryLog::new()), Projections::default()).await.unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let (making, made) = (engine.clone(), over.clone());
        let jobs = tokio::spawn(async move {
            for number in 0..JOBS {
                let id = JobId::new(format!("J{number}"));
                let change = Change::Submitted(Box::new(submission(id.as_str(), "alice")));
                making.create(change, id, Vec::new(), None).await.unwrap();
            }
            made.store(true, Ordering::Relaxed);
        });
        let scope = Scope { topic: Topic::All, document: None, batch: None };
        let queue = Arc::new(WatchQueue::new(16, Duration::ZERO));
        let (id, _) = engine.join(scope.clone(), &queue);
        for _ in 0..WALKS {
            let (walk, snapshots) = engine.begin_walk(&scope, &id, &queue);
            assert!(walk.is_over(), "there are fewer jobs than are read at a time");
            let newer = snapshots.iter().find(|seen| seen.current.revision > walk.revision);
            assert!(newer.is_none(), "{newer:?} is newer than the walk of {}", walk.revision);
            if over.load(Ordering::Relaxed) {
                break;
            }
        }
        jobs.await.unwrap();
    }
}
