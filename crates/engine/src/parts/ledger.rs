//! Which pages are offered and who has them. Plain bookkeeping: it sends nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use courant_joblog::ids::WorkerId;
use tokio::sync::RwLock;
use tokio::time::{Duration, Instant};

use super::span::{PageSpan, PartId};
use crate::attempt::AttemptId;

/// All documents of which parts are offered or assigned, by the attempt that offers them.
#[derive(Debug, Default)]
pub struct PartLedger {
    splits: HashMap<AttemptId, Split>,
    /// The parts of each worker that are not over. Nobody has none.
    held: HashMap<WorkerId, HashSet<(AttemptId, PartId)>>,
}

/// A document that is done in parts.
#[derive(Debug)]
pub struct Split {
    /// The worker that holds the job.
    pub lead: WorkerId,
    /// The kind of job.
    pub kind: Box<str>,
    /// Of the newest offer.
    pub revision: i64,
    /// Offered and not assigned, in order.
    open: Vec<PageSpan>,
    parts: Vec<Part>,
    /// Workers that failed on a part: they would fail on the next.
    excluded: HashSet<WorkerId>,
    /// The lead does not know the newest state.
    pub lead_is_stale: bool,
}

/// Pages that another worker does.
#[derive(Clone, Debug)]
pub struct Part {
    pub id: PartId,
    pub pages: PageSpan,
    pub worker: WorkerId,
    assigned_at: Instant,
    accepted: bool,
    /// Nothing more is accepted. It stays here until what was begun before has ended.
    over: bool,
    /// Held for reading by whoever writes for the part.
    pub gate: Arc<RwLock<()>>,
}

/// A part that was just assigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignedPart {
    pub attempt: AttemptId,
    pub part: PartId,
    pub pages: PageSpan,
}

impl PartLedger {
    pub fn is_empty(&self) -> bool {
        self.splits.is_empty()
    }

    /// The kinds of work that pages are open of.
    pub fn open_kinds(&self) -> Vec<Box<str>> {
        let open = self.splits.values().filter(|split| !split.open.is_empty());
        let kinds: HashSet<&Box<str>> = open.map(|split| &split.kind).collect();
        kinds.into_iter().cloned().collect()
    }

    pub fn attempts(&self) -> Vec<AttemptId> {
        self.splits.keys().cloned().collect()
    }

    pub fn split(&self, attempt: &AttemptId) -> Option<&Split> {
        self.splits.get(attempt)
    }

    pub fn split_mut(&mut self, attempt: &AttemptId) -> Option<&mut Split> {
        self.splits.get_mut(attempt)
    }

    /// The offers of an attempt. One that is not newer than the last changes nothing: it was sent again.
    pub fn offer(&mut self, attempt: &AttemptId, lead: &WorkerId, kind: &str, revision: i64, mut pages: Vec<PageSpan>) {
        let new = || Split {
            lead: lead.clone(),
            kind: kind.into(),
            revision: 0,
            open: Vec::new(),
            parts: Vec::new(),
            excluded: HashSet::new(),
            lead_is_stale: false,
        };
        let split = self.splits.entry(attempt.clone()).or_insert_with(new);
        if revision <= split.revision {
            return;
        }
        pages.retain(|pages| !split.parts.iter().any(|part| part.pages.overlaps(pages)));
        pages.sort_unstable_by_key(|pages| pages.first);
        (split.revision, split.open) = (revision, pages);
    }

    /// Assigns this worker the last open pages of the document of these kinds that has the fewest helpers.
    pub fn assign(&mut self, worker: &WorkerId, kinds: &[Box<str>]) -> Option<AssignedPart> {
        let fits = |split: &Split| !split.open.is_empty() && split.may_assign(worker, kinds);
        let able = self.splits.iter_mut().filter(|(_, split)| fits(split));
        let (attempt, split) =
            able.min_by(|(a, x), (b, y)| (x.helpers(), &a.job, a.number).cmp(&(y.helpers(), &b.job, b.number)))?;
        let pages = split.open.pop()?;
        let part = PartId::random();
        split.parts.push(Part {
            id: part.clone(),
            pages,
            worker: worker.clone(),
            assigned_at: Instant::now(),
            accepted: false,
            over: false,
            gate: Arc::default(),
        });
        let assigned = AssignedPart { attempt: attempt.clone(), part, pages };
        self.held.entry(worker.clone()).or_default().insert((assigned.attempt.clone(), assigned.part.clone()));
        Some(assigned)
    }

    /// Assigns this worker nothing more of this document.
    pub fn exclude(&mut self, attempt: &AttemptId, worker: &WorkerId) {
        if let Some(split) = self.splits.get_mut(attempt) {
            split.excluded.insert(worker.clone());
        }
    }

    /// A part that is not over.
    pub fn part(&self, attempt: &AttemptId, part: &PartId) -> Option<&Part> {
        self.splits.get(attempt)?.parts.iter().find(|known| known.id == *part && !known.over)
    }

    /// The worker knows of its part.
    pub fn accept(&mut self, attempt: &AttemptId, part: &PartId) {
        let parts = self.splits.get_mut(attempt).into_iter().flat_map(|split| &mut split.parts);
        parts.filter(|known| known.id == *part).for_each(|known| known.accepted = true);
    }

    pub fn is_accepted(&self, attempt: &AttemptId, part: &PartId) -> bool {
        self.part(attempt, part).is_some_and(|part| part.accepted)
    }

    /// From here on nothing is accepted for this part. `None` if that was so already.
    pub fn begin_close(&mut self, attempt: &AttemptId, part: &PartId) -> Option<Part> {
        let parts = &mut self.splits.get_mut(attempt)?.parts;
        let part = parts.iter_mut().find(|known| known.id == *part && !known.over)?;
        part.over = true;
        let part = part.clone();
        self.release(attempt, &part);
        Some(part)
    }

    /// Parts of which nothing more is accepted and nothing goes on: they can be closed.
    pub fn unclosed(&self) -> Vec<(AttemptId, PartId)> {
        let over = |part: &&Part| part.over && part.gate.try_write().is_ok();
        let parts = self.splits.iter().flat_map(|(attempt, split)| split.parts.iter().map(move |part| (attempt, part)));
        parts.filter(|(_, part)| over(part)).map(|(attempt, part)| (attempt.clone(), part.id.clone())).collect()
    }

    /// What was begun for a part has ended: it is no more.
    pub fn close(&mut self, attempt: &AttemptId, part: &PartId) {
        if let Some(split) = self.splits.get_mut(attempt) {
            split.parts.retain(|known| known.id != *part);
        }
    }

    /// The attempt is over, and all parts with it.
    pub fn remove_split(&mut self, attempt: &AttemptId) -> Vec<Part> {
        let parts = self.splits.remove(attempt).map(|split| split.parts).unwrap_or_default();
        let parts: Vec<Part> = parts.into_iter().filter(|part| !part.over).collect();
        parts.iter().for_each(|part| self.release(attempt, part));
        parts
    }

    /// The worker has a part no more.
    fn release(&mut self, attempt: &AttemptId, part: &Part) {
        let Some(held) = self.held.get_mut(&part.worker) else { return };
        held.remove(&(attempt.clone(), part.id.clone()));
        if held.is_empty() {
            self.held.remove(&part.worker);
        }
    }

    /// How many parts a worker does.
    pub fn held_count(&self, worker: &WorkerId) -> u32 {
        self.held.get(worker).map_or(0, |held| u32::try_from(held.len()).unwrap_or(u32::MAX))
    }

    /// The parts that a worker does, in no order.
    pub fn held_by(&self, worker: &WorkerId) -> impl Iterator<Item = (&AttemptId, &Part)> {
        let held = self.held.get(worker).into_iter().flatten();
        held.filter_map(|(attempt, part)| Some((attempt, self.part(attempt, part)?)))
    }

    /// The parts that workers do.
    pub fn parts(&self) -> impl Iterator<Item = (&AttemptId, &Part)> {
        let all = self.splits.iter().flat_map(|(attempt, split)| split.parts.iter().map(move |part| (attempt, part)));
        all.filter(|(_, part)| !part.over)
    }

    /// The parts of a worker over `most`, those assigned last first.
    pub fn over_limit(&self, worker: &WorkerId, most: u32) -> Vec<(AttemptId, PartId)> {
        let mut held: Vec<_> = self.held_by(worker).collect();
        held.sort_by_key(|(_, part)| part.assigned_at);
        let over_limit = held.into_iter().skip(most as usize).rev();
        over_limit.map(|(attempt, part)| (attempt.clone(), part.id.clone())).collect()
    }

    /// Parts that were not accepted in time.
    pub fn overdue(&self, within: Duration) -> Vec<(AttemptId, PartId)> {
        let late = self.parts().filter(|(_, part)| !part.accepted && part.assigned_at.elapsed() > within);
        late.map(|(attempt, part)| (attempt.clone(), part.id.clone())).collect()
    }

    pub fn workers(&self) -> HashSet<WorkerId> {
        self.held.keys().cloned().collect()
    }
}

impl Split {
    fn may_assign(&self, worker: &WorkerId, kinds: &[Box<str>]) -> bool {
        self.lead != *worker && !self.excluded.contains(worker) && kinds.contains(&self.kind)
    }

    fn helpers(&self) -> usize {
        self.parts.len()
    }

    /// The pages that others do, those included whose part is over but not closed.
    pub fn held(&self) -> impl Iterator<Item = PageSpan> {
        self.parts.iter().map(|part| part.pages)
    }
}

#[cfg(test)]
mod tests {
    use courant_joblog::ids::JobId;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        /// Offers some of ten ranges, newer or again.
        Offer {
            attempt: u32,
            newer: i64,
            which: Vec<bool>,
        },
        Assign {
            worker: u8,
        },
        BeginClose {
            which: usize,
        },
        Close {
            which: usize,
        },
        RemoveSplit {
            attempt: u32,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (1u32..3, 0i64..2, vec(any::<bool>(), 10))
                .prop_map(|(attempt, newer, which)| Step::Offer { attempt, newer, which }),
            6 => (0u8..4).prop_map(|worker| Step::Assign { worker }),
            3 => any::<usize>().prop_map(|which| Step::BeginClose { which }),
            3 => any::<usize>().prop_map(|which| Step::Close { which }),
            1 => (1u32..3).prop_map(|attempt| Step::RemoveSplit { attempt }),
        ]
    }

    fn at(number: u32) -> AttemptId {
        AttemptId { job: JobId::new(format!("J{number}")), number }
    }

    fn worker(number: u8) -> WorkerId {
        WorkerId::new(format!("w{number}"))
    }

    fn tens(which: &[bool]) -> Vec<PageSpan> {
        let wanted = which.iter().zip(0..).filter(|(wanted, _)| **wanted);
        wanted.map(|(_, n)| PageSpan { first: n * 10 + 1, last: n * 10 + 10 }).collect()
    }

    #[derive(Default)]
    struct Model {
        ledger: PartLedger,
        assigned: Vec<AssignedPart>,
        offered: HashMap<AttemptId, (i64, Vec<PageSpan>)>,
    }

    impl Model {
        fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
            match step {
                Step::Offer { attempt, newer, which } => {
                    let (attempt, which) = (at(attempt), tens(&which));
                    let last = self.offered.get(&attempt).map_or(0, |(revision, _)| *revision);
                    let revision = last + newer;
                    self.ledger.offer(&attempt, &worker(attempt.number as u8), "pdf", revision, which.clone());
                    if revision > last {
                        self.offered.insert(attempt, (revision, which));
                    }
                }
                Step::Assign { worker: number } => {
                    let Some(assigned) = self.ledger.assign(&worker(number), &["pdf".into()]) else { return Ok(()) };
                    prop_assert!(at(u32::from(number)) != assigned.attempt, "to the lead itself");
                    let offered = &self.offered[&assigned.attempt].1;
                    prop_assert!(offered.contains(&assigned.pages), "{assigned:?} was not offered: {offered:?}");
                    prop_assert!(self.assigned.iter().all(|before| before.part != assigned.part));
                    self.assigned.push(assigned);
                }
                Step::BeginClose { which } => {
                    if let Some(assigned) = which.checked_rem(self.assigned.len()).map(|n| self.assigned[n].clone()) {
                        let first = self.ledger.begin_close(&assigned.attempt, &assigned.part);
                        prop_assert!(self.ledger.part(&assigned.attempt, &assigned.part).is_none());
                        prop_assert!(
                            self.ledger.begin_close(&assigned.attempt, &assigned.part).is_none(),
                            "{first:?} ended twice"
                        );
                    }
                }
                Step::Close { which } => {
                    if let Some(assigned) = which.checked_rem(self.assigned.len()).map(|n| self.assigned[n].clone()) {
                        self.ledger.begin_close(&assigned.attempt, &assigned.part);
                        self.ledger.close(&assigned.attempt, &assigned.part);
                    }
                }
                Step::RemoveSplit { attempt } => {
                    self.ledger.remove_split(&at(attempt));
                    prop_assert!(self.ledger.parts().all(|(of, _)| *of != at(attempt)));
                    self.offered.remove(&at(attempt));
                }
            }
            Ok(())
        }

        /// No page is assigned twice, and none that is assigned is still open.
        fn check(&self) -> Result<(), TestCaseError> {
            for split in self.ledger.splits.values() {
                let mut all: Vec<PageSpan> = split.held().chain(split.open.iter().copied()).collect();
                all.sort_by_key(|pages| pages.first);
                prop_assert!(all.windows(2).all(|pair| !pair[0].overlaps(&pair[1])), "{split:?}");
            }
            for number in 0..4 {
                let mine = self.ledger.parts().filter(|(_, part)| part.worker == worker(number));
                let mut mine: Vec<PartId> = mine.map(|(_, part)| part.id.clone()).collect();
                let mut held: Vec<PartId> =
                    self.ledger.held_by(&worker(number)).map(|(_, part)| part.id.clone()).collect();
                mine.sort_by(|a, b| a.as_str().cmp(b.as_str()));
                held.sort_by(|a, b| a.as_str().cmp(b.as_str()));
                prop_assert_eq!(self.ledger.held_count(&worker(number)) as usize, mine.len());
                prop_assert_eq!(held, mine);
            }
            prop_assert_eq!(self.ledger.workers().len(), self.ledger.held.len());
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn no_page_is_given_twice_or_without_being_offered(steps in vec(step(), 0..60)) {
            let mut model = Model::default();
            for step in steps {
                model.step(step)?;
                model.check()?;
            }
        }
    }

    #[test]
    fn the_last_pages_go_first_and_helpers_spread() {
        let mut ledger = PartLedger::default();
        ledger.offer(&at(1), &worker(1), "pdf", 1, tens(&[true; 3]));
        ledger.offer(&at(2), &worker(2), "pdf", 1, tens(&[true; 3]));
        let kinds = ["pdf".into()];
        let assigned: Vec<_> = (0..4).map(|_| ledger.assign(&worker(9), &kinds).unwrap()).collect();
        let seen: Vec<_> = assigned.iter().map(|assigned| (assigned.attempt.number, assigned.pages.first)).collect();
        assert_eq!(seen, [(1, 21), (2, 21), (1, 11), (2, 11)]);
        assert!(ledger.assign(&worker(9), &["scan".into()]).is_none());
        assert_eq!(ledger.over_limit(&worker(9), 3).len(), 1);
    }
}
