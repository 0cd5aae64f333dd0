//! Some pages of a document.

use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// The highest page that can be asked for, as of any document.
const MAX_PAGE: u32 = 100_000;
/// The most ranges.
const MAX_RANGES: usize = 1_000;

/// Pages as `3`, `1-5`, or `7-` for the seventh to the last, divided by commas. Pages are processed in the order of the document,
/// each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageSelection {
    /// Each with its last page, or none where it goes to the end. In the order of their first pages.
    ranges: Vec<(u32, Option<u32>)>,
}

impl PageSelection {
    fn parse(text: &str) -> Result<Self, String> {
        let mut ranges = text.split(',').map(|part| range(part.trim())).collect::<Result<Vec<_>, _>>()?;
        if ranges.len() > MAX_RANGES {
            return Err(format!("must have at most {MAX_RANGES} ranges"));
        }
        ranges.sort_unstable();
        Ok(Self { ranges })
    }

    /// The pages that a document of so many has, as ranges that neither touch nor overlap.
    pub fn within(&self, pages: u32) -> Vec<RangeInclusive<u32>> {
        let mut within: Vec<RangeInclusive<u32>> = Vec::new();
        for (first, last) in self.ranges.iter().filter(|(first, _)| *first <= pages) {
            let (first, last) = (*first, last.unwrap_or(pages).min(pages));
            match within.last_mut() {
                Some(before) if first <= *before.end() + 1 => *before = *before.start()..=last.max(*before.end()),
                _ => within.push(first..=last),
            }
        }
        within
    }

    /// Whether it names pages that a document of so many does not have.
    pub fn goes_beyond(&self, pages: u32) -> bool {
        self.ranges.iter().any(|(first, last)| last.unwrap_or(*first) > pages)
    }
}

fn range(text: &str) -> Result<(u32, Option<u32>), String> {
    let wrong = || format!("must be pages like \"1-5,8,12-\", each 1 to {MAX_PAGE}, not {text:?}");
    let page = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let page = text.parse::<u32>().ok().filter(|page| is_number && (1..=MAX_PAGE).contains(page));
        page.ok_or_else(wrong)
    };
    match text.split_once('-').map(|(first, last)| (first.trim(), last.trim())) {
        None => page(text).map(|page_number| (page_number, Some(page_number))),
        Some((first, "")) => Ok((page(first)?, None)),
        Some((first, last)) => match (page(first)?, page(last)?) {
            (first, last) if first <= last => Ok((first, Some(last))),
            (first, last) => Err(format!("must have the lower page of a range first: {last}-{first}")),
        },
    }
}

impl fmt::Display for PageSelection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.ranges.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            match last {
                Some(last) if last == first => write!(out, "{comma}{first}")?,
                Some(last) => write!(out, "{comma}{first}-{last}")?,
                None => write!(out, "{comma}{first}-")?,
            }
        }
        Ok(())
    }
}

impl Serialize for PageSelection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PageSelection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrNumber)
    }
}

/// A single page may be a number: `{"pages": 3}`.
struct TextOrNumber;

impl Visitor<'_> for TextOrNumber {
    type Value = PageSelection;

    fn expecting(&self, into: &mut fmt::Formatter<'_>) -> fmt::Result {
        into.write_str("pages like \"1-5,8,12-\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<PageSelection, E> {
        PageSelection::parse(text).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, page: u64) -> Result<PageSelection, E> {
        PageSelection::parse(&page.to_string()).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(text: &str, pages: u32) -> Vec<RangeInclusive<u32>> {
        PageSelection::parse(text).unwrap().within(pages)
    }

    #[test]
    fn pages_come_in_the_order_of_the_document_each_once() {
        assert_eq!(within("3", 9), [3..=3]);
        assert_eq!(within("7-,1-2, 4", 9), [1..=2, 4..=4, 7..=9]);
        assert_eq!(within("1-5,3-4,6,2", 9), [1..=6]);
        assert_eq!(within("1-,4", 9), [1..=9]);
    }

    #[test]
    fn pages_that_are_not_there_are_left_out_and_told() {
        assert_eq!(within("2-8,12", 5), [2..=5]);
        assert_eq!(within("6-", 5), []);
        let beyond = |text: &str| PageSelection::parse(text).unwrap().goes_beyond(5);
        assert!(beyond("2-8") && beyond("6-") && beyond("1,6"));
        assert!(!beyond("1-5") && !beyond("3-"));
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for text in ["", "0", "1-0", "-3", "a", "1,", "1--2", "+1", "1.5", "100001", "99999999999", "1-2-3", "\u{661}"]
        {
            assert!(PageSelection::parse(text).unwrap_err().contains("must be pages"), "{text:?}");
        }
        assert!(PageSelection::parse("5-3").unwrap_err().contains("3-5"));
        assert!(PageSelection::parse(&"1,".repeat(1_000).add("1")).unwrap_err().contains("at most 1000"));
        assert!(PageSelection::parse(&"1,".repeat(999).add("1")).is_ok());
    }

    trait Add {
        fn add(self, more: &str) -> String;
    }

    impl Add for String {
        fn add(self, more: &str) -> String {
            self + more
        }
    }
}
