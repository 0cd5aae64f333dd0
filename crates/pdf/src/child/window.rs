//! The pages around the one worked on, read once, and what a sample of all pages tells about each.
//!
//! Holds the content of at most [`REACH`] pages on either side, and of sampled pages ahead with little text; of other sampled
//! pages only their hints.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::backend::header_footer::of_page;
use crate::backend::{Context, EdgeLine, PageHints};
use crate::protocol::Survey;

/// How many pages on either side are compared for running headers.
const REACH: u32 = 3;
/// Sampled pages with more characters than this are not kept whole.
const KEPT_MAX_CHARS: usize = 10_000;
/// How many pages are sampled for sizes of type.
const SAMPLE: u32 = 24;

struct WindowPage<R> {
    /// The content until it is worked on, or why there is none.
    content: Result<Option<R>, String>,
    hints: PageHints,
    time: Duration,
}

pub(super) struct Window<R> {
    pages: BTreeMap<u32, WindowPage<R>>,
    sampled: BTreeMap<u32, PageHints>,
}

impl<R> Default for Window<R> {
    fn default() -> Self {
        Self { pages: BTreeMap::new(), sampled: BTreeMap::new() }
    }
}

/// The pages to sample, evenly spread over the document.
pub(super) fn sample(pages: u32) -> impl Iterator<Item = u32> {
    let count = pages.min(SAMPLE);
    (0..count).map(move |n| 1 + u32::try_from(u64::from(n) * u64::from(pages) / u64::from(count)).unwrap_or(0))
}

/// A page and its neighbours.
pub(super) fn around(page: u32, pages: u32) -> impl Iterator<Item = u32> {
    page.saturating_sub(REACH).max(1)..=page.saturating_add(REACH).min(pages)
}

impl<R> Window<R> {
    pub(super) fn contains(&self, page: u32) -> bool {
        self.pages.contains_key(&page)
    }

    /// Forgets a page whose content was taken, so that it is read again.
    pub(super) fn renew(&mut self, page: u32) {
        if self.pages.get(&page).is_some_and(|known| matches!(known.content, Ok(None))) {
            self.pages.remove(&page);
        }
    }

    pub(super) fn insert(&mut self, page: u32, content: R, hints: PageHints, time: Duration) {
        self.pages.insert(page, WindowPage { content: Ok(Some(content)), hints, time });
    }

    pub(super) fn insert_broken(&mut self, page: u32, why: String, time: Duration) {
        self.pages.insert(page, WindowPage { content: Err(why), hints: PageHints::default(), time });
    }

    /// Remembers the hints of a sampled page for good. The first few pages, about to be worked on, stay whole, and so do
    /// pages with little text, so that they need not be read again.
    pub(super) fn keep_hints(&mut self, page: u32) {
        if let Some(known) = self.pages.get(&page) {
            let chars: usize = known.hints.sizes.iter().map(|(_, count)| count).sum();
            self.sampled.insert(page, known.hints.clone());
            if page > REACH + 1 && chars > KEPT_MAX_CHARS && known.content.is_ok() {
                self.pages.remove(&page);
            }
        }
    }

    /// What the sampled pages tell.
    pub(super) fn surveyed(&self) -> Vec<(u32, PageHints)> {
        self.sampled.iter().map(|(number, hints)| (*number, hints.clone())).collect()
    }

    /// Takes over what another child has sampled.
    pub(super) fn insert_survey(&mut self, survey: Survey) {
        self.sampled = survey.hints.into_iter().collect();
    }

    /// Forgets what is out of reach, but not which pages are broken.
    pub(super) fn move_to(&mut self, page: u32) {
        let ahead = |other| other > page && self.sampled.contains_key(&other);
        self.pages.retain(|&other, known| other.abs_diff(page) <= REACH || ahead(other) || known.content.is_err());
    }

    /// Takes the content of a page, with the time reading it took, or why there is none.
    pub(super) fn take(&mut self, page: u32) -> Result<(R, Duration), (String, Duration)> {
        match self.pages.get_mut(&page) {
            Some(WindowPage { content: Ok(content), time, .. }) => {
                content.take().map(|content| (content, *time)).ok_or(("the page was not read".into(), *time))
            }
            Some(WindowPage { content: Err(why), time, .. }) => Err((why.clone(), *time)),
            None => Err(("the page was not read".into(), Duration::ZERO)),
        }
    }

    /// What the other pages say about this one.
    pub(super) fn context(&self, page: u32) -> Context {
        let mut sizes: BTreeMap<i32, usize> = BTreeMap::new();
        for hints in self.sampled.values() {
            for &(size, count) in &hints.sizes {
                *sizes.entry(size).or_default() += count;
            }
        }
        let around = self.pages.iter().filter(|(number, _)| **number != page && number.abs_diff(page) <= REACH);
        let near: Vec<&[EdgeLine]> = around.map(|(_, known)| &*known.hints.edges).collect();
        let elsewhere = self.sampled.iter().filter(|(number, _)| number.abs_diff(page) > REACH);
        let far: Vec<&[EdgeLine]> = elsewhere.map(|(_, hints)| &*hints.edges).collect();
        let own = self.pages.get(&page).map(|known| &*known.hints.edges).unwrap_or_default();
        Context { sizes: sizes.into_iter().collect(), headers_footers: of_page(own, &near, &far) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_and_inside() {
        for pages in [1, 5, 24, 25, 100, 5000] {
            let sampled: Vec<u32> = sample(pages).collect();
            assert_eq!(sampled.len() as u32, pages.min(SAMPLE));
            assert!(sampled.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(sampled[0] == 1 && *sampled.last().unwrap() <= pages);
        }
    }

    #[test]
    fn the_window_stays_small_and_remembers_what_is_broken() {
        let mut window: Window<()> = Window::default();
        window.insert_broken(1, "broken".into(), Duration::ZERO);
        for page in 2..=100 {
            window.insert(page, (), PageHints::default(), Duration::ZERO);
            window.move_to(page);
        }
        assert_eq!(window.pages.len() as u32, REACH + 2);
        assert!(window.contains(1) && window.take(1).is_err());
        assert!(window.take(99).is_ok() && window.take(50).is_err());
        assert!(window.take(99).is_err(), "taken");
        window.renew(99);
        window.renew(98);
        assert!(!window.contains(99) && window.contains(98));
    }
}
