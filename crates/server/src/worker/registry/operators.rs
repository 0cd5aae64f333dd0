//! Listing, draining and resuming workers for operators, and the end of the server.

use courant_joblog::ids::WorkerId;
use courant_proto::v1::work_response::Message;
use courant_proto::v1::{DrainReason, Resume};

use super::{Registry, WorkerSummary, drain_message};

impl Registry {
    /// The server is stopping: nobody gets anything new, and all are drained.
    pub fn close(&self) {
        let mut inner = self.inner.lock();
        inner.closing = true;
        inner.workers.values().filter_map(|worker| worker.connection.as_ref()).for_each(|connection| {
            connection.send(drain_message(DrainReason::ServerStopping));
        });
    }

    /// Gives a worker of this server nothing new, or lets it take jobs again. `false` when there is no such worker here.
    pub fn set_drained(&self, worker: &WorkerId, drained: bool) -> bool {
        let changed = self.inner.lock().change(worker, |worker| {
            if worker.drained != drained {
                worker.drained = drained;
                if let Some(connection) = &worker.connection {
                    let resume = Message::Resume(Resume {});
                    connection.send(if drained { drain_message(DrainReason::Operator) } else { resume });
                }
            }
        });
        self.changed.notify_one();
        changed.is_some()
    }

    /// The same for who was asked by another server: nothing happens if a third one looks after the worker.
    pub fn drain_if_here(&self, worker: &WorkerId, drained: bool) {
        if !self.set_drained(worker, drained) {
            self.inner.lock().elsewhere.set_drained(worker, drained);
        }
    }

    /// All workers, those of other servers too, by id.
    pub fn list(&self) -> Vec<WorkerSummary> {
        let inner = self.inner.lock();
        let summaries = inner.workers.iter().map(|(id, worker)| WorkerSummary {
            worker: id.clone(),
            capabilities: worker.capabilities.clone(),
            connected: worker.connection.is_some(),
            drained: worker.drained,
            silence: worker.last_seen.elapsed(),
            server: self.name.get().cloned().unwrap_or_default(),
        });
        let mut workers: Vec<WorkerSummary> = summaries.chain(inner.elsewhere.summaries()).collect();
        workers.sort_by(|a, b| a.worker.cmp(&b.worker));
        workers
    }
}
