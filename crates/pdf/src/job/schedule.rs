//! Which pages are to be done, by whom, and what came of them. Pure: no processes, no clock.
//!
//! Pages are divided into chunks, one child works on one chunk at a time. A child that dies costs its chunk, whose pages
//! are then tried one by one; a page that kills a child of its own is given up.

use std::collections::{BTreeSet, VecDeque};
use std::ops::RangeInclusive;

use crate::artifact::PageArtifact;
use crate::protocol::Chunk;

/// A chunk has no fewer pages than this, where the document has them: around each chunk a few more are looked at.
const MIN_CHUNK: u32 = 8;
/// So many chunks for each child that works at once, so that they end at about the same time.
const CHUNKS_A_CHILD: u32 = 4;

/// The pages that are done, by this or an earlier attempt.
#[derive(Debug, Default)]
pub(super) struct Finished {
    pages: BTreeSet<u32>,
    readable: u32,
}

impl Finished {
    pub(super) fn add(&mut self, page: &PageArtifact) {
        if self.pages.insert(page.number) {
            self.readable += u32::from(!page.unreadable);
        }
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.pages.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn readable(&self) -> u32 {
        self.readable
    }

    /// Forgets pages that the document does not have.
    pub(super) fn limit(&mut self, pages: u32) {
        self.pages.retain(|&page| page <= pages);
    }
}

#[derive(Debug, Default)]
pub(super) struct PageSchedule {
    pub(super) finished: Finished,
    /// Pages that children have given, stored already or about to be.
    given: BTreeSet<u32>,
    waiting: VecDeque<Chunk>,
    /// Pages that have cost a child its life: nobody looks at them who need not.
    suspects: BTreeSet<u32>,
    /// Pages that have cost a child its life when they were drawn.
    undrawable: BTreeSet<u32>,
    deaths: u32,
    /// Pages are with other workers: chunks may still come.
    pub(super) offered: bool,
}

/// What is to be done about a dead child.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RetryDecision {
    /// The chunk's pages were put back.
    GoOn,
    /// This page is given up.
    GiveUp(u32),
    Fail,
}

impl PageSchedule {
    /// After the pages of earlier attempts.
    pub(super) fn new(finished: Finished) -> Self {
        Self { given: finished.pages.clone(), finished, ..Self::default() }
    }

    /// Leaves these pages out.
    pub(super) fn leave_out(&mut self, pages: impl Iterator<Item = u32>) {
        self.given.extend(pages);
    }

    /// Divides what is not done yet of these pages among so many children.
    pub(super) fn plan(&mut self, pages: RangeInclusive<u32>, children: u32, max_chunk: u32) {
        let (mut first, end) = pages.into_inner();
        let share = end.saturating_sub(first).saturating_add(1).div_ceil((children * CHUNKS_A_CHILD).max(1));
        let size = share.clamp(MIN_CHUNK.min(max_chunk), max_chunk.max(1));
        while first <= end {
            let last = first.saturating_add(size - 1).min(end);
            self.put_back(Chunk { first, last }, VecDeque::push_back);
            first = last + 1;
        }
    }

    /// What others may do of so many pages: all that is not done, but for a part at the front. In ranges of at most
    /// `part_pages`; nothing, where the pages are so scattered that there would be more than twice as many ranges as of pages in a
    /// row: each costs another worker the whole document.
    pub(super) fn parts(&self, pages: u32, part_pages: u32) -> Vec<RangeInclusive<u32>> {
        let open: Vec<u32> = (1..=pages).filter(|page| !self.given.contains(page)).collect();
        let (size, mut parts) = (part_pages.max(1) as usize, Vec::new());
        let behind_front = open.get(size..).unwrap_or_default();
        for stretch in behind_front.chunk_by(|a, b| a + 1 == *b) {
            parts.extend(stretch.chunks(size).map(|part| part[0]..=part[part.len() - 1]));
        }
        if parts.len() > 2 * behind_front.len().div_ceil(size) { Vec::new() } else { parts }
    }

    /// How many of so many pages are left to do.
    pub(super) fn open(&self, pages: u32) -> u32 {
        pages.saturating_sub(u32::try_from(self.given.len()).unwrap_or(u32::MAX))
    }

    /// A page that another worker has done.
    pub(super) fn take_over(&mut self, page: &PageArtifact) {
        self.given.insert(page.number);
        self.finished.add(page);
    }

    /// The stretches of a chunk that were not given yet.
    fn put_back(&mut self, chunk: Chunk, put: impl Fn(&mut VecDeque<Chunk>, Chunk)) {
        let open: Vec<u32> = (chunk.first..=chunk.last).filter(|page| !self.given.contains(page)).collect();
        for stretch in open.chunk_by(|a, b| a + 1 == *b) {
            put(&mut self.waiting, Chunk { first: stretch[0], last: stretch[stretch.len() - 1] });
        }
    }

    /// The next chunk to work on.
    pub(super) fn take(&mut self) -> Option<Chunk> {
        self.waiting.pop_front()
    }

    pub(super) fn chunks_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether this page belongs to the chunk and is given for the first time.
    pub(super) fn accept(&mut self, page: u32, chunk: &Chunk) -> bool {
        (chunk.first..=chunk.last).contains(&page) && self.given.insert(page)
    }

    /// Whether the whole chunk was given.
    pub(super) fn has(&self, chunk: &Chunk) -> bool {
        (chunk.first..=chunk.last).all(|page| self.given.contains(&page))
    }

    pub(super) fn suspects(&self) -> Vec<u32> {
        self.suspects.iter().copied().collect()
    }

    pub(super) fn undrawable(&self) -> Vec<u32> {
        self.undrawable.iter().copied().collect()
    }

    /// A child died before it had a chunk, perhaps over a page that it looked at.
    pub(super) fn died_early(&mut self, page: Option<u32>, allowed: u32) -> RetryDecision {
        self.deaths += 1;
        let new = page.is_some_and(|page| self.suspects.insert(page));
        if self.deaths > allowed || !new { RetryDecision::Fail } else { RetryDecision::GoOn }
    }

    /// A child died over a chunk. `patience` says whether the page may have another child.
    pub(super) fn died(&mut self, chunk: Chunk, end: &ChunkEnd, allowed: u32) -> RetryDecision {
        self.deaths += 1;
        if self.deaths > allowed {
            return RetryDecision::Fail;
        }
        let alone = chunk.first == chunk.last;
        let inside = end.page.filter(|page| (chunk.first..=chunk.last).contains(page) && !self.given.contains(page));
        let give_up = match (end.drawing, inside) {
            (true, Some(page)) => {
                // Without its picture it may be read all the same.
                if self.undrawable.insert(page) { None } else { Some(page) }
            }
            (false, Some(page)) if alone || end.hung => Some(page),
            (_, None) if alone && end.page.is_none_or(|page| self.suspects.contains(&page)) => Some(chunk.first),
            _ => None,
        };
        if let Some(page) = end.page.filter(|_| !end.drawing) {
            self.suspects.insert(page);
        }
        self.given.extend(give_up);
        for page in (chunk.first..=chunk.last).rev() {
            self.put_back(Chunk { first: page, last: page }, VecDeque::push_front);
        }
        give_up.map_or(RetryDecision::GoOn, RetryDecision::GiveUp)
    }
}

/// How a child ended over a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ChunkEnd {
    /// The page it was at.
    pub(super) page: Option<u32>,
    /// It was drawing that page.
    pub(super) drawing: bool,
    /// It said nothing for too long: another child would, too.
    pub(super) hung: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(first: u32, last: u32) -> Chunk {
        Chunk { first, last }
    }

    fn all(schedule: &mut PageSchedule) -> Vec<(u32, u32)> {
        std::iter::from_fn(|| schedule.take()).map(|chunk| (chunk.first, chunk.last)).collect()
    }

    fn at(page: u32) -> ChunkEnd {
        ChunkEnd { page: Some(page), ..ChunkEnd::default() }
    }

    #[test]
    fn chunks_cover_what_is_not_done_and_are_neither_small_nor_large() {
        for (pages, children, expected) in [(5, 2, 1), (120, 2, 8), (2415, 2, 76), (64, 1, 4), (1, 8, 1)] {
            let mut schedule = PageSchedule::default();
            schedule.plan(1..=pages, children, 32);
            let chunks = all(&mut schedule);
            assert_eq!(chunks.len(), expected, "{pages} pages");
            assert_eq!(chunks.iter().map(|(first, last)| last - first + 1).sum::<u32>(), pages);
            assert!(chunks.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
        }
        let mut finished = Finished::default();
        for page in [1, 2, 5] {
            finished.add(&PageArtifact::unreadable(page, 0.0, ""));
        }
        let mut schedule = PageSchedule::new(finished);
        schedule.plan(1..=9, 1, 32);
        assert_eq!(all(&mut schedule), [(3, 4), (6, 8), (9, 9)]);
    }

    #[test]
    fn pages_that_are_left_out_are_neither_read_nor_offered() {
        let mut schedule = PageSchedule::default();
        schedule.leave_out([2, 5, 6, 7].into_iter());
        assert_eq!((schedule.open(9), schedule.parts(9, 2)), (5, vec![4..=4, 8..=9]));
        schedule.plan(1..=9, 1, 32);
        assert_eq!(all(&mut schedule), [(1, 1), (3, 4), (8, 8), (9, 9)]);
        assert!(!schedule.accept(5, &chunk(3, 8)));
    }

    #[test]
    fn scattered_pages_are_not_offered_one_by_one() {
        let mut schedule = PageSchedule::default();
        schedule.leave_out((1..=2_000).filter(|page| page % 2 == 0));
        assert_eq!((schedule.open(2_000), schedule.parts(2_000, 100)), (1_000, vec![]));
        // All of them are this worker's then.
        schedule.plan(1..=2_000, 1, 32);
        assert_eq!(all(&mut schedule).len(), 1_000);
    }

    #[test]
    fn others_may_do_what_is_open_behind_the_front() {
        let mut finished = Finished::default();
        for page in [2, 11, 12] {
            finished.add(&PageArtifact::unreadable(page, 0.0, ""));
        }
        let mut schedule = PageSchedule::new(finished);
        assert_eq!((schedule.open(20), schedule.parts(20, 5)), (17, vec![7..=10, 13..=17, 18..=20]));
        assert_eq!(schedule.parts(6, 5), []);
        schedule.take_over(&PageArtifact::unreadable(14, 0.0, ""));
        schedule.plan(13..=17, 1, 32);
        assert_eq!(all(&mut schedule), [(13, 13), (15, 17)]);
    }

    #[test]
    fn a_dead_child_costs_its_chunk_which_is_retried_page_by_page() {
        let mut schedule = PageSchedule::default();
        assert!(
            schedule.accept(1, &chunk(1, 4)) && !schedule.accept(1, &chunk(1, 4)) && !schedule.accept(9, &chunk(1, 4))
        );
        assert_eq!(schedule.died(chunk(1, 4), &at(2), 9), RetryDecision::GoOn);
        assert_eq!(all(&mut schedule), [(2, 2), (3, 3), (4, 4)]);
        assert_eq!(schedule.suspects(), [2]);
        assert_eq!(schedule.died(chunk(2, 2), &at(2), 9), RetryDecision::GiveUp(2));
        assert_eq!(all(&mut schedule), []);
        assert!(schedule.accept(3, &chunk(3, 3)) && !schedule.has(&chunk(3, 4)));
    }

    #[test]
    fn a_page_that_hangs_is_not_tried_again_and_the_others_are() {
        let mut schedule = PageSchedule::default();
        let hung = ChunkEnd { page: Some(2), hung: true, drawing: false };
        assert_eq!(schedule.died(chunk(1, 3), &hung, 9), RetryDecision::GiveUp(2));
        assert_eq!(all(&mut schedule), [(1, 1), (3, 3)]);
    }

    #[test]
    fn a_page_that_cannot_be_drawn_is_read_without() {
        let mut schedule = PageSchedule::default();
        let drawing = ChunkEnd { page: Some(1), drawing: true, hung: false };
        assert_eq!(schedule.died(chunk(1, 1), &drawing, 9), RetryDecision::GoOn);
        assert_eq!((schedule.undrawable(), schedule.suspects()), (vec![1], vec![]));
        assert_eq!(all(&mut schedule), [(1, 1)]);
        assert_eq!(schedule.died(chunk(1, 1), &at(1), 9), RetryDecision::GiveUp(1));
    }

    #[test]
    fn a_neighbour_that_kills_is_avoided_and_does_not_cost_the_page() {
        let mut schedule = PageSchedule::default();
        assert_eq!(schedule.died(chunk(5, 5), &at(7), 9), RetryDecision::GoOn);
        assert_eq!((all(&mut schedule), schedule.suspects()), (vec![(5, 5)], vec![7]));
        assert_eq!(schedule.died(chunk(5, 5), &at(7), 9), RetryDecision::GiveUp(5), "it was told not to look");
        assert_eq!(schedule.died(chunk(6, 6), &ChunkEnd::default(), 9), RetryDecision::GiveUp(6));
    }

    #[test]
    fn too_many_deaths_are_the_end() {
        let mut schedule = PageSchedule::default();
        assert_eq!(schedule.died_early(Some(3), 2), RetryDecision::GoOn);
        assert_eq!(schedule.died_early(Some(3), 2), RetryDecision::Fail, "it was told not to look");
        assert_eq!(schedule.died(chunk(1, 1), &at(1), 2), RetryDecision::Fail);
        assert_eq!(PageSchedule::default().died_early(None, 2), RetryDecision::Fail);
    }
}
