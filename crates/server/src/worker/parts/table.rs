//! Who does which part.

use std::collections::{HashMap, HashSet};

use courant_engine::attempt::AttemptId;
use courant_engine::parts::{AssignedPart, PageSpan, PartId, PartLedger};
use courant_joblog::ids::WorkerId;
use courant_proto::v1::AttemptRef;
use parking_lot::Mutex;
use tokio::sync::OwnedRwLockReadGuard;
use tokio::time::Duration;

use super::holder::Holder;

/// All parts of all documents.
#[derive(Debug, Default)]
pub struct PartRegistry {
    pub(crate) ledger: Mutex<PartLedger>,
    /// Messages that a part is over which could not be sent.
    pub(crate) unsent: Mutex<Vec<(WorkerId, AttemptRef)>>,
}

impl PartRegistry {
    /// How many parts each of these workers does; those that do none are left out.
    pub fn counts<'a>(&self, of: impl IntoIterator<Item = &'a WorkerId>) -> HashMap<WorkerId, u32> {
        let ledger = self.ledger.lock();
        let counts = of.into_iter().map(|worker| (worker, ledger.held_count(worker)));
        counts.filter(|(_, count)| *count > 0).map(|(worker, count)| (worker.clone(), count)).collect()
    }

    /// How many parts each worker does that does any.
    pub fn all_counts(&self) -> HashMap<WorkerId, u32> {
        let ledger = self.ledger.lock();
        ledger.workers().into_iter().map(|worker| (worker.clone(), ledger.held_count(&worker))).collect()
    }

    /// Assigns a worker a part, if one of these kinds is open.
    pub(crate) fn assign(&self, worker: &WorkerId, kinds: &[Box<str>]) -> Option<AssignedPart> {
        self.ledger.lock().assign(worker, kinds)
    }

    /// The pages of a part that this worker does; `None` if it does not, or no longer.
    pub(crate) fn pages(&self, holder: &Holder, worker: &WorkerId) -> Option<PageSpan> {
        let ledger = self.ledger.lock();
        let part = ledger.part(&holder.attempt, holder.part.as_ref()?)?;
        (part.worker == *worker).then_some(part.pages)
    }

    /// The worker that does a part.
    pub(crate) fn worker(&self, attempt: &AttemptId, part: &PartId) -> Option<WorkerId> {
        self.ledger.lock().part(attempt, part).map(|part| part.worker.clone())
    }

    /// Enters a part to write for it: while the guard lives the part is not handed back.
    pub(crate) fn enter(&self, holder: &Holder) -> Option<(PageSpan, OwnedRwLockReadGuard<()>)> {
        let ledger = self.ledger.lock();
        let part = ledger.part(&holder.attempt, holder.part.as_ref()?)?;
        Some((part.pages, part.gate.clone().try_read_owned().ok()?))
    }

    /// The parts of a worker.
    pub(crate) fn held_by(&self, worker: &WorkerId) -> Vec<Holder> {
        let ledger = self.ledger.lock();
        ledger.held_by(worker).map(|(attempt, part)| Holder::of_part(attempt, &part.id)).collect()
    }

    /// The parts of a worker over `most`, those assigned last first.
    pub(crate) fn over_limit(&self, worker: &WorkerId, most: u32) -> Vec<Holder> {
        let over_limit = self.ledger.lock().over_limit(worker, most);
        over_limit.into_iter().map(|(attempt, part)| Holder::of_part(&attempt, &part)).collect()
    }

    /// The worker has shown that it knows of a part.
    pub(crate) fn accept(&self, holder: &Holder) {
        if let Some(part) = &holder.part {
            self.ledger.lock().accept(&holder.attempt, part);
        }
    }

    /// The worker failed on a part: it gets no more of this document.
    pub(crate) fn exclude(&self, holder: &Holder, worker: &WorkerId) {
        self.ledger.lock().exclude(&holder.attempt, worker);
    }

    pub(crate) fn is_accepted(&self, holder: &Holder) -> bool {
        holder.part.as_ref().is_some_and(|part| self.ledger.lock().is_accepted(&holder.attempt, part))
    }

    pub(crate) fn workers(&self) -> HashSet<WorkerId> {
        self.ledger.lock().workers()
    }

    pub(crate) fn overdue(&self, within: Duration) -> Vec<(WorkerId, Holder)> {
        let ledger = self.ledger.lock();
        let late = ledger.overdue(within).into_iter();
        late.filter_map(|(attempt, part)| {
            let worker = ledger.part(&attempt, &part)?.worker.clone();
            Some((worker, Holder::of_part(&attempt, &part)))
        })
        .collect()
    }
}
