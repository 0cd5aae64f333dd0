//! How much work something is, as far as the log knows: jobs and their pages. What a page costs is not known here.

use std::iter::Sum;
use std::ops::{AddAssign, SubAssign};

use courant_joblog::job::Job;

/// More pages than this count as this many: sums must not overflow, whatever a log says.
const MOST_PAGES: u32 = 1_000_000;

/// Pages that are still to be done; `None` while nobody knows how many there are.
pub type PagesLeft = Option<u32>;

/// What waiting jobs amount to. Pages that are not known are counted apart: what an average job has changes with time,
/// and no sum must change with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    pub jobs: u64,
    /// Of these, jobs whose pages are not known.
    pub unknown: u64,
    /// Pages of the others.
    pub pages: u64,
    /// The sum of the squares of their pages: how unevenly they are spread.
    pub squares: u64,
}

impl Load {
    /// So many of these jobs, as they are on average; all of them, if they are fewer.
    pub fn share(self, jobs: u64) -> Self {
        let jobs = jobs.min(self.jobs);
        let part = |of: u64| (u128::from(of) * u128::from(jobs) / u128::from(self.jobs.max(1))) as u64;
        Self { jobs, unknown: part(self.unknown), pages: part(self.pages), squares: part(self.squares) }
    }

    pub fn of(pages: PagesLeft) -> Self {
        match pages.map(|pages| u64::from(pages.min(MOST_PAGES))) {
            None => Self { jobs: 1, unknown: 1, ..Self::default() },
            Some(pages) => Self { jobs: 1, unknown: 0, pages, squares: pages.saturating_mul(pages) },
        }
    }
}

/// Pages of a job that are still to be done.
pub fn pages_left(job: &Job) -> PagesLeft {
    let total = job.pages.total.or(job.pages.expected)?;
    Some(total.saturating_sub(job.pages.done_count()))
}

impl AddAssign for Load {
    fn add_assign(&mut self, other: Self) {
        self.jobs += other.jobs;
        self.unknown += other.unknown;
        self.pages += other.pages;
        self.squares = self.squares.saturating_add(other.squares);
    }
}

impl SubAssign for Load {
    fn sub_assign(&mut self, other: Self) {
        self.jobs -= other.jobs;
        self.unknown -= other.unknown;
        self.pages -= other.pages;
        self.squares = self.squares.saturating_sub(other.squares);
    }
}

impl Sum for Load {
    fn sum<I: Iterator<Item = Self>>(loads: I) -> Self {
        let mut sum = Self::default();
        loads.for_each(|load| sum += load);
        sum
    }
}
