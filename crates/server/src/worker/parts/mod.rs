//! Parts: pages at the end of a large document that another worker does while the one that holds the job, its *lead*,
//! works from the front and merges.
//!
//! A part lives within one attempt and is no state of the job: its pages are reported and kept as pages of that attempt, so
//! watchers see one progress and a later attempt goes on with whatever is done. What is offered and who has it is in
//! memory only. After a restart of the server all parts are over, and leads offer again what is open.
//!
//! A part's id is given once. Whatever is written under it goes through its gate, and a part is handed back to its lead
//! only after the last one inside has left: from then on its pages are the lead's alone.
//!
//! Locks: the book's before the engine's, the engine's before the registry's.

mod book;
mod end;
mod give;
mod holder;
mod lead;
mod reports;

use book::Given;
pub(super) use end::{Why, end, end_soon, prune, sweep};
pub(super) use give::give_out;
pub use holder::Holder;
pub(super) use holder::holder_in;
use lead::tell_lead;
pub(super) use lead::{offer, remind_lead};
pub(super) use reports::take;

use std::collections::{HashMap, HashSet};

use courant_joblog::ids::WorkerId;
use courant_proto::v1::{AttemptRef, PageRange};
use parking_lot::Mutex;
use tokio::sync::OwnedRwLockReadGuard;
use tokio::time::Duration;

use book::Book;

use super::AttemptId;

/// The most ranges of one offer.
pub const MAX_RANGES: usize = 1024;
/// The longest id of a part in bytes.
pub const MAX_PART_ID: usize = 64;

/// Names a part for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartId(Box<str>);

impl PartId {
    fn random() -> Self {
        Self(format!("{:032x}", fastrand::u128(..)).into())
    }
}

/// Pages in a row, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first, from 1.
    pub first: u32,
    /// The last.
    pub last: u32,
}

impl Span {
    /// Whether this page is one of them.
    pub fn has(&self, page: u32) -> bool {
        (self.first..=self.last).contains(&page)
    }

    fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    pub(super) fn wire(self) -> PageRange {
        PageRange { first: self.first as i32, last: self.last as i32 }
    }
}

/// All parts of all documents.
#[derive(Debug, Default)]
pub struct Parts {
    book: Mutex<Book>,
    /// Workers that could not be told that a part is over.
    untold: Mutex<Vec<(WorkerId, AttemptRef)>>,
}

impl Parts {
    /// How many parts each worker does.
    pub fn counts(&self) -> HashMap<WorkerId, u32> {
        let mut counts = HashMap::new();
        for (_, part) in self.book.lock().parts() {
            *counts.entry(part.worker.clone()).or_default() += 1;
        }
        counts
    }

    /// Gives a worker a part, if one of these kinds is to be had.
    pub(super) fn give(&self, worker: &WorkerId, kinds: &[Box<str>]) -> Option<Given> {
        self.book.lock().give(worker, kinds)
    }

    /// The pages of a part that this worker does; `None` if it does not, or no longer.
    pub(super) fn pages(&self, holder: &Holder, worker: &WorkerId) -> Option<Span> {
        let book = self.book.lock();
        let part = book.part(&holder.attempt, holder.part.as_ref()?)?;
        (part.worker == *worker).then_some(part.pages)
    }

    /// The worker that does a part.
    fn worker(&self, attempt: &AttemptId, part: &PartId) -> Option<WorkerId> {
        self.book.lock().part(attempt, part).map(|part| part.worker.clone())
    }

    /// Enters a part to write for it: while the guard lives the part is not handed back.
    pub(super) fn enter(&self, holder: &Holder) -> Option<(Span, OwnedRwLockReadGuard<()>)> {
        let book = self.book.lock();
        let part = book.part(&holder.attempt, holder.part.as_ref()?)?;
        Some((part.pages, part.gate.clone().try_read_owned().ok()?))
    }

    /// The parts of a worker.
    pub(super) fn held_by(&self, worker: &WorkerId) -> Vec<Holder> {
        let book = self.book.lock();
        let mine = book.parts().filter(|(_, part)| part.worker == *worker);
        mine.map(|(attempt, part)| Holder::of_part(attempt, &part.id)).collect()
    }

    /// The parts of a worker beyond so many, those given last first.
    pub(super) fn beyond(&self, worker: &WorkerId, most: u32) -> Vec<Holder> {
        let beyond = self.book.lock().beyond(worker, most);
        beyond.into_iter().map(|(attempt, part)| Holder::of_part(&attempt, &part)).collect()
    }

    /// The worker has shown that it knows of a part.
    pub(super) fn accept(&self, holder: &Holder) {
        if let Some(part) = &holder.part {
            self.book.lock().accept(&holder.attempt, part);
        }
    }

    /// The worker failed on a part: it gets no more of this document.
    fn bar(&self, holder: &Holder, worker: &WorkerId) {
        self.book.lock().bar(&holder.attempt, worker);
    }

    pub(super) fn is_accepted(&self, holder: &Holder) -> bool {
        holder.part.as_ref().is_some_and(|part| self.book.lock().is_accepted(&holder.attempt, part))
    }

    fn workers(&self) -> HashSet<WorkerId> {
        self.book.lock().workers()
    }

    fn late(&self, within: Duration) -> Vec<(WorkerId, Holder)> {
        let book = self.book.lock();
        let late = book.late(within).into_iter();
        late.filter_map(|(attempt, part)| {
            let worker = book.part(&attempt, &part)?.worker.clone();
            Some((worker, Holder::of_part(&attempt, &part)))
        })
        .collect()
    }
}
