//! Sends queue positions to those who watch waiting jobs, when they changed. What a round costs depends on what changed since
//! the last one and who joined: queues in which nothing moved are not looked at, however many jobs in them are watched.
//!
//! A job is tracked while it waits and somebody watches it. Where only the estimates of its queue changed, what is sent of it
//! is computed from the position it had, without the lock. Of a watch over many jobs the first of them are tracked; these are
//! selected again when a job of their owner came into a queue or left one, once for all such watches of that owner.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use courant_joblog::ids::{BatchId, DocumentId, JobId, Owner, Timestamp};
use courant_joblog::job::{self, Job, Lane};

use super::core::Engine;
use super::state::State;
use super::tracked::{Address, SentPositions, Tracked, TrackedQueue};
use super::walk::CHUNK;
use crate::estimate::{QueueBasis, WorkerCapacity};
use crate::hub::watch_queue::{TransientChange, TransientUpdate};
use crate::hub::{KeyKinds, ScopeKey, Unserved};
use crate::snapshot::EstimatedPosition;
use crate::view::{CurrentJob, ListKey, MovedOwners, View};

/// Jobs examined for each one that is sent: a watch of few among many waiting jobs is sent those near their turn.
const EXAMINED_PER_SENT: usize = 10;

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundCost {
    /// Positions that were looked up in a queue.
    pub positions: usize,
    /// Jobs whose estimates were computed again from the position they had.
    pub estimates: usize,
    /// Jobs that were examined for watches over many jobs.
    pub examined: usize,
    /// Watchers that were sent a position, for each job.
    pub sent: usize,
}

/// What is selected of an owner's jobs, and how many for each key.
#[derive(Default)]
struct Selection {
    jobs: Vec<Address>,
    /// How many more jobs may be examined, and after which.
    left: usize,
    after: Option<ListKey>,
    /// How many jobs may be sent under each key.
    limit: usize,
    every: usize,
    documents: HashMap<DocumentId, usize>,
    batches: HashMap<BatchId, usize>,
}

impl Engine {
    /// Updates the worker capacities that estimates are made from.
    pub fn update_capacities(&self, capacities: impl FnOnce(&View) -> Vec<WorkerCapacity>) {
        let state = &mut *self.state.lock();
        let capacities = capacities(&state.view);
        state.estimates.update_pools(&state.view, &capacities, state.view.now());
    }

    /// Sends the positions of waiting jobs that changed since they were last sent to their watchers, and all to those who
    /// joined since. Of a watch over many jobs at most `limit`, those that are next, and those that were until now.
    pub async fn send_positions(&self, sent: &mut SentPositions, limit: usize) -> RoundCost {
        let mut cost = RoundCost::default();
        // What happens from here on is seen in the next round.
        let (queues, estimates, moved) = {
            let mut state = self.state.lock();
            (state.view.queue_changes(), state.estimates.changes(), state.view.take_moved_owners())
        };
        let queues_changed = queues != sent.queues;
        if queues_changed || estimates != sent.estimates {
            self.update_queues(sent, &mut cost).await;
            (sent.queues, sent.estimates) = (queues, estimates);
        }
        self.serve_waiting(sent, &mut cost).await;
        let (owners, all) = self.serve_joined(sent, &mut cost).await;
        self.select_of_owners(sent, moved, owners, limit, &mut cost).await;
        if !all.is_empty() || queues_changed {
            self.select_of_all(sent, &all, limit, &mut cost).await;
        }
        cost
    }

    /// Looks at the tracked jobs of queues in which something changed, or by which something is estimated otherwise.
    async fn update_queues(&self, sent: &mut SentPositions, cost: &mut RoundCost) {
        for (number, (kind, queues)) in sent.kinds.iter_mut().enumerate() {
            for (lane, queue) in Lane::ALL.into_iter().zip(queues).filter(|(_, queue)| !queue.jobs.is_empty()) {
                let (changed, basis) = self.state.lock().queue_now(kind, lane);
                let (moved, estimated) = (changed != queue.changed, basis != queue.basis);
                (queue.changed, queue.basis) = (changed, basis);
                if moved {
                    self.update_positions(kind, lane, queue, cost).await;
                } else if estimated {
                    self.update_estimates(queue, cost).await;
                }
            }
            if number % CHUNK == CHUNK - 1 {
                tokio::task::yield_now().await;
            }
        }
        sent.forget_unused();
    }

    async fn update_positions(&self, kind: &str, lane: Lane, queue: &mut TrackedQueue, cost: &mut RoundCost) {
        let (mut gone, mut jobs) = (Vec::new(), queue.jobs.iter_mut());
        loop {
            let chunk: Vec<(&JobId, &mut Tracked)> = jobs.by_ref().take(CHUNK).collect();
            let last = chunk.len() < CHUNK;
            gone.extend(self.state.lock().update_positions(kind, lane, &queue.basis, chunk, cost));
            if last {
                break;
            }
            tokio::task::yield_now().await;
        }
        for id in &gone {
            queue.jobs.remove(id);
        }
    }

    async fn update_estimates(&self, queue: &mut TrackedQueue, cost: &mut RoundCost) {
        let (basis, mut moved) = (queue.basis, Vec::new());
        for (number, (id, tracked)) in queue.jobs.iter_mut().enumerate() {
            cost.estimates += 1;
            if let Some((position, true)) = tracked.update(&basis) {
                moved.push((id.clone(), tracked.kinds, position));
            }
            if number % CHUNK == CHUNK - 1 {
                tokio::task::yield_now().await;
            }
        }
        for chunk in moved.chunks(CHUNK) {
            cost.sent += self.state.lock().notify_moved(chunk);
            tokio::task::yield_now().await;
        }
    }

    /// Serves the watchers of single jobs that began to wait.
    async fn serve_waiting(&self, sent: &mut SentPositions, cost: &mut RoundCost) {
        loop {
            if self.state.lock().serve_waiting(sent, cost) < CHUNK {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Serves watchers of single jobs that wait for positions. Gives the others: those of owners, and of all jobs.
    async fn serve_joined(
        &self,
        sent: &mut SentPositions,
        cost: &mut RoundCost,
    ) -> (HashMap<Owner, Vec<Unserved>>, Vec<Unserved>) {
        let (mut owners, mut all, mut last) = (HashMap::<Owner, Vec<Unserved>>::new(), Vec::new(), 0);
        loop {
            let unserved = self.state.lock().serve_joined(last, sent, cost);
            let Some(end) = unserved.last().map(|unserved| unserved.watcher) else { return (owners, all) };
            last = end;
            for one in unserved {
                match &one.key {
                    ScopeKey::Job(_) => {}
                    ScopeKey::Owner(owner, _) => owners.entry(owner.clone()).or_default().push(one),
                    ScopeKey::All(_) => all.push(one),
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Selects again the jobs of owners that moved, and of those with watchers that wait for positions.
    async fn select_of_owners(
        &self,
        sent: &mut SentPositions,
        moved: MovedOwners,
        mut joined: HashMap<Owner, Vec<Unserved>>,
        limit: usize,
        cost: &mut RoundCost,
    ) {
        let mut due: HashSet<Owner> = match moved {
            MovedOwners::Some(moved) => moved.into_iter().filter(|owner| sent.owners.contains_key(owner)).collect(),
            MovedOwners::All => sent.owners.keys().cloned().collect(),
        };
        // What nobody watches any more is found here, or when there is more of it than of what is watched.
        let watched = self.state.lock().hub.owners_watched();
        if sent.owners.len() > 2 * watched + CHUNK {
            due.extend(sent.owners.keys().cloned());
        }
        due.extend(joined.keys().cloned());
        for (number, owner) in due.into_iter().enumerate() {
            let unserved = joined.remove(&owner).unwrap_or_default();
            self.select_of_owner(sent, &owner, &unserved, limit, cost).await;
            if number % CHUNK == CHUNK - 1 {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn select_of_owner(
        &self,
        sent: &mut SentPositions,
        owner: &Owner,
        unserved: &[Unserved],
        limit: usize,
        cost: &mut RoundCost,
    ) {
        sent.selection += 1;
        let before = sent.owners.remove(owner).unwrap_or_default();
        let mut selection = Selection { left: limit * EXAMINED_PER_SENT, limit, ..Selection::default() };
        while self.state.lock().select_some(sent, owner, &mut selection, cost) {
            tokio::task::yield_now().await;
        }
        let (number, selected) = (sent.selection, selection.jobs);
        sent.deselect(before, KeyKinds::OWNER, 0, number);
        let is_watched = {
            let mut state = self.state.lock();
            unserved.iter().for_each(|unserved| state.hub.positions_sent(unserved));
            state.hub.is_owner_watched(owner)
        };
        if is_watched {
            sent.owners.insert(owner.clone(), selected);
        } else {
            sent.deselect(selected, KeyKinds::OWNER, 0, u64::MAX);
        }
    }

    async fn select_of_all(&self, sent: &mut SentPositions, unserved: &[Unserved], limit: usize, cost: &mut RoundCost) {
        sent.selection += 1;
        let (before, mut selected) = (std::mem::take(&mut sent.all), Vec::new());
        let mut left = limit * EXAMINED_PER_SENT;
        let queues: Vec<(Arc<str>, Lane)> = {
            let state = self.state.lock();
            let watched = left > 0 && state.hub.is_all_watched();
            let queues = watched.then(|| state.view.queues().take(left)).into_iter().flatten();
            queues.map(|queue| (Arc::from(queue.kind), queue.lane)).collect()
        };
        for (kind, lane) in queues {
            let upcoming: Vec<JobId> = {
                let state = self.state.lock();
                let jobs = state.view.upcoming(&kind, lane, limit.min(left));
                jobs.map(|current| current.job.id.clone()).collect()
            };
            left -= upcoming.len();
            for chunk in upcoming.chunks(CHUNK) {
                self.state.lock().select_upcoming(chunk, sent, &mut selected, cost);
                tokio::task::yield_now().await;
            }
        }
        let selection = sent.selection;
        sent.deselect(before, KeyKinds::ALL, 1, selection);
        sent.all = selected;
        for chunk in unserved.chunks(CHUNK) {
            let mut state = self.state.lock();
            chunk.iter().for_each(|unserved| state.hub.positions_sent(unserved));
        }
    }
}

impl State {
    /// The newest change of a queue, and what its jobs' estimates are made from.
    fn queue_now(&self, kind: &str, lane: Lane) -> (u64, QueueBasis) {
        let basis = self.estimates.basis(&self.view, kind, lane, self.view.now());
        (self.view.queue_changed(kind, lane), basis)
    }

    /// Looks up the positions of tracked jobs and sends those that moved. Gives those that wait here no longer.
    fn update_positions(
        &self,
        kind: &str,
        lane: Lane,
        basis: &QueueBasis,
        jobs: Vec<(&JobId, &mut Tracked)>,
        cost: &mut RoundCost,
    ) -> Vec<JobId> {
        let mut gone = Vec::new();
        for (id, tracked) in jobs {
            if !self.hub.is_job_watched(id) {
                tracked.kinds = tracked.kinds.without(KeyKinds::JOB);
            }
            let here = |current: &&CurrentJob| current.job.lane == lane && *current.job.kind == *kind;
            let waits = self.waiting(id).filter(here);
            let Some(current) = waits.filter(|_| !tracked.kinds.is_empty()) else {
                gone.push(id.clone());
                continue;
            };
            cost.positions += 1;
            tracked.queue = self.view.position(&current.job);
            match tracked.update(basis) {
                Some((position, true)) => cost.sent += self.notify(tracked.kinds, current, position, true),
                Some((_, false)) => {}
                // When it is back in its queue its position is news.
                None => tracked.sent = None,
            }
        }
        gone
    }

    /// Sends positions that moved.
    fn notify_moved(&self, moved: &[(JobId, KeyKinds, EstimatedPosition)]) -> usize {
        // One that waits no longer is of a queue that has changed meanwhile.
        let waiting = moved.iter().filter_map(|(id, kinds, position)| Some((self.waiting(id)?, *kinds, *position)));
        waiting.map(|(current, kinds, position)| self.notify(kinds, current, position, true)).sum()
    }

    /// Serves the next watched jobs that began to wait. How many those are.
    fn serve_waiting(&mut self, sent: &mut SentPositions, cost: &mut RoundCost) -> usize {
        let jobs = self.hub.take_waiting(CHUNK);
        for current in jobs.iter().filter_map(|id| self.waiting(id)) {
            if let Some(tracked) = sent.queue(&current.job).jobs.get_mut(&current.job.id) {
                tracked.sent = None;
            }
            self.serve(sent, current, KeyKinds::JOB, cost);
        }
        jobs.len()
    }

    /// Serves the next watchers after one that wait for positions, as far as they watch one job. Gives all of them.
    fn serve_joined(&mut self, after: u64, sent: &mut SentPositions, cost: &mut RoundCost) -> Vec<Unserved> {
        let joined = self.hub.without_positions(after, CHUNK);
        for one in &joined {
            let ScopeKey::Job(id) = &one.key else { continue };
            if let Some(current) = self.waiting(id) {
                self.serve(sent, current, KeyKinds::JOB, cost);
            }
            self.hub.positions_sent(one);
        }
        joined
    }

    /// Examines the next jobs of an owner for a selection. `false` when that is whole.
    fn select_some(
        &self,
        sent: &mut SentPositions,
        owner: &Owner,
        selection: &mut Selection,
        cost: &mut RoundCost,
    ) -> bool {
        let Some(index) = self.view.job_index(Some(owner)).filter(|_| self.hub.is_owner_watched(owner)) else {
            return false;
        };
        let keys: Vec<&ListKey> = index.open(selection.after.as_ref()).take(selection.left.min(CHUNK)).collect();
        for current in keys.iter().filter_map(|key| self.view.unfinished(&key.1)) {
            cost.examined += 1;
            if current.job.state != job::State::Queued {
                continue;
            }
            let kinds = selection.room(&current.job, self.hub.kinds_of(&current.job));
            if self.select(sent, current, kinds, 0, cost) {
                selection.add(&current.job, kinds);
                selection.jobs.extend(sent.address(&current.job));
            }
        }
        selection.left -= keys.len();
        selection.after = keys.last().map(|key| (*key).clone());
        let is_full = selection.every >= selection.limit && !self.hub.is_part_watched(owner);
        keys.len() == CHUNK && selection.left > 0 && !is_full
    }

    /// Examines jobs that are next for watches over the jobs of all owners.
    fn select_upcoming(
        &self,
        jobs: &[JobId],
        sent: &mut SentPositions,
        selected: &mut Vec<Address>,
        cost: &mut RoundCost,
    ) {
        for current in jobs.iter().filter_map(|id| self.waiting(id)) {
            cost.examined += 1;
            let kinds = self.hub.kinds_of(&current.job).only(KeyKinds::ALL);
            if self.select(sent, current, kinds, 1, cost) {
                selected.extend(sent.address(&current.job));
            }
        }
    }

    fn waiting(&self, id: &JobId) -> Option<&CurrentJob> {
        self.view.unfinished(id).filter(|current| current.job.state == job::State::Queued)
    }

    /// Tracks a job for a selection and serves it. `false` if it has no position, or nobody here follows it.
    fn select(
        &self,
        sent: &mut SentPositions,
        current: &CurrentJob,
        kinds: KeyKinds,
        which: usize,
        cost: &mut RoundCost,
    ) -> bool {
        if kinds.is_empty() || !self.serve(sent, current, kinds, cost) {
            return false;
        }
        let (selection, keys) = (sent.selection, [KeyKinds::OWNER, KeyKinds::ALL][which]);
        if let Some(tracked) = sent.queue(&current.job).jobs.get_mut(&current.job.id) {
            tracked.selected[which] = selection;
            tracked.kinds = tracked.kinds.without(keys).with(kinds);
        }
        true
    }

    /// Tracks a job that waits and sends its position under these keys: to all watchers under those that are new, and under
    /// the others to those who wait for positions; to all under any key if it moved. `false` if it has no position.
    fn serve(&self, sent: &mut SentPositions, current: &CurrentJob, kinds: KeyKinds, cost: &mut RoundCost) -> bool {
        if current.job.state != job::State::Queued {
            return false;
        }
        let id = &current.job.id;
        let queue = sent.queue(&current.job);
        if queue.jobs.is_empty() {
            (queue.changed, queue.basis) = self.queue_now(&current.job.kind, current.job.lane);
        }
        let (basis, tracked) = (queue.basis, queue.jobs.entry(id.clone()).or_default());
        if tracked.queue.is_none() {
            cost.positions += 1;
            tracked.queue = self.view.position(&current.job);
        }
        let Some((position, moved)) = tracked.update(&basis) else {
            // One that is watched by itself is looked at again when its queue changes.
            if tracked.kinds.with(kinds).has(KeyKinds::JOB) {
                tracked.kinds = tracked.kinds.with(kinds);
            } else if tracked.kinds.is_empty() {
                queue.jobs.remove(id);
            }
            return false;
        };
        let new = kinds.without(tracked.kinds);
        tracked.kinds = tracked.kinds.with(kinds);
        cost.sent += match moved {
            true => self.notify(tracked.kinds, current, position, true),
            false => {
                self.notify(new, current, position, true) + self.notify(kinds.without(new), current, position, false)
            }
        };
        true
    }

    /// Sends one job's position. How many watchers it was sent to.
    fn notify(&self, kinds: KeyKinds, current: &CurrentJob, position: EstimatedPosition, changed: bool) -> usize {
        if kinds.is_empty() {
            return 0;
        }
        let update = TransientUpdate {
            at: Timestamp::now(),
            current: current.clone(),
            position: Some(position),
            remaining: None,
            elapsed: current.elapsed_ms(self.view.now()),
            change: TransientChange::Position,
        };
        self.hub.notify_position(kinds, &Arc::new(update), changed)
    }
}

impl Selection {
    /// Those of an owner's keys under which one more job may be sent.
    fn room(&self, job: &Job, kinds: KeyKinds) -> KeyKinds {
        let of_batch = job.batch.as_ref().and_then(|batch| self.batches.get(batch));
        let chosen = [
            (KeyKinds::OWNER_EVERY, self.every),
            (KeyKinds::OWNER_DOCUMENT, self.documents.get(&job.document.id).copied().unwrap_or(0)),
            (KeyKinds::OWNER_BATCH, of_batch.copied().unwrap_or(0)),
        ];
        let full = chosen.into_iter().filter(|(_, chosen)| *chosen >= self.limit);
        full.fold(kinds.only(KeyKinds::OWNER), |room, (kind, _)| room.without(kind))
    }

    fn add(&mut self, job: &Job, kinds: KeyKinds) {
        self.every += usize::from(kinds.has(KeyKinds::OWNER_EVERY));
        if kinds.has(KeyKinds::OWNER_DOCUMENT) {
            *self.documents.entry(job.document.id.clone()).or_default() += 1;
        }
        if let Some(batch) = job.batch.as_ref().filter(|_| kinds.has(KeyKinds::OWNER_BATCH)) {
            *self.batches.entry(batch.clone()).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests;
