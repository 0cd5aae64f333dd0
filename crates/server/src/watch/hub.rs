//! Who watches what. Finds the mailboxes of a job in a few look-ups, however many watchers there are.

use std::collections::HashMap;
use std::sync::Arc;

use courant_joblog::ids::{BatchId, DocumentId, JobId, Owner};
use courant_joblog::job::Job;

use super::mailbox::{Durable, Mailbox, Transient};

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
    /// One job.
    Job(JobId),
    /// An owner's jobs.
    Owner(Owner),
    /// All jobs.
    All,
}

impl Scope {
    /// One job.
    pub fn job(id: JobId) -> Self {
        Self { topic: Topic::Job(id), document: None, batch: None }
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

/// All watchers.
#[derive(Debug, Default)]
pub struct Hub {
    watchers: HashMap<Topic, Vec<Watcher>>,
    next: u64,
}

#[derive(Debug)]
struct Watcher {
    id: u64,
    scope: Scope,
    mailbox: Arc<Mailbox>,
}

/// Names a watcher, for leaving.
#[derive(Clone, Debug)]
pub struct WatcherId(Topic, u64);

impl Hub {
    /// Joins.
    pub fn join(&mut self, scope: Scope, mailbox: Arc<Mailbox>) -> WatcherId {
        self.next += 1;
        let id = WatcherId(scope.topic.clone(), self.next);
        self.watchers.entry(scope.topic.clone()).or_default().push(Watcher { id: self.next, scope, mailbox });
        id
    }

    /// Leaves.
    pub fn leave(&mut self, id: &WatcherId) {
        if let Some(watchers) = self.watchers.get_mut(&id.0) {
            watchers.retain(|watcher| watcher.id != id.1);
            if watchers.is_empty() {
                self.watchers.remove(&id.0);
            }
        }
    }

    /// Whether anybody follows this job.
    pub fn is_watched(&self, job: &Job) -> bool {
        self.of(job).next().is_some()
    }

    /// Tells an entry of the log to all who follow its job.
    pub fn tell(&self, job: &Job, durable: &Durable) {
        self.of(job).for_each(|mailbox| mailbox.push(durable.clone()));
    }

    /// Tells news to all who follow its job.
    pub fn tell_news(&self, news: &Arc<Transient>) {
        self.of(&news.known.job).for_each(|mailbox| mailbox.push_news(news.clone()));
    }

    fn of<'a>(&'a self, job: &'a Job) -> impl Iterator<Item = &'a Arc<Mailbox>> {
        [Topic::Job(job.id.clone()), Topic::Owner(job.owner.clone()), Topic::All]
            .into_iter()
            .filter_map(|topic| self.watchers.get(&topic))
            .flatten()
            .filter(|watcher| watcher.scope.holds(job))
            .map(|watcher| &watcher.mailbox)
    }
}
