//! The view: what the log says, kept in memory for reading. Rebuilt at start, advanced only by the follower, never
//! written to by calls. The live progress of running jobs, which the log does not have, is kept beside it. Jobs that have ended
//! are kept packed, see [`StoredJob`].

mod current_job;
mod job_index;
mod load;
mod order_statistic_tree;
mod queues;
mod sorted_set;
mod stored_job;

#[cfg(test)]
mod model;
#[cfg(test)]
pub(crate) mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use courant_joblog::ids::{JobId, Owner, Revision, Timestamp, WorkerId};
use courant_joblog::job::{Job, Lane, State};
use courant_joblog::log::{Entry, Record};

pub use current_job::{CurrentJob, LiveProgress};
use current_job::{carry_over, continues, logged_since};
pub use job_index::{JobIndex, ListKey};
pub use load::{Load, PagesLeft};
use queues::JobQueues;
pub use queues::{ClockReading, OwnerWeights, QueuePosition, QueueState, RunningLimits, Weights};
pub use sorted_set::SortedSet;
pub use stored_job::{EndedJob, StoredJob};
use tokio::time::Instant;

use crate::clock::{Clock, Moment};

/// All jobs of the log as they are at one revision.
#[derive(Debug, Default)]
pub struct View {
    revision: Revision,
    jobs: HashMap<JobId, StoredJob>,
    all: JobIndex,
    owners: HashMap<Owner, JobIndex>,
    held: BTreeMap<WorkerId, BTreeSet<JobId>>,
    queues: JobQueues,
    clock: Clock,
    moved_owners: MovedOwners,
    /// Entries are of now; before that, of whenever the log says.
    following: bool,
}

/// What an entry did to its job.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The job as it was; `None` if it is new.
    pub before: Option<CurrentJob>,
    /// The job as it is; `None` if it was removed.
    pub after: Option<CurrentJob>,
}

/// Owners of whom a job came into a queue or left one. Bounded: of too many it is everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MovedOwners {
    Some(HashSet<Owner>),
    All,
}

/// More owners than this are everybody.
const MAX_MOVED: usize = 4096;

impl Default for MovedOwners {
    fn default() -> Self {
        Self::Some(HashSet::new())
    }
}

impl MovedOwners {
    fn add(&mut self, owner: &Owner) {
        let Self::Some(some) = self else { return };
        if some.contains(owner) {
            return;
        }
        if some.len() >= MAX_MOVED {
            *self = Self::All;
        } else {
            some.insert(owner.clone());
        }
    }
}

impl View {
    /// Empty, with these weights of the lanes. It measures by this clock.
    pub fn new(weights: Weights, clock: Clock) -> Self {
        Self { queues: JobQueues::new(weights), clock, ..Self::default() }
    }

    /// This moment on the view's clock.
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Everything up to here is in the view.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// A job, unpacked if it has ended. Under the engine's lock: for one job, not for many.
    pub fn get(&self, id: &JobId) -> Option<Cow<'_, CurrentJob>> {
        self.jobs.get(id)?.current()
    }

    /// A job as it is kept.
    pub fn stored(&self, id: &JobId) -> Option<&StoredJob> {
        self.jobs.get(id)
    }

    /// A job, if it has not ended.
    pub fn unfinished(&self, id: &JobId) -> Option<&CurrentJob> {
        self.jobs.get(id)?.unfinished()
    }

    /// Jobs of an owner, or all, newest first, those before a key. Many: read them in pieces, see
    /// [`Engine::newest`](crate::engine::Engine::newest).
    pub fn list<'a>(
        &'a self,
        owner: Option<&Owner>,
        before: Option<&ListKey>,
    ) -> impl Iterator<Item = (&'a ListKey, &'a StoredJob)> {
        let keys = self.job_index(owner).map(|job_index| job_index.newest_first(before));
        keys.into_iter().flatten().filter_map(|key| Some((key, self.jobs.get(&key.1)?)))
    }

    /// The jobs of an owner, or all, in the order of lists.
    pub fn job_index(&self, owner: Option<&Owner>) -> Option<&JobIndex> {
        match owner {
            Some(owner) => self.owners.get(owner),
            None => Some(&self.all),
        }
    }

    /// The jobs that workers hold.
    pub fn held(&self) -> impl Iterator<Item = &CurrentJob> {
        self.held.values().flatten().filter_map(|id| self.unfinished(id))
    }

    /// The jobs that a worker holds.
    pub fn held_by(&self, worker: &WorkerId) -> impl Iterator<Item = &CurrentJob> {
        self.held.get(worker).into_iter().flatten().filter_map(|id| self.unfinished(id))
    }

    /// How many jobs a worker holds.
    pub fn held_count(&self, worker: &WorkerId) -> u32 {
        self.held.get(worker).map_or(0, |jobs| u32::try_from(jobs.len()).unwrap_or(u32::MAX))
    }

    /// The position of a waiting job.
    pub fn position(&self, job: &Job) -> Option<QueuePosition> {
        self.queues.position(job)
    }

    /// A number that grows whenever the position of any job may have changed.
    pub fn queue_changes(&self) -> u64 {
        self.queues.changes()
    }

    /// The number at which a position in a queue may have changed last; 0 for one in which nothing is.
    pub fn queue_changed(&self, kind: &str, lane: Lane) -> u64 {
        self.queues.changed(kind, lane)
    }

    /// The owners of whom a job came into a queue or left one since the last call.
    pub fn take_moved_owners(&mut self) -> MovedOwners {
        std::mem::take(&mut self.moved_owners)
    }

    /// The state of a queue.
    pub fn queue<'a>(&'a self, kind: &'a str, lane: Lane) -> QueueState<'a> {
        self.queues.state(kind, lane)
    }

    /// The state of each queue that is not empty.
    pub fn queues(&self) -> impl Iterator<Item = QueueState<'_>> {
        let all = self.queues.kinds().flat_map(|kind| Lane::ALL.map(|lane| self.queues.state(kind, lane)));
        all.filter(|queue| queue.waiting.jobs > 0 || queue.delayed > 0 || queue.held > 0)
    }

    /// The next jobs of a queue in the order they will be taken, at most so many.
    pub fn upcoming(&self, kind: &str, lane: Lane, limit: usize) -> impl Iterator<Item = &CurrentJob> {
        self.queues.upcoming(kind, lane, limit).filter_map(|id| self.unfinished(id))
    }

    /// How many jobs a turn of each owner has. Before there are any.
    pub fn set_owner_weights(&mut self, weights: OwnerWeights) {
        self.queues.set_owner_weights(weights);
    }

    /// The weights of the lanes.
    pub fn weights(&self) -> Weights {
        self.queues.weights()
    }

    /// Serves the lanes by other weights from now on.
    pub fn set_weights(&mut self, weights: Weights) {
        self.queues.set_weights(weights);
    }

    /// Whether nothing of a lane is given out.
    pub fn is_paused(&self, lane: Lane) -> bool {
        self.queues.is_paused(lane)
    }

    /// Gives out nothing of a lane, or gives out again.
    pub fn set_paused(&mut self, lane: Lane, paused: bool) {
        self.queues.set_paused(lane, paused);
    }

    /// Jobs of a kind that are running, those being claimed among them.
    pub fn running_in_all(&self, kind: &str) -> u32 {
        self.queues.running_in_all(kind)
    }

    /// Jobs of a kind that an owner has running, those being claimed among them.
    pub fn running_of(&self, kind: &str, owner: &Owner) -> u32 {
        self.queues.running_of(kind, owner)
    }

    /// Whether jobs of a kind wait or are held.
    pub fn is_demanded(&self, kind: &str) -> bool {
        self.queues.states(kind).iter().any(|queue| queue.waiting.jobs > 0 || queue.held > 0)
    }

    /// Those of the kinds that jobs wait for in lanes that are not paused, where `offered` has all kinds that workers take. Looks
    /// through the smaller of the two: callers name kinds, and so do workers.
    pub fn kinds_with_waiting_jobs<'a, V>(&'a self, offered: &'a HashMap<Box<str>, V>) -> Vec<&'a str> {
        let is_served = |queue: &QueueState<'_>| queue.waiting.jobs > 0 && !self.is_paused(queue.lane);
        let waits = |kind: &str| self.queues.states(kind).iter().any(is_served);
        if self.queues.kinds().len() < offered.len() {
            self.queues.kinds().filter(|kind| offered.contains_key(*kind) && waits(kind)).collect()
        } else {
            offered.keys().map(|kind| &**kind).filter(|kind| waits(kind)).collect()
        }
    }

    /// Whether a job of this kind waits in this lane that would be given out if the owner of one that runs gave it back: one
    /// whose own owner has as many running as may be waits for those, not for a worker.
    pub fn would_serve(&self, kind: &str, lane: Lane, leaving: &Owner, limits: &RunningLimits<'_>) -> bool {
        self.queues.would_serve(kind, lane, leaving, limits)
    }

    /// When the next delayed job is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.queues.next_due()
    }

    /// Puts the delayed jobs that are due into their queues.
    pub fn release_due(&mut self, now: Instant) {
        while let Some(job) = self.queues.first_due(now).and_then(|id| self.unfinished(id)).map(|due| due.job.clone()) {
            self.moved_owners.add(&job.owner);
            self.queues.release(&job);
        }
    }

    /// Takes the next job of these kinds out of its queue, for a claim. However the claim ends, it must be followed by
    /// [`View::give_back`].
    pub fn take_next(&mut self, kinds: &[Box<str>], limits: &RunningLimits<'_>, now: Instant) -> Option<CurrentJob> {
        self.take_wanted(kinds, limits, None, now)
    }

    /// The same of the jobs that are wanted, if it is said which.
    pub fn take_wanted(
        &mut self,
        kinds: &[Box<str>],
        limits: &RunningLimits<'_>,
        wanted: Option<&dyn Fn(&CurrentJob) -> bool>,
        now: Instant,
    ) -> Option<CurrentJob> {
        self.release_due(now);
        let Self { queues, jobs, .. } = self;
        let unfinished = |id: &JobId| jobs.get(id).and_then(StoredJob::unfinished);
        let id = match wanted {
            Some(wanted) => queues.take_wanted(kinds, limits, &|id| unfinished(id).is_some_and(wanted)),
            None => queues.take_next(kinds, limits),
        }?;
        let current = self.unfinished(&id)?.clone();
        self.moved_owners.add(&current.job.owner);
        Some(current)
    }

    /// Puts a job that was taken for a claim back into its queue, if it still waits.
    pub fn give_back(&mut self, id: &JobId) {
        let unused = self.queues.end_claim(id);
        let current = self.unfinished(id).filter(|current| current.job.state == State::Queued);
        let Some(job) = current.map(|current| current.job.clone()) else { return };
        self.moved_owners.add(&job.owner);
        if unused {
            self.queues.put_back(&job, ClockReading::read());
        } else {
            // It was started and waits again since.
            self.queues.insert(&job, ClockReading::read());
        }
    }

    /// Applies the next entry of the log. `None` for one that is not after all before it: the view has it.
    pub fn apply(&mut self, entry: &Entry) -> Option<Applied> {
        if entry.revision <= self.revision {
            return None;
        }
        self.revision = entry.revision;
        let before = self.jobs.remove(&entry.key.job).and_then(StoredJob::into_current);
        if let Some(current) = &before {
            self.take_out(&current.job);
        }
        let after = match &entry.record {
            Record::Forgotten => {
                self.unlist(before.as_ref());
                None
            }
            Record::Changed { job, .. } => Some(self.insert(entry.revision, job, before.as_ref())),
        };
        Some(Applied { before, after })
    }

    /// What was applied up to now was a list as of a revision: how a start begins. From now on entries are seen as they come.
    pub fn advance(&mut self, revision: Revision) {
        self.revision = self.revision.max(revision);
        self.following = true;
    }

    /// Sets the live progress of a running attempt; percent never goes back. `None` if it is not the job's attempt.
    pub fn set_live_progress(&mut self, id: &JobId, mut live: LiveProgress) -> Option<CurrentJob> {
        let StoredJob::Unfinished(current) = self.jobs.get_mut(id)? else { return None };
        if current.job.attempt != live.attempt || !current.job.state.is_held() {
            return None;
        }
        live.progress.percent = live.progress.percent.max(current.progress().percent);
        current.live = Some(Arc::new(live));
        Some(current.clone())
    }

    fn insert(&mut self, revision: Revision, job: &Arc<Job>, old: Option<&CurrentJob>) -> CurrentJob {
        let stays =
            |old: &CurrentJob| old.job.created == job.created && old.job.state.is_terminal() == job.state.is_terminal();
        if !old.is_some_and(stays) {
            let key = (job.created, job.id.clone());
            self.all.put(&key, job.state);
            self.owners.entry(job.owner.clone()).or_default().put(&key, job.state);
        }
        if job.state == State::Queued {
            self.moved_owners.add(&job.owner);
            self.queues.add(job, revision, ClockReading::read());
        }
        if job.state.is_held() {
            self.queues.add_running(job);
            self.held.entry(holder(job)).or_default().insert(job.id.clone());
        }
        let since = match old {
            Some(old) if continues(&old.job, job) => old.since,
            _ if self.following => self.clock.now(),
            _ => self.clock.moment_of(logged_since(job), Timestamp::now()),
        };
        let live = old.and_then(|current| current.live.as_ref()).and_then(|live| carry_over(live, job));
        let current = CurrentJob { revision, job: job.clone(), live, since };
        self.jobs.insert(job.id.clone(), StoredJob::of(&current));
        current
    }

    /// Takes a job as it was out of the queue it is in, or from the worker that has it.
    fn take_out(&mut self, job: &Job) {
        if job.state == State::Queued {
            self.moved_owners.add(&job.owner);
            self.queues.remove(job);
        }
        if job.state.is_held() {
            self.queues.remove_running(job);
            let holder = holder(job);
            if let Some(jobs) = self.held.get_mut(&holder) {
                jobs.remove(&job.id);
                if jobs.is_empty() {
                    self.held.remove(&holder);
                }
            }
        }
    }

    fn unlist(&mut self, old: Option<&CurrentJob>) {
        let Some(current) = old else { return };
        let key = (current.job.created, current.job.id.clone());
        self.all.remove(&key);
        if let Some(keys) = self.owners.get_mut(&current.job.owner) {
            keys.remove(&key);
            if keys.is_empty() {
                self.owners.remove(&current.job.owner);
            }
        }
    }
}

/// Who holds a job; a job that is held has a holder.
fn holder(job: &Job) -> WorkerId {
    job.worker.clone().unwrap_or_else(|| WorkerId::new(""))
}
