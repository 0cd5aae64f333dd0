//! What the isolated child is told and what it says: one JSON object a line.
//!
//! The document is the child's standard input, the request stands in one environment variable, the answers go to its
//! standard output. The parent believes nothing it has not checked: every line has a greatest length, all lines
//! together have one, and pages that were not asked for are refused.

use serde::{Deserialize, Serialize};

use crate::artifact::{PageArtifact, Zone};

/// The environment variable with the [`Request`].
pub const REQUEST_VARIABLE: &str = "COURANT_PDF_REQUEST";

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The process that asks; the child ends when it is gone.
    pub parent: u32,
    /// Pages that are done or must not be touched, as ranges from 1.
    pub done: Vec<(u32, u32)>,
    /// Pages that must not even be looked at: they cost an earlier child its life.
    pub bad: Vec<u32>,
    /// A document with more pages is refused.
    pub max_pages: u32,
    /// Address space, in bytes.
    pub memory_bytes: u64,
    /// Processor time, in seconds.
    pub cpu_seconds: u64,
}

/// What the child says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Said {
    /// The document is open.
    Opened {
        /// Its pages.
        pages: u32,
    },
    /// The document cannot be processed. The last line.
    Refused {
        /// Why.
        why: Refusal,
        /// For the log.
        detail: String,
    },
    /// From here on, whatever goes wrong is this page's fault.
    Reading {
        /// The page.
        page: u32,
    },
    /// Work on a zone began.
    Zone {
        /// The page.
        page: u32,
        /// The zone, still without its text.
        zone: Zone,
    },
    /// A page is done.
    Page {
        /// All of it.
        page: PageArtifact,
    },
    /// All pages are done. The last line.
    Done,
}

/// Why a document is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Not a PDF.
    NotPdf,
    /// A password is needed.
    Encrypted,
    /// Its structure cannot be read.
    Damaged,
    /// It has no pages.
    NoPages,
    /// It has more pages than allowed.
    TooManyPages,
    /// It does not even fit into the memory allowed.
    OutOfMemory,
    /// The child could not be set up; not the document's fault.
    Setup,
}

/// Page numbers as ranges, in order.
pub fn ranges(mut pages: Vec<u32>) -> Vec<(u32, u32)> {
    pages.sort_unstable();
    pages.dedup();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for page in pages {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == page => *last = page,
            _ => ranges.push((page, page)),
        }
    }
    ranges
}

/// Whether a page is in one of the ranges.
pub fn holds(ranges: &[(u32, u32)], page: u32) -> bool {
    ranges.iter().any(|&(first, last)| (first..=last).contains(&page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_went_in() {
        let made = ranges(vec![5, 1, 2, 3, 9, 2]);
        assert_eq!(made, [(1, 3), (5, 5), (9, 9)]);
        assert!(holds(&made, 2) && !holds(&made, 4) && !holds(&[], 1));
    }
}
