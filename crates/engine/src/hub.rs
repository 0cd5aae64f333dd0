//! Who watches what. Finds the queues of a job in a few look-ups, however many watchers there are.

mod interest;
pub mod watch_queue;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use courant_joblog::ids::{BatchId, DocumentId, JobId, Owner};
use courant_joblog::job::Job;
use courant_joblog::log::Key;

use self::interest::Interest;
use self::watch_queue::{Durable, TransientUpdate, WatchQueue};

/// Which jobs a watcher follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Where the jobs are found.
    pub topic: Topic,
    /// Only those of this document.
    pub document: Option<DocumentId>,
    /// Only those of this batch.
    pub batch: Option<BatchId>,
}

/// Where a watcher's jobs are found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    Job(JobId),
    Owner(Owner),
    All,
}

impl Scope {
    pub fn job(id: JobId) -> Self {
        Self { topic: Topic::Job(id), document: None, batch: None }
    }

    /// Whether a removed job may have been in it. Its batch is not known any more.
    pub fn may_have_held(&self, key: &Key) -> bool {
        let topic = match &self.topic {
            Topic::Job(id) => *id == key.job,
            Topic::Owner(owner) => *owner == key.owner,
            Topic::All => true,
        };
        topic && self.document.as_ref().is_none_or(|document| *document == key.document)
    }

    /// Whether a job is in it.
    pub fn holds(&self, job: &Job) -> bool {
        let topic = match &self.topic {
            Topic::Job(id) => *id == job.id,
            Topic::Owner(owner) => *owner == job.owner,
            Topic::All => true,
        };
        topic
            && self.document.as_ref().is_none_or(|document| *document == job.document.id)
            && self.batch.as_ref().is_none_or(|batch| job.batch.as_ref() == Some(batch))
    }
}

/// Where a watcher is looked for: as narrow as its scope allows, so that a thousand watchers of single documents cost
/// an event of another document nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeKey {
    /// Watches of one job.
    Job(JobId),
    /// Watches of an owner's jobs.
    Owner(Owner, Part),
    /// Watches over the jobs of all owners.
    All(Part),
}

/// Which part of many jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Every,
    /// Those of one document, maybe only of one batch.
    Document(DocumentId),
    Batch(BatchId),
}

impl ScopeKey {
    fn of(scope: &Scope) -> Self {
        let part = match (&scope.document, &scope.batch) {
            (Some(document), _) => Part::Document(document.clone()),
            (None, Some(batch)) => Part::Batch(batch.clone()),
            (None, None) => Part::Every,
        };
        match &scope.topic {
            Topic::Job(id) => Self::Job(id.clone()),
            Topic::Owner(owner) => Self::Owner(owner.clone(), part),
            Topic::All => Self::All(part),
        }
    }
}

/// The kinds of keys under which a job's watchers are found: a job has one key of each kind at most. A set of them is a
/// bit mask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyKinds(u8);

impl KeyKinds {
    pub const JOB: Self = Self(1);
    pub const OWNER_EVERY: Self = Self(1 << 1);
    pub const OWNER_DOCUMENT: Self = Self(1 << 2);
    pub const OWNER_BATCH: Self = Self(1 << 3);
    pub const OWNER: Self = Self(0b0000_1110);
    pub const ALL: Self = Self(0b0111_0000);

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

#[derive(Debug, Default)]
pub struct Hub {
    jobs: HashMap<JobId, Watchers>,
    owners: HashMap<Owner, Parts>,
    all: Parts,
    interest: Interest,
    next: u64,
    count: usize,
    emptied: u64,
    /// Watchers that were not sent the positions of their waiting jobs since they joined, or since their queue was emptied.
    without_positions: BTreeMap<u64, Unserved>,
    /// Jobs watched by themselves that began to wait since [`Hub::take_waiting`].
    waiting: HashSet<JobId>,
}

/// Watchers by when they came: each leaves in O(log n), however many there are.
type Watchers = BTreeMap<u64, Watcher>;

/// Watchers of many jobs.
#[derive(Debug, Default)]
struct Parts {
    every: Watchers,
    documents: HashMap<DocumentId, Watchers>,
    batches: HashMap<BatchId, Watchers>,
}

#[derive(Debug)]
struct Watcher {
    scope: Scope,
    queue: Arc<WatchQueue>,
    /// Of its jobs, if they are known to be of one.
    partition: Option<u8>,
}

/// A watcher that was not sent positions.
#[derive(Clone, Debug)]
pub struct Unserved {
    pub watcher: u64,
    pub key: ScopeKey,
    /// Which emptying of a queue it waits since, counted over all watchers.
    since: u64,
}

/// Names a watcher, for leaving.
#[derive(Clone, Debug)]
pub struct WatcherId(ScopeKey, u64);

impl Parts {
    fn is_empty(&self) -> bool {
        self.every.is_empty() && self.documents.is_empty() && self.batches.is_empty()
    }

    fn get(&self, part: &Part) -> Option<&Watchers> {
        match part {
            Part::Every => Some(&self.every),
            Part::Document(document) => self.documents.get(document),
            Part::Batch(batch) => self.batches.get(batch),
        }
    }

    fn join(&mut self, part: &Part) -> &mut Watchers {
        match part {
            Part::Every => &mut self.every,
            Part::Document(document) => self.documents.entry(document.clone()).or_default(),
            Part::Batch(batch) => self.batches.entry(batch.clone()).or_default(),
        }
    }

    fn leave(&mut self, part: &Part, id: u64) -> Option<Watcher> {
        match part {
            Part::Every => self.every.remove(&id),
            Part::Document(document) => leave(&mut self.documents, document, id),
            Part::Batch(batch) => leave(&mut self.batches, batch, id),
        }
    }

    /// Where the watchers of a job are, each with its place among the three.
    fn of<'a>(&'a self, job: &Job) -> [Option<&'a Watchers>; 3] {
        let batch = job.batch.as_ref().filter(|_| !self.batches.is_empty());
        let every = Some(&self.every).filter(|every| !every.is_empty());
        [every, self.documents.get(&job.document.id), batch.and_then(|batch| self.batches.get(batch))]
    }
}

/// Takes a watcher out of those under a key, and the key with the last of them.
fn leave<K: Eq + Hash>(keys: &mut HashMap<K, Watchers>, key: &K, id: u64) -> Option<Watcher> {
    let watchers = keys.get_mut(key)?;
    let left = watchers.remove(&id);
    if watchers.is_empty() {
        keys.remove(key);
    }
    left
}

impl Hub {
    /// How many watchers there are.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// `partition` is that of all jobs of the scope, where it is known.
    pub fn join(&mut self, scope: Scope, queue: Arc<WatchQueue>, partition: Option<u8>) -> WatcherId {
        self.next += 1;
        self.count += 1;
        self.interest.add(partition);
        let key = ScopeKey::of(&scope);
        let watchers = match &key {
            ScopeKey::Job(id) => self.jobs.entry(id.clone()).or_default(),
            ScopeKey::Owner(owner, part) => self.owners.entry(owner.clone()).or_default().join(part),
            ScopeKey::All(part) => self.all.join(part),
        };
        watchers.insert(self.next, Watcher { scope, queue, partition });
        let id = WatcherId(key, self.next);
        self.lost_positions(&id);
        id
    }

    pub fn leave(&mut self, id: &WatcherId) {
        let left = match &id.0 {
            ScopeKey::Job(job) => leave(&mut self.jobs, job, id.1),
            ScopeKey::Owner(owner, part) => {
                let Some(parts) = self.owners.get_mut(owner) else { return };
                let left = parts.leave(part, id.1);
                if parts.is_empty() {
                    self.owners.remove(owner);
                }
                left
            }
            ScopeKey::All(part) => self.all.leave(part, id.1),
        };
        if let Some(watcher) = left {
            self.count -= 1;
            self.interest.remove(watcher.partition);
        }
        self.without_positions.remove(&id.1);
        if let ScopeKey::Job(job) = &id.0
            && !self.jobs.contains_key(job)
        {
            self.waiting.remove(job);
        }
    }

    /// A watcher's queue was emptied: what it was sent of positions is gone.
    pub fn lost_positions(&mut self, id: &WatcherId) {
        if self.watcher(&id.0, id.1).is_some() {
            self.emptied += 1;
            let unserved = Unserved { watcher: id.1, key: id.0.clone(), since: self.emptied };
            self.without_positions.insert(id.1, unserved);
        }
    }

    /// The partitions of which jobs are watched, a bit each.
    pub fn watched_partitions(&self) -> u64 {
        self.interest.mask()
    }

    /// Whether anybody follows this job.
    #[cfg(test)]
    fn is_watched(&self, job: &Job) -> bool {
        self.of(job).next().is_some()
    }

    /// Whether anybody follows this job who does not follow everything.
    pub fn is_followed(&self, job: &Job) -> bool {
        self.watchers_of(job).any(|watcher| watcher.scope.topic != Topic::All)
    }

    /// Sends an entry of the log to all who follow its job.
    pub fn notify(&self, job: &Job, durable: &Durable) {
        self.of(job).for_each(|queue| queue.push(durable.clone()));
    }

    /// Sends a transient update to all who follow its job.
    pub fn notify_transient(&self, update: &Arc<TransientUpdate>) {
        self.of(&update.current.job).for_each(|queue| queue.push_transient(update.clone()));
    }

    /// A job waits from now on.
    pub fn begins_to_wait(&mut self, job: &JobId) {
        if self.jobs.contains_key(job) {
            self.waiting.insert(job.clone());
        }
    }

    /// The watched jobs that began to wait since the last call, at most so many.
    pub fn take_waiting(&mut self, most: usize) -> Vec<JobId> {
        let some: Vec<JobId> = self.waiting.iter().take(most).cloned().collect();
        for job in &some {
            self.waiting.remove(job);
        }
        some
    }

    /// The watchers after one that wait for the positions of their jobs, at most so many.
    pub fn without_positions(&self, after: u64, most: usize) -> Vec<Unserved> {
        let rest = self.without_positions.range((Excluded(after), Unbounded));
        rest.take(most).map(|(_, unserved)| unserved.clone()).collect()
    }

    /// Whether anybody watches this job by itself.
    pub fn is_job_watched(&self, job: &JobId) -> bool {
        self.jobs.contains_key(job)
    }

    /// Whether anybody watches more jobs of an owner than one.
    pub fn is_owner_watched(&self, owner: &Owner) -> bool {
        self.owners.contains_key(owner)
    }

    /// Whether anybody watches only a document or a batch of an owner.
    pub fn is_part_watched(&self, owner: &Owner) -> bool {
        self.owners.get(owner).is_some_and(|parts| !parts.documents.is_empty() || !parts.batches.is_empty())
    }

    /// How many owners have somebody who watches more of their jobs than one.
    pub fn owners_watched(&self) -> usize {
        self.owners.len()
    }

    /// Whether anybody watches the jobs of all owners.
    pub fn is_all_watched(&self) -> bool {
        !self.all.is_empty()
    }

    /// Under which kinds of keys somebody follows a job.
    pub fn kinds_of(&self, job: &Job) -> KeyKinds {
        let followed = |watchers: &Watchers| watchers.values().any(|watcher| watcher.scope.holds(job));
        let kinds = self.keys_of(job).into_iter().zip(0..);
        let some = kinds.filter(|(watchers, _)| watchers.is_some_and(followed));
        KeyKinds(some.fold(0, |all, (_, kind)| all | 1 << kind))
    }

    /// Sends the position of a waiting job to its watchers under some kinds of keys: to all when it has changed, else to those
    /// who wait for positions. How many that were.
    pub fn notify_position(&self, kinds: KeyKinds, update: &Arc<TransientUpdate>, changed: bool) -> usize {
        let job = &update.current.job;
        let here = self.keys_of(job).into_iter().zip(0..).filter(|(_, kind)| kinds.has(KeyKinds(1 << kind)));
        let watchers = here.filter_map(|(watchers, _)| watchers).flatten();
        let due = watchers.filter(|(id, _)| changed || self.without_positions.contains_key(id));
        due.filter(|(_, watcher)| watcher.scope.holds(job))
            .map(|(_, watcher)| watcher.queue.push_transient(update.clone()))
            .count()
    }

    /// A watcher was sent all positions of its waiting jobs. One whose queue was emptied meanwhile goes on waiting, and one
    /// whose queue ran over comes again when it has been emptied.
    pub fn positions_sent(&mut self, to: &Unserved) {
        if self.without_positions.get(&to.watcher).is_some_and(|unserved| unserved.since == to.since) {
            self.without_positions.remove(&to.watcher);
        }
    }

    fn watcher(&self, key: &ScopeKey, id: u64) -> Option<&Watcher> {
        let watchers = match key {
            ScopeKey::Job(job) => self.jobs.get(job),
            ScopeKey::Owner(owner, part) => self.owners.get(owner).and_then(|parts| parts.get(part)),
            ScopeKey::All(part) => self.all.get(part),
        };
        watchers?.get(&id)
    }

    fn of<'a>(&'a self, job: &'a Job) -> impl Iterator<Item = &'a Arc<WatchQueue>> {
        self.watchers_of(job).map(|watcher| &watcher.queue)
    }

    fn watchers_of<'a>(&'a self, job: &'a Job) -> impl Iterator<Item = &'a Watcher> {
        self.keys_of(job)
            .into_iter()
            .flatten()
            .flat_map(BTreeMap::values)
            .filter(move |watcher| watcher.scope.holds(job))
    }

    /// Where the watchers of a job may be, in the order of the bits of [`KeyKinds`].
    fn keys_of(&self, job: &Job) -> [Option<&Watchers>; 7] {
        let [every, document, batch] = self.owners.get(&job.owner).map_or([None; 3], |parts| parts.of(job));
        let [all, all_document, all_batch] = self.all.of(job);
        [self.jobs.get(&job.id), every, document, batch, all, all_document, all_batch]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::queued;

    fn watched(scope: Scope, job: &Job) -> bool {
        let (mut hub, queue) = (Hub::default(), Arc::new(WatchQueue::new(8, Duration::ZERO)));
        let id = hub.join(scope, queue, None);
        let found = hub.is_watched(job);
        hub.leave(&id);
        assert!(hub.is_empty() && hub.jobs.is_empty() && hub.owners.is_empty() && hub.all.is_empty());
        assert!(hub.without_positions.is_empty(), "who leaves leaves nothing behind");
        found
    }

    #[test]
    fn a_watcher_is_found_by_every_kind_of_scope_and_by_no_other() {
        let job = queued("J", "alice");
        let owner = |name: &str| Topic::Owner(Owner::new(name));
        let scope = |topic, document: Option<&str>, batch: Option<&str>| Scope {
            topic,
            document: document.map(DocumentId::new),
            batch: batch.map(BatchId::new),
        };
        for found in [
            Scope::job(job.id.clone()),
            scope(owner("alice"), None, None),
            scope(owner("alice"), Some("D"), None),
            scope(Topic::All, Some("D"), None),
        ] {
            assert!(watched(found.clone(), &job), "{found:?}");
        }
        for other in [
            Scope::job(JobId::new("K")),
            scope(owner("bob"), None, None),
            scope(owner("alice"), Some("E"), None),
            scope(owner("alice"), None, Some("B")),
            scope(Topic::All, Some("E"), None),
        ] {
            assert!(!watched(other.clone(), &job), "{other:?}");
        }
    }

    #[test]
    fn watchers_of_one_job_leave_one_by_one_and_the_others_stay() {
        let (mut hub, job) = (Hub::default(), queued("J", "alice"));
        let queue = || Arc::new(WatchQueue::new(8, Duration::ZERO));
        let ids: Vec<WatcherId> = (0..50_000).map(|_| hub.join(Scope::job(job.id.clone()), queue(), None)).collect();
        assert_eq!((hub.len(), hub.without_positions(0, 8).len()), (50_000, 8));
        let (last, others) = ids.split_last().unwrap();
        // With a walk over all that are left these would be a thousand million steps.
        others.iter().for_each(|id| hub.leave(id));
        others.iter().for_each(|id| hub.leave(id));
        assert_eq!((hub.len(), hub.is_watched(&job)), (1, true), "who left twice counts once");
        hub.lost_positions(&others[0]);
        assert_eq!(hub.without_positions(0, 8).len(), 1, "who left waits for nothing");
        hub.begins_to_wait(&job.id);
        hub.leave(last);
        assert!(hub.is_empty() && hub.take_waiting(8).is_empty());
    }

    #[test]
    fn a_watcher_of_a_batch_is_found_by_its_batch_alone() {
        let (mut hub, mut job) = (Hub::default(), queued("J", "alice"));
        job.batch = Some(BatchId::new("B"));
        let scope = |batch: &str| Scope {
            topic: Topic::Owner(job.owner.clone()),
            document: None,
            batch: Some(BatchId::new(batch)),
        };
        hub.join(scope("other"), Arc::new(WatchQueue::new(8, Duration::ZERO)), None);
        assert_eq!((hub.is_watched(&job), hub.kinds_of(&job)), (false, KeyKinds::default()));
        hub.join(scope("B"), Arc::new(WatchQueue::new(8, Duration::ZERO)), None);
        assert_eq!((hub.is_watched(&job), hub.kinds_of(&job)), (true, KeyKinds::OWNER_BATCH));
    }
}
