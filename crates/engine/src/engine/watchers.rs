//! Joining and leaving of watchers: up to which revision they were served, and from which their queue goes on.

use std::sync::Arc;

use courant_joblog::ids::Revision;
use courant_joblog::job::Job;

use super::core::Engine;
use crate::hub::watch_queue::WatchQueue;
use crate::hub::{Scope, WatcherId};

impl Engine {
    /// Joins the watchers; from the returned revision on everything comes into the queue.
    pub fn join(&self, scope: Scope, queue: &Arc<WatchQueue>) -> (WatcherId, Revision) {
        let mut state = self.state.lock();
        let id = state.hub.join(scope, queue.clone());
        (id, state.view.revision())
    }

    pub fn leave(&self, id: &WatcherId) {
        self.state.lock().hub.leave(id);
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
