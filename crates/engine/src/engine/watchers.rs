//! Joining and leaving of watchers: up to which revision they were served, and from which their queue goes on.

use std::sync::Arc;

use courant_joblog::ids::Revision;
use courant_joblog::job::Job;
use courant_joblog::log::partition;

use super::core::Engine;
use super::state::State;
use crate::hub::watch_queue::WatchQueue;
use crate::hub::{Scope, Topic, WatcherId};

impl Engine {
    /// Joins the watchers; from the returned revision on everything comes into the queue.
    pub fn join(&self, scope: Scope, queue: &Arc<WatchQueue>) -> (WatcherId, Revision) {
        let partition = self.is_shared().then(|| self.partition(&scope.topic)).flatten();
        let mut state = self.state.lock();
        let id = state.hub.join(scope, queue.clone(), partition);
        self.note_interest(&state);
        (id, state.view.revision())
    }

    pub fn leave(&self, id: &WatcherId) {
        let mut state = self.state.lock();
        state.hub.leave(id);
        self.note_interest(&state);
    }

    /// The partition of all jobs of a topic, if it is one.
    fn partition(&self, topic: &Topic) -> Option<u8> {
        match topic {
            Topic::Job(id) => self.current(id).map(|current| partition(&current.job.owner)),
            Topic::Owner(owner) => Some(partition(owner)),
            Topic::All => None,
        }
    }

    fn note_interest(&self, state: &State) {
        if self.is_shared() {
            let watched = state.hub.watched_partitions();
            self.watched.send_if_modified(|known| std::mem::replace(known, watched) != watched);
        }
    }

    /// Empties a watcher's queue; from the returned revision on everything comes into it again.
    pub fn rejoin(&self, id: &WatcherId, queue: &WatchQueue) -> Revision {
        let mut state = self.state.lock();
        queue.clear();
        state.hub.lost_positions(id);
        state.view.revision()
    }

    /// The revision up to which nothing is missing from a watcher whose queue is empty; `None` when it is not empty.
    pub fn revision_if_idle(&self, queue: &WatchQueue) -> Option<Revision> {
        let state = self.state.lock();
        queue.is_empty().then(|| state.view.revision())
    }

    /// Whether anybody follows this job in particular, or its owner's jobs.
    pub fn is_followed(&self, job: &Job) -> bool {
        self.state.lock().hub.is_followed(job)
    }

    /// How many watches are open.
    pub fn watchers(&self) -> usize {
        self.state.lock().hub.len()
    }
}
