//! Who watches what. Finds the queues of a job in a few look-ups, however many watchers there are.

pub mod watch_queue;

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use courant_joblog::ids::{BatchId, DocumentId, JobId, Owner};
use courant_joblog::job::Job;
use courant_joblog::log::Key;

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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScopeKey {
    /// Watches of one job.
    Job(JobId),
    /// Watches of one document of an owner.
    Document(Owner, DocumentId),
    /// Watches of an owner's jobs, maybe of one batch.
    Owner(Owner),
    /// Watches over the jobs of all owners.
    All,
}

impl ScopeKey {
    fn of(scope: &Scope) -> Self {
        match (&scope.topic, &scope.document) {
            (Topic::Job(id), _) => Self::Job(id.clone()),
            (Topic::Owner(owner), Some(document)) => Self::Document(owner.clone(), document.clone()),
            (Topic::Owner(owner), None) => Self::Owner(owner.clone()),
            (Topic::All, _) => Self::All,
        }
    }
}

#[derive(Debug, Default)]
pub struct Hub {
    watchers: BTreeMap<ScopeKey, Vec<Watcher>>,
    next: u64,
}

#[derive(Debug)]
struct Watcher {
    id: u64,
    scope: Scope,
    queue: Arc<WatchQueue>,
}

/// Names a watcher, for leaving.
#[derive(Clone, Debug)]
pub struct WatcherId(ScopeKey, u64);

impl Hub {
    /// How many watchers there are.
    pub fn len(&self) -> usize {
        self.watchers.values().map(Vec::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    pub fn join(&mut self, scope: Scope, queue: Arc<WatchQueue>) -> WatcherId {
        self.next += 1;
        let key = ScopeKey::of(&scope);
        let watcher = Watcher { id: self.next, scope, queue };
        self.watchers.entry(key.clone()).or_default().push(watcher);
        WatcherId(key, self.next)
    }

    pub fn leave(&mut self, id: &WatcherId) {
        if let Some(watchers) = self.watchers.get_mut(&id.0) {
            watchers.retain(|watcher| watcher.id != id.1);
            if watchers.is_empty() {
                self.watchers.remove(&id.0);
            }
        }
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

    /// The next `count` keys that have watchers, after `after`.
    pub fn scope_keys(&self, after: Option<&ScopeKey>, count: usize) -> Vec<ScopeKey> {
        let rest = self.watchers.range::<ScopeKey, _>((after.map_or(Unbounded, Excluded), Unbounded));
        rest.map(|(key, _)| key.clone()).take(count).collect()
    }

    /// Whether any watcher under this key follows the job.
    pub fn is_watched_at(&self, key: &ScopeKey, job: &Job) -> bool {
        self.watchers.get(key).is_some_and(|watchers| watchers.iter().any(|watcher| watcher.scope.holds(job)))
    }

    /// Sends the position of a waiting job to its watchers under one key: to all when it has changed, else to those who were
    /// not sent it before.
    pub fn notify_position(&self, key: &ScopeKey, update: &Arc<TransientUpdate>, changed: bool) {
        let watchers = self.watchers.get(key).into_iter().flatten();
        let here = watchers.filter(|watcher| watcher.scope.holds(&update.current.job));
        here.filter(|watcher| changed || !watcher.queue.has_positions())
            .for_each(|watcher| watcher.queue.push_transient(update.clone()));
    }

    /// All positions were sent to the watchers under this key.
    pub fn positions_sent(&self, key: &ScopeKey) {
        self.watchers.get(key).into_iter().flatten().for_each(|watcher| watcher.queue.positions_sent());
    }

    fn of<'a>(&'a self, job: &'a Job) -> impl Iterator<Item = &'a Arc<WatchQueue>> {
        self.watchers_of(job).map(|watcher| &watcher.queue)
    }

    fn watchers_of<'a>(&'a self, job: &'a Job) -> impl Iterator<Item = &'a Watcher> {
        let (owner, document) = (job.owner.clone(), job.document.id.clone());
        [
            ScopeKey::Job(job.id.clone()),
            ScopeKey::Document(owner.clone(), document),
            ScopeKey::Owner(owner),
            ScopeKey::All,
        ]
        .into_iter()
        .filter_map(|key| self.watchers.get(&key))
        .flatten()
        .filter(|watcher| watcher.scope.holds(job))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::queued;

    fn watched(scope: Scope, job: &Job) -> bool {
        let (mut hub, queue) = (Hub::default(), Arc::new(WatchQueue::new(8, Duration::ZERO)));
        let id = hub.join(scope, queue);
        let found = hub.is_watched(job);
        hub.leave(&id);
        assert!(hub.watchers.is_empty(), "who leaves leaves nothing behind");
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
}
