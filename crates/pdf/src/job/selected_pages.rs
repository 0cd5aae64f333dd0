//! The pages of a document that its job is to do.

use std::ops::RangeInclusive;

use courant_pdf_parameters::PageSelection;

use crate::failure::Failure;

#[derive(Clone, Debug)]
pub(super) struct SelectedPages {
    /// How many the document has.
    pub(super) document: u32,
    /// In order, neither touching nor overlapping; at least one page.
    ranges: Vec<RangeInclusive<u32>>,
}

impl SelectedPages {
    /// Those of a document with so many that were asked for; all, if nothing was.
    pub(super) fn of(document: u32, asked: Option<&PageSelection>) -> Result<Self, Failure> {
        let ranges = asked.map_or_else(|| vec![1..=document], |asked| asked.within(document));
        if ranges.is_empty() {
            return Err(Failure::NoSuchPages { document });
        }
        Ok(Self { document, ranges })
    }

    pub(super) fn count(&self) -> u32 {
        self.ranges.iter().map(|range| range.end() - range.start() + 1).sum()
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges.iter().cloned().flatten()
    }

    /// The numbers of the pages that are not to be done.
    pub(super) fn others(&self) -> impl Iterator<Item = u32> + '_ {
        let starts = std::iter::once(1).chain(self.ranges.iter().map(|range| range.end() + 1));
        let ends = self.ranges.iter().map(|range| range.start() - 1).chain(std::iter::once(self.document));
        starts.zip(ends).flat_map(|(first, last)| first..=last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(document: u32, asked: &str) -> Result<SelectedPages, Failure> {
        let asked = serde_json::from_value(asked.into()).unwrap();
        SelectedPages::of(document, Some(&asked))
    }

    #[test]
    fn each_page_is_either_to_be_done_or_not() {
        for (asked, numbers, others) in [
            ("2,4-5", vec![2, 4, 5], vec![1, 3, 6, 7]),
            ("1-", vec![1, 2, 3, 4, 5, 6, 7], vec![]),
            ("7,1", vec![1, 7], vec![2, 3, 4, 5, 6]),
            ("6-99", vec![6, 7], vec![1, 2, 3, 4, 5]),
        ] {
            let pages = selected(7, asked).unwrap();
            assert_eq!(pages.numbers().collect::<Vec<_>>(), numbers, "{asked}");
            assert_eq!(pages.others().collect::<Vec<_>>(), others, "{asked}");
            assert_eq!(pages.count() as usize, numbers.len(), "{asked}");
        }
        assert_eq!(SelectedPages::of(3, None).unwrap().numbers().collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn pages_of_which_the_document_has_none_are_refused() {
        assert!(matches!(selected(7, "8-9"), Err(Failure::NoSuchPages { document: 7 })));
    }
}
