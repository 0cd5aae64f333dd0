//! What a reader of the result should know, gathered over all pages: one sentence for each thing, with its pages.

use std::collections::BTreeMap;

use crate::artifact::{Kind, PageArtifact, Status, Zone};
use crate::protocol::ranges;

/// Sentences name at most this many ranges of pages.
const MAX_RANGES: usize = 12;

/// What was found, by page.
#[derive(Default)]
pub(super) struct Warnings {
    /// How many pages the document has, where others were asked for, too.
    pub(super) asked_beyond: Option<u32>,
    scans: BTreeMap<String, Vec<u32>>,
    others: BTreeMap<String, Vec<u32>>,
}

impl Warnings {
    pub(super) fn add(&mut self, page: &PageArtifact) {
        let is_unread = |zone: &&Zone| zone.kind == Kind::Scan && zone.status == Status::Skipped;
        for scan in page.zones.iter().filter(is_unread) {
            self.scans.entry(scan.note.clone()).or_default().push(page.number);
        }
        for warning in &page.warnings {
            self.others.entry(warning.clone()).or_default().push(page.number);
        }
    }

    /// All of them, for the result.
    pub(super) fn sentences(&self) -> Vec<String> {
        let others = self.others.iter().map(|(what, pages)| sentence(pages.clone(), what));
        self.unreported().into_iter().chain(others).collect()
    }

    /// Those that no page was reported with, for the job: what a page itself warns of the server has added to it already.
    pub(super) fn unreported(&self) -> Vec<String> {
        let beyond = self.asked_beyond.map(|pages| {
            let pages = if pages == 1 { "1 page".to_owned() } else { format!("{pages} pages") };
            format!("Pages were asked for that the document does not have: it has {pages}.")
        });
        let scans = self.scans.iter().map(|(why, pages)| sentence(pages.clone(), &format!("scanned; {why}")));
        beyond.into_iter().chain(scans).collect()
    }
}

fn sentence(pages: Vec<u32>, what: &str) -> String {
    let count = pages.len();
    let named: Vec<String> = ranges(pages)
        .into_iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}\u{2013}{last}") })
        .collect();
    let more = if named.len() > MAX_RANGES { ", …" } else { "" };
    let named = named[..named.len().min(MAX_RANGES)].join(", ");
    let word = if count == 1 { "Page" } else { "Pages" };
    format!("{word} {named}{more}: {what}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_with_the_same_trouble_share_a_sentence() {
        let mut warnings = Warnings::default();
        for number in [1, 2, 3, 7] {
            warnings.add(&PageArtifact::unreadable(number, 0.0, "this page could not be read"));
        }
        warnings.add(&PageArtifact::unreadable(9, 0.0, "something else"));
        assert!(warnings.unreported().is_empty());
        assert_eq!(warnings.sentences(), ["Page 9: something else.", "Pages 1–3, 7: this page could not be read."]);
    }
}
