//! Having other workers do pages of a large document.
//!
//! The worker that holds the job offers ranges of pages and works on the others. Every range that was offered comes back
//! exactly once, with what was done of it: because it was taken back before anybody had it, because it is done, or because
//! whoever had it handed it back or died. From then on its pages are this worker's again.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;

use courant_proto::v1::{FinishedPages, OfferPages, PageRange, PartsChanged};
use tokio::sync::watch;

use crate::attempt::Attempt;
use crate::task::{CallError, FinishedPage, each_page};

/// The most ranges that a server takes in one offer. Others follow as these are taken.
const MAX_RANGES: usize = 1024;

/// Has other workers do pages of a document: offers ranges of pages and follows what becomes of them. Made by
/// [`Task::split`](crate::Task::split), once per attempt: servers take no offer of a second one.
///
/// When it is dropped, its last offer stays until the attempt ends, also over new streams. Other workers may then take these
/// ranges, even ones that were done already, and nothing is heard of them: take everything back first.
pub struct Split {
    attempt: Arc<Attempt>,
    parts: watch::Receiver<PartsChanged>,
    ledger: Ledger,
}

/// What became of offered pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitEvent {
    /// Another worker does them now.
    Taken(RangeInclusive<u32>),
    /// They are this worker's again.
    Returned {
        /// The range as it was offered.
        pages: RangeInclusive<u32>,
        /// Those of them that are done: do not do them again, read their artifacts.
        finished: Vec<FinishedPage>,
    },
}

impl Split {
    pub(crate) fn new(attempt: Arc<Attempt>) -> Self {
        let parts = attempt.parts();
        Self { attempt, parts, ledger: Ledger::default() }
    }

    /// Offers ranges of pages, each of which one other worker may take. They must have no page in common with one that has
    /// not come back, and the document's pages must have been told with [`Task::plan`](crate::Task::plan).
    pub fn offer(&mut self, ranges: impl IntoIterator<Item = RangeInclusive<u32>>) {
        self.ledger.offer(ranges);
        self.send_offer();
    }

    /// Asks for offered pages back. They come with [`SplitEvent::Returned`], and if another worker has them, when that has ended.
    pub fn take_back(&mut self, pages: &RangeInclusive<u32>) {
        self.ledger.take_back(*pages.start());
        self.send_offer();
    }

    /// How many ranges have not come back.
    pub fn outstanding(&self) -> usize {
        self.ledger.ranges.len()
    }

    /// The first of the offered ranges that nobody has and that were not asked back.
    pub fn first_untaken(&self) -> Option<RangeInclusive<u32>> {
        self.ledger.first_untaken()
    }

    /// What happens next. May be dropped and called again without losing anything. Errors: the attempt was stopped.
    pub async fn next(&mut self) -> Result<SplitEvent, CallError> {
        loop {
            if let Some(change) = self.ledger.changes.pop_front() {
                return Ok(change);
            }
            tokio::select! {
                () = self.attempt.stopped().cancelled() => return Err(CallError::Stopped),
                // The sender lives as long as the attempt.
                _ = self.parts.changed() => {}
            }
            let parts = self.parts.borrow_and_update().clone();
            self.ledger.apply(&parts);
            self.send_offer();
        }
    }

    fn send_offer(&mut self) {
        if let Some(offer) = self.ledger.next_offer() {
            self.attempt.offer(OfferPages { attempt: Some(self.attempt.key.to_ref()), ..offer });
        }
    }
}

/// Where each offered range stands. Plain bookkeeping.
#[derive(Debug, Default)]
struct Ledger {
    /// By first page.
    ranges: BTreeMap<u32, Range>,
    /// Of the newest offer.
    revision: i64,
    /// The newest offer is not what should be offered.
    stale: bool,
    changes: VecDeque<SplitEvent>,
}

#[derive(Clone, Copy, Debug)]
struct Range {
    last: u32,
    /// In no offer from this revision on; `None` while it is offered.
    left_out: Option<i64>,
    /// Somebody was seen to have it.
    taken: bool,
}

impl Ledger {
    fn offer(&mut self, ranges: impl IntoIterator<Item = RangeInclusive<u32>>) {
        for range in ranges.into_iter().filter(|range| !range.is_empty()) {
            self.ranges.insert(*range.start(), Range { last: *range.end(), left_out: None, taken: false });
            self.stale = true;
        }
    }

    fn take_back(&mut self, first: u32) {
        let next = self.revision + 1;
        if let Some(range) = self.ranges.get_mut(&first).filter(|range| range.left_out.is_none()) {
            range.left_out = Some(next);
            self.stale = true;
        }
    }

    fn first_untaken(&self) -> Option<RangeInclusive<u32>> {
        let open = |(_, range): &(&u32, &Range)| range.left_out.is_none();
        self.ranges.iter().find(open).map(|(first, range)| *first..=range.last)
    }

    /// The offer to be made, if there is a new one.
    fn next_offer(&mut self) -> Option<OfferPages> {
        if !std::mem::take(&mut self.stale) {
            return None;
        }
        self.revision += 1;
        // From the back: those in front are the first that are asked back.
        let open = self.ranges.iter().rev().filter(|(_, range)| range.left_out.is_none());
        let pages = open.take(MAX_RANGES).map(|(first, range)| wire(*first, range.last)).collect();
        Some(OfferPages { attempt: None, revision: self.revision, pages })
    }

    fn apply(&mut self, parts: &PartsChanged) {
        let next = self.revision + 1;
        let mut back = Vec::new();
        for (&first, range) in &mut self.ranges {
            let held = parts.held.contains(&wire(first, range.last));
            match range.left_out {
                // Left out from now on, so that what ended is not given again.
                None if held => {
                    range.left_out = Some(next);
                    self.stale = true;
                }
                // Nobody has it, and nobody can get it any more.
                Some(since) if !held && parts.revision >= since => back.push(first),
                None | Some(_) => {}
            }
            if held && !std::mem::replace(&mut range.taken, true) {
                self.changes.push_back(SplitEvent::Taken(first..=range.last));
            }
        }
        for first in back {
            let Some(range) = self.ranges.remove(&first) else { continue };
            let pages = first..=range.last;
            let finished = within(&parts.finished_pages, &pages);
            self.changes.push_back(SplitEvent::Returned { pages, finished });
        }
    }
}

fn wire(first: u32, last: u32) -> PageRange {
    let clamped = |page| i32::try_from(page).unwrap_or(i32::MAX);
    PageRange { first: clamped(first), last: clamped(last) }
}

fn within(finished: &[FinishedPages], pages: &RangeInclusive<u32>) -> Vec<FinishedPage> {
    each_page(finished).filter(|page| pages.contains(&page.number)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A server as the protocol describes it, which may also forget everything.
    #[derive(Default)]
    struct Server {
        revision: i64,
        open: Vec<PageRange>,
        held: Vec<PageRange>,
    }

    impl Server {
        fn apply(&mut self, offer: &OfferPages) {
            if offer.revision > self.revision {
                self.revision = offer.revision;
                self.open = offer.pages.iter().filter(|range| !self.held.contains(range)).copied().collect();
            }
        }

        fn parts(&self) -> PartsChanged {
            PartsChanged { revision: self.revision, held: self.held.clone(), ..Default::default() }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        TakeBack(usize),
        /// The offers on their way arrive.
        Arrive,
        Give,
        End(usize),
        /// The worker hears how it stands.
        Tell,
        Restart,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => any::<usize>().prop_map(Step::TakeBack),
            3 => Just(Step::Arrive),
            3 => Just(Step::Give),
            2 => any::<usize>().prop_map(Step::End),
            3 => Just(Step::Tell),
            1 => Just(Step::Restart),
        ]
    }

    #[derive(Default)]
    struct World {
        ledger: Ledger,
        server: Server,
        under_way: Vec<OfferPages>,
        last: Option<OfferPages>,
        back: Vec<u32>,
    }

    impl World {
        fn send_offer(&mut self) {
            if let Some(offer) = self.ledger.next_offer() {
                self.last = Some(offer.clone());
                self.under_way.push(offer);
            }
        }

        fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
            match step {
                Step::TakeBack(n) => {
                    let all: Vec<u32> = self.ledger.ranges.keys().copied().collect();
                    if !all.is_empty() {
                        self.ledger.take_back(all[n % all.len()]);
                    }
                }
                Step::Arrive => self.under_way.drain(..).for_each(|offer| self.server.apply(&offer)),
                Step::Give => self.server.held.extend(self.server.open.pop()),
                Step::End(n) if !self.server.held.is_empty() => {
                    self.server.held.remove(n % self.server.held.len());
                }
                Step::End(_) => {}
                Step::Tell => self.ledger.apply(&self.server.parts()),
                Step::Restart => {
                    // A new stream: what was under way is lost, the last offer is sent again.
                    self.server = Server::default();
                    self.under_way = self.last.iter().cloned().collect();
                }
            }
            self.send_offer();
            for change in self.ledger.changes.drain(..) {
                if let SplitEvent::Returned { pages, .. } = change {
                    prop_assert!(!self.back.contains(pages.start()), "{pages:?} came back twice");
                    self.back.push(*pages.start());
                }
            }
            Ok(())
        }

        /// What is back is in nobody else's hands.
        fn check(&self) -> Result<(), TestCaseError> {
            for range in self.server.held.iter().chain(&self.server.open) {
                prop_assert!(!self.back.contains(&(range.first as u32)), "{range:?} is back and to be had");
            }
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn every_range_comes_back_once_and_then_nobody_else_has_it(steps in vec(step(), 0..80)) {
            let mut world = World::default();
            world.ledger.offer([1..=3, 4..=4, 5..=9, 10..=20]);
            world.send_offer();
            for step in &steps {
                world.step(step)?;
                world.check()?;
            }
            // In the end all is asked for, and helpers end.
            for _ in 0..20 {
                for step in [Step::TakeBack(0), Step::Arrive, Step::End(0), Step::Tell] {
                    world.step(&step)?;
                    world.check()?;
                }
            }
            prop_assert_eq!(world.back.len(), 4);
        }
    }

    #[test]
    fn no_more_is_offered_at_once_than_servers_take() {
        let mut ledger = Ledger::default();
        ledger.offer((1..=2000).map(|page| page..=page));
        let offered = ledger.next_offer().unwrap().pages;
        assert_eq!((offered.len(), offered.first()), (1024, Some(&wire(2000, 2000))));
        assert_eq!(ledger.first_untaken(), Some(1..=1));
    }

    #[test]
    fn what_was_done_comes_with_it() {
        let mut ledger = Ledger::default();
        ledger.offer([5..=9]);
        ledger.next_offer();
        let held = vec![wire(5, 9)];
        ledger.apply(&PartsChanged { revision: 1, held, ..Default::default() });
        assert_eq!(ledger.next_offer().map(|offer| (offer.revision, offer.pages)), Some((2, vec![])));
        let finished_pages = vec![FinishedPages { first: 1, last: 6, attempt: 1 }];
        ledger.apply(&PartsChanged { revision: 1, finished_pages: finished_pages.clone(), ..Default::default() });
        assert_eq!(ledger.changes.make_contiguous(), [SplitEvent::Taken(5..=9)], "it could be given again");
        ledger.apply(&PartsChanged { revision: 2, finished_pages, ..Default::default() });
        let finished = [5, 6].map(|number| FinishedPage { number, written_by: 1 }).to_vec();
        assert_eq!(ledger.changes.pop_back(), Some(SplitEvent::Returned { pages: 5..=9, finished }));
    }
}
