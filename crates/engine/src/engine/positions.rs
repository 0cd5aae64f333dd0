//! Sends queue positions to those who watch waiting jobs, when they changed. What a round costs depends on what changed since
//! the last one and who joined: queues in which nothing moved are not looked at, however many jobs in them are watched.
//!
//! A job is tracked while it waits and somebody watches it. Where only the estimates of its queue changed, what is sent of it
//! is computed from the position it had, without the lock. Of a watch over many jobs the first of them are tracked; these are
//! selected anew when a job of their owner came into a queue or left one, once for all such watches of that owner.

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
    /// Jobs whose estimates were computed anew from the position they had.
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

    /// Selects anew the jobs of owners that moved, and of those with watchers that wait for positions.
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
        for current in keys.iter().filter_map(|key| self.view.get(&key.1)) {
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
        self.view.get(id).filter(|current| current.job.state == job::State::Queued)
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
mod tests {
    use std::time::Duration;

    use courant_joblog::event::{Change, Submission};
    use courant_joblog::ids::WorkerId;
    use courant_joblog::job::{Document, JobError, Page};
    use courant_joblog::memory::MemoryLog;
    use futures::FutureExt as _;

    use super::*;
    use crate::hub::watch_queue::{Message, Received, WatchQueue};
    use crate::hub::{Scope, Topic, WatcherId};
    use crate::projection::Projections;
    use crate::testing;

    struct World {
        engine: Arc<Engine>,
        sent: SentPositions,
        limit: usize,
    }

    impl World {
        async fn new() -> Self {
            let log = Arc::new(MemoryLog::new());
            let engine = testing::follow(testing::config(), log, Projections::default()).await.unwrap();
            Self { engine, sent: SentPositions::default(), limit: 1000 }
        }

        async fn submit(&self, id: &str, owner: &str, kind: &str) {
            let submission = testing::submission(id, owner);
            // A document and a batch of its own, named like the job; the batch of two jobs is that of the first.
            let document = Document { id: DocumentId::new(id), ..submission.document.clone() };
            let batch = Some(BatchId::new(id.trim_end_matches('b')));
            let submission = Submission { document, batch, kind: kind.into(), ..submission };
            self.engine.create(Change::Submitted(Box::new(submission)), JobId::new(id)).await.unwrap();
        }

        fn watch(&self, scope: Scope) -> (WatcherId, Arc<WatchQueue>) {
            let queue = Arc::new(WatchQueue::new(1 << 20, Duration::ZERO));
            (self.engine.join(scope, &queue).0, queue)
        }

        fn watch_job(&self, id: &str) -> Arc<WatchQueue> {
            self.watch(Scope::job(JobId::new(id))).1
        }

        async fn round(&mut self) -> RoundCost {
            self.engine.send_positions(&mut self.sent, self.limit).await
        }
    }

    fn of_owner(owner: &str, document: Option<&str>, batch: Option<&str>) -> Scope {
        let (document, batch) = (document.map(DocumentId::new), batch.map(BatchId::new));
        Scope { topic: Topic::Owner(Owner::new(owner)), document, batch }
    }

    /// The positions that came, `<job><position>`, in alphabetical order.
    fn received(queue: &WatchQueue) -> String {
        let Some(Received::Messages(messages)) = queue.next().now_or_never() else { return String::new() };
        let mut words: Vec<String> = messages
            .into_iter()
            .filter_map(|message| match message {
                Message::Transient(update, _) => {
                    Some(format!("{}{}", update.current.job.id, update.position?.position))
                }
                Message::Durable(_) => None,
            })
            .collect();
        words.sort();
        words.join(" ")
    }

    fn took(engine: &Engine, kind: &str) -> JobId {
        engine.take_next(&[kind.into()], &Default::default()).unwrap().job.id.clone()
    }

    const NOTHING: RoundCost = RoundCost { positions: 0, estimates: 0, examined: 0, sent: 0 };

    #[tokio::test]
    async fn a_round_looks_at_what_changed_and_at_who_joined() {
        let mut world = World::new().await;
        let mut queues = Vec::new();
        for number in 0..1000 {
            let (id, kind) = (format!("J{number:03}"), if number < 900 { "pdf" } else { "scan" });
            world.submit(&id, &format!("owner-{number}"), kind).await;
            queues.push(world.watch_job(&id));
        }
        assert_eq!(world.round().await, RoundCost { positions: 1000, sent: 1000, ..NOTHING });
        for _ in 0..3 {
            assert_eq!(world.round().await, NOTHING);
        }
        assert_eq!((received(&queues[5]), received(&queues[905])), ("J0056".into(), "J9056".into()));
        // Who joins costs nobody else anything, and is sent the position that the others know.
        let second = world.watch_job("J005");
        assert_eq!(world.round().await, RoundCost { sent: 1, ..NOTHING });
        assert_eq!((received(&second), received(&queues[5])), ("J0056".into(), String::new()));
        // A queue that moves is looked at, the other is not.
        took(&world.engine, "scan");
        assert_eq!(world.round().await, RoundCost { positions: 100, sent: 99, ..NOTHING });
        assert_eq!((received(&queues[905]), received(&queues[5])), ("J9055".into(), String::new()));
        assert_eq!(world.round().await, NOTHING);
        // What nobody watches is not waited for.
        world.submit("unwatched", "zoe", "other").await;
        assert_eq!(world.round().await, NOTHING);
    }

    #[tokio::test]
    async fn many_watches_of_one_owner_are_served_in_one_pass() {
        let mut world = World::new().await;
        let mut queues = Vec::new();
        for number in 0..600 {
            let id = format!("J{number:03}");
            world.submit(&id, "alice", "pdf").await;
            let batch = (number % 2 == 1).then_some(&*id);
            queues.push(world.watch(of_owner("alice", batch.is_none().then_some(&*id), batch)).1);
        }
        assert_eq!(world.round().await, RoundCost { positions: 600, examined: 600, sent: 600, estimates: 0 });
        assert_eq!(world.round().await, NOTHING);
        assert_eq!((received(&queues[8]), received(&queues[9])), ("J0089".into(), "J00910".into()));
        // Another owner's job moves theirs, but selects none of them anew.
        world.submit("B", "bob", "pdf").await;
        let cost = world.round().await;
        assert_eq!((cost.positions, cost.examined), (600, 0));
        assert_eq!(received(&queues[9]), "J00911");
        took(&world.engine, "pdf");
        let cost = world.round().await;
        assert!(cost.examined <= 600 && cost.positions <= 1200, "{cost:?}");
    }

    #[tokio::test]
    async fn a_watch_of_many_jobs_is_sent_the_first_and_the_next_when_they_come_near() {
        let mut world = World::new().await;
        world.limit = 2;
        for id in ["A", "B", "Bb", "C", "D"] {
            world.submit(id, "alice", "pdf").await;
        }
        let all = Scope { topic: Topic::All, document: None, batch: None };
        let scopes = [
            of_owner("alice", None, None),
            of_owner("alice", None, Some("B")),
            of_owner("alice", Some("D"), None),
            all,
        ];
        let watches = scopes.map(|scope| world.watch(scope));
        let received = || watches.each_ref().map(|(_, queue)| received(queue));
        world.round().await;
        assert_eq!(received(), ["A1 B2", "B2 Bb3", "D5", "A1 B2"].map(String::from));
        assert_eq!(world.round().await, NOTHING);
        let taken = took(&world.engine, "pdf");
        world.round().await;
        // The first of all is being claimed; the others moved up, and one more is near enough.
        assert_eq!(received(), ["B1 Bb2", "B1 Bb2", "D4", "B1 Bb2"].map(String::from));
        world.engine.give_back(&taken);
        world.round().await;
        // One that is not near enough any more is sent that once.
        assert_eq!(
            received(),
            ["A1 B2 Bb3", "B2 Bb3", "D5", "A1 B2 Bb3"].map(String::from),
            "nothing came of the claim"
        );
        took(&world.engine, "pdf");
        world.engine.give_back(&taken);
        assert_eq!(world.round().await.sent, 0, "all is as it was");
        watches.iter().for_each(|(id, _)| world.engine.leave(id));
        world.engine.give_back(&took(&world.engine, "pdf"));
        world.round().await;
        assert!(world.sent.owners.is_empty());
        world.engine.give_back(&took(&world.engine, "pdf"));
        world.round().await;
        assert!(world.sent.is_empty() && world.sent.kinds.is_empty(), "who leaves leaves nothing behind");
    }

    #[tokio::test]
    async fn a_job_that_waits_again_and_a_watcher_whose_queue_was_emptied_are_sent_the_position() {
        let mut world = World::new().await;
        world.submit("A", "alice", "pdf").await;
        let (id, queue) = world.watch(Scope::job(JobId::new("A")));
        world.round().await;
        assert_eq!(received(&queue), "A1");
        let job = took(&world.engine, "pdf");
        let started = |_: &Job| Ok(Some(Change::Started { attempt: 1, worker: WorkerId::new("w") }));
        world.engine.change(&job, started).await.unwrap();
        world.engine.give_back(&job);
        let failed = |_: &Job| Ok(Some(Change::Failed { attempt: 1, error: error() }));
        world.engine.change(&job, failed).await.unwrap();
        world.round().await;
        assert!(received(&queue).is_empty() && world.sent.is_empty());
        let requeued = |_: &Job| Ok(Some(Change::Requeued { by: "alice".into(), password: None }));
        world.engine.change(&job, requeued).await.unwrap();
        world.round().await;
        assert_eq!(received(&queue), "A1");
        world.engine.rejoin(&id, &queue);
        assert_eq!(world.round().await, RoundCost { sent: 1, ..NOTHING });
        assert_eq!(received(&queue), "A1");
        assert_eq!(world.round().await, NOTHING);
    }

    fn worker(slots: u32) -> Vec<WorkerCapacity> {
        let kinds = ["pdf".into()].into();
        vec![WorkerCapacity { worker: WorkerId::new("w"), kinds, slots, held: 0 }]
    }

    #[tokio::test(start_paused = true)]
    async fn an_estimate_that_changes_moves_no_position_and_is_computed_without_one() {
        let mut world = World::new().await;
        let page = |number| {
            let page = Page { number, width: 1.0, height: 1.0, zones: vec![], duration_ms: 1_000, warnings: vec![] };
            Change::PageFinished { attempt: 1, page: Box::new(page) }
        };
        world.submit("first", "alice", "pdf").await;
        let mut changes = vec![Change::Started { attempt: 1, worker: WorkerId::new("w") }];
        changes.push(Change::Planned { attempt: 1, pages: 5, lane: None });
        changes.extend((1..=5).map(page));
        changes.push(Change::Succeeded { attempt: 1, warnings: vec![] });
        for change in changes {
            tokio::time::advance(Duration::from_secs(1)).await;
            world.engine.change(&JobId::new("first"), |_| Ok(Some(change.clone()))).await.unwrap();
        }
        let mut queues = Vec::new();
        for number in 0..100 {
            let id = format!("J{number:02}");
            world.submit(&id, "alice", "pdf").await;
            queues.push(world.watch_job(&id));
        }
        assert_eq!(world.round().await, RoundCost { positions: 100, sent: 100, ..NOTHING });
        let wait = || {
            let Some(Received::Messages(mut messages)) = queues[99].next().now_or_never() else { return None };
            let Some(Message::Transient(update, _)) = messages.pop() else { return None };
            update.position?.wait.map(|wait| wait.ms)
        };
        assert_eq!(wait(), None, "no worker is there");
        world.engine.update_capacities(|_| worker(1));
        assert_eq!(world.round().await, RoundCost { estimates: 100, sent: 100, ..NOTHING });
        let alone = wait().unwrap();
        // The same workers again, as each second.
        world.engine.update_capacities(|_| worker(1));
        assert_eq!(world.round().await, NOTHING);
        world.engine.update_capacities(|_| worker(10));
        let cost = world.round().await;
        assert_eq!((cost.positions, cost.estimates, cost.examined), (0, 100, 0));
        let shared = wait().unwrap();
        assert!(shared * 9 < alone && alone < shared * 11, "{alone} {shared}");
    }

    /// A watcher and what it knows of positions.
    struct Client {
        id: WatcherId,
        scope: Scope,
        queue: Arc<WatchQueue>,
        known: HashMap<JobId, u32>,
    }

    impl Client {
        fn take_in(&mut self) {
            let Some(Received::Messages(messages)) = self.queue.next().now_or_never() else { return };
            for message in messages {
                if let Message::Transient(update, _) = message
                    && let Some(position) = update.position
                {
                    self.known.insert(update.current.job.id.clone(), position.position);
                }
            }
        }
    }

    impl World {
        fn scope(&self, random: &mut fastrand::Rng, jobs: u32) -> Scope {
            let job = format!("J{}", random.u32(..jobs));
            let owner = format!("owner-{}", random.u32(..3));
            match random.u8(..5) {
                0 => of_owner(&owner, None, None),
                1 => of_owner(&owner, Some(&job), None),
                2 => of_owner(&owner, None, Some(&job)),
                3 => Scope { topic: Topic::All, document: None, batch: None },
                _ => Scope::job(JobId::new(job)),
            }
        }

        /// Something happens to a job, if its state allows it.
        async fn happen(&self, id: &JobId, random: &mut fastrand::Rng, claims: &mut Vec<JobId>) {
            let Some(job) = self.engine.get(id).map(|seen| seen.current.job.clone()) else { return };
            let attempt = job.attempt;
            let change = match (job.state, random.u8(..4)) {
                (job::State::Queued, 0) => Change::Cancelled { by: "x".into() },
                (job::State::Queued, 1) => Change::Started { attempt: attempt + 1, worker: WorkerId::new("w") },
                (job::State::Queued, _) => {
                    let taken = self.engine.take_next(&["pdf".into(), "scan".into()], &Default::default());
                    return claims.extend(taken.map(|current| current.job.id.clone()));
                }
                (job::State::Running, _) => Change::Failed { attempt, error: error() },
                _ => Change::Requeued { by: "x".into(), password: None },
            };
            self.engine.change(id, |_| Ok(Some(change.clone()))).await.unwrap();
        }
    }

    impl World {
        async fn cancel_all(&self, jobs: u32) {
            for number in 0..jobs {
                let waits = |job: &Job| job.state == job::State::Queued;
                let cancel = |job: &Job| Ok(waits(job).then(|| Change::Cancelled { by: "x".into() }));
                self.engine.change(&JobId::new(format!("J{number}")), cancel).await.unwrap();
            }
        }
    }

    /// Whatever happens: after a round each watcher knows the position of each job in its scope that has one.
    #[tokio::test]
    async fn after_a_round_everybody_knows_all_positions_whatever_happened() {
        const JOBS: u32 = 24;
        for seed in 0..6 {
            let (mut world, mut random) = (World::new().await, fastrand::Rng::with_seed(seed));
            let (mut clients, mut claims, mut made) = (Vec::<Client>::new(), Vec::new(), 0);
            for _ in 0..250 {
                for _ in 0..random.u32(..4) {
                    match random.u8(..10) {
                        0..4 if made < JOBS => {
                            let kind = if random.bool() { "pdf" } else { "scan" };
                            world.submit(&format!("J{made}"), &format!("owner-{}", made % 3), kind).await;
                            made += 1;
                        }
                        4 => {
                            let scope = world.scope(&mut random, JOBS);
                            let (id, queue) = world.watch(scope.clone());
                            clients.push(Client { id, scope, queue, known: HashMap::new() });
                        }
                        5 if clients.len() > 8 => {
                            let client = clients.swap_remove(random.usize(..clients.len()));
                            world.engine.leave(&client.id);
                        }
                        6 if !clients.is_empty() => {
                            let at = random.usize(..clients.len());
                            world.engine.rejoin(&clients[at].id, &clients[at].queue);
                            clients[at].known.clear();
                        }
                        7 if !claims.is_empty() => {
                            let id: JobId = claims.swap_remove(random.usize(..claims.len()));
                            world.engine.give_back(&id);
                        }
                        _ if made > 0 => {
                            let id = JobId::new(format!("J{}", random.u32(..made)));
                            world.happen(&id, &mut random, &mut claims).await;
                        }
                        _ => {}
                    }
                }
                world.round().await;
                for client in &mut clients {
                    client.take_in();
                    for number in 0..made {
                        let seen = world.engine.get(&JobId::new(format!("J{number}"))).unwrap();
                        let Some(position) = seen.position.filter(|_| client.scope.holds(&seen.current.job)) else {
                            continue;
                        };
                        let known = client.known.get(&seen.current.job.id).copied();
                        assert_eq!(known, Some(position.position), "J{number} for {:?}, seed {seed}", client.scope);
                    }
                }
                assert_eq!(world.round().await, NOTHING);
            }
            clients.iter().for_each(|client| world.engine.leave(&client.id));
            world.cancel_all(made).await;
            world.round().await;
            assert!(world.sent.is_empty() && world.sent.all.is_empty(), "seed {seed}");
        }
    }

    fn error() -> JobError {
        JobError { code: "BROKEN".into(), message: "it is broken".into(), retryable: false }
    }
}
