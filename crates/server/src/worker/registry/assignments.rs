//! Who was given what, and whether they know.

use std::collections::HashSet;

use courant_engine::attempt::AttemptId;
use courant_joblog::ids::WorkerId;
use courant_proto::v1::work_response::Message;
use tokio::time::{Duration, Instant};

use super::Registry;

/// Workers that are looked at for a job that is being made.
const LOOKED_AT: usize = 16;

impl Registry {
    /// Keeps a slot of a worker for an attempt whose claim is about to be written, given how many jobs it holds. `false` if it
    /// has none left by now.
    pub fn begin_claim(&self, worker: &WorkerId, attempt: &AttemptId, held: u32) -> bool {
        let mut inner = self.inner.lock();
        let Some(worker) = inner.workers.get_mut(worker).filter(|worker| worker.free_slots(held) > 0) else {
            return false;
        };
        worker.claiming.insert(attempt.clone());
        true
    }

    /// Keeps a slot of the worker of this kind that has most, given how many jobs each holds. Gives the worker, and how many
    /// slots it had. `None` when none is free, or so many may be that looking at all is left to the dispatcher.
    pub fn claim_any(
        &self,
        kind: &str,
        attempt: &AttemptId,
        held: impl Fn(&WorkerId) -> u32,
    ) -> Option<(WorkerId, u32)> {
        let inner = &mut *self.inner.lock();
        let takers = inner.by_kind.get(kind).filter(|takers| takers.open.len() <= LOOKED_AT && !inner.closing)?;
        let conditions = inner.conditions(self.lease);
        let able = takers.open.iter().filter_map(|id| Some((id, inner.workers.get(id)?)));
        let able = able.filter(|(_, worker)| worker.can_be_given_jobs(conditions));
        let free = able.map(|(id, worker)| (worker.free_slots(held(id)), id));
        let (slots, id) = free.max().filter(|(slots, _)| *slots > 0)?;
        let id = id.clone();
        inner.workers.get_mut(&id)?.claiming.insert(attempt.clone());
        Some((id, slots))
    }

    /// The claim is written, or came to nothing.
    pub fn end_claim(&self, worker: &WorkerId, attempt: &AttemptId) {
        self.inner.lock().change(worker, |worker| worker.claiming.remove(attempt));
    }

    /// Whether a claim of this attempt is being written for the worker.
    pub fn is_claiming(&self, worker: &WorkerId, attempt: &AttemptId) -> bool {
        self.inner.lock().workers.get(worker).is_some_and(|worker| worker.claiming.contains(attempt))
    }

    /// Sends an assignment, which must be answered. `false` when the worker cannot be reached: then it is for the caller to
    /// end the attempt, and to say that it is [`answered`](Registry::answered).
    pub fn assign(&self, worker: &WorkerId, attempt: AttemptId, message: Message) -> bool {
        let mut inner = self.inner.lock();
        let Some(worker) = inner.workers.get_mut(worker) else { return false };
        worker.unanswered.insert(attempt, Instant::now());
        worker.connection.as_ref().is_some_and(|connection| connection.send(message))
    }

    /// Whether the worker was given this attempt and has not answered yet.
    pub fn is_unanswered(&self, worker: &WorkerId, attempt: &AttemptId) -> bool {
        self.inner.lock().workers.get(worker).is_some_and(|worker| worker.unanswered.contains_key(attempt))
    }

    /// How long the worker has been given this attempt without an answer; `None` if it has answered.
    pub fn unanswered_for(&self, worker: &WorkerId, attempt: &AttemptId) -> Option<Duration> {
        let inner = self.inner.lock();
        Some(inner.workers.get(worker)?.unanswered.get(attempt)?.elapsed())
    }

    /// The worker answered for an attempt. `true` if that was awaited.
    pub fn answered(&self, worker: &WorkerId, attempt: &AttemptId) -> bool {
        let mut inner = self.inner.lock();
        inner.workers.get_mut(worker).is_some_and(|worker| worker.unanswered.remove(attempt).is_some())
    }

    /// The worker has shown that it works on an attempt that it holds.
    pub fn confirm(&self, worker: &WorkerId, attempt: &AttemptId) {
        if let Some(worker) = self.inner.lock().workers.get_mut(worker) {
            worker.unanswered.remove(attempt);
            worker.confirmed.add(attempt);
        }
    }

    /// Compares what a worker holds with what it has shown to know of. What it holds and does not know of, because the
    /// claim was written but its assignment never sent, is awaited like any assignment, so that no job is held by
    /// somebody who does not know.
    pub fn expect(&self, worker: &WorkerId, held: &HashSet<AttemptId>) {
        let mut inner = self.inner.lock();
        let Some(worker) = inner.workers.get_mut(worker) else { return };
        // What was confirmed a moment ago may have begun after `held` was read.
        worker.confirmed.forget(held);
        if !worker.connection.as_ref().is_some_and(|connection| connection.welcomed) {
            return;
        }
        for attempt in held {
            if !worker.confirmed.contains(attempt) && !worker.claiming.contains(attempt) {
                worker.unanswered.entry(attempt.clone()).or_insert_with(Instant::now);
            }
        }
    }

    /// The assignments that were not answered in time; each stays one until [`Registry::answered`]. Their workers get
    /// nothing more until they send something.
    pub fn overdue(&self, within: Duration) -> Vec<(WorkerId, AttemptId)> {
        let mut late = Vec::new();
        for (id, worker) in &mut self.inner.lock().workers {
            let over = worker.unanswered.iter().filter(|(_, since)| since.elapsed() > within);
            let over: Vec<_> = over.map(|(attempt, _)| (id.clone(), attempt.clone())).collect();
            worker.unresponsive |= !over.is_empty();
            late.extend(over);
        }
        late
    }
}
