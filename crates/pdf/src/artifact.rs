//! What is known of a page, as it is stored: the artifact `pages/<number, six digits>.json`.
//!
//! The child makes it, the exports read it, a later attempt reads it back. [`VERSION`] grows when the meaning of a field
//! changes; new optional fields do not need that. `RESULTS.md` describes the same fields to readers of results.

use serde::{Deserialize, Serialize};

/// The version of the page format and of the JSON result.
pub const VERSION: u32 = 1;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PageArtifact {
    /// [`VERSION`] at the time of writing.
    pub version: u32,
    /// From 1.
    pub number: u32,
    /// Width in points, as the page is seen.
    pub width: f64,
    /// Height in points, as the page is seen.
    pub height: f64,
    /// Milliseconds spent on the page.
    pub duration_ms: f64,
    /// Its zones in reading order.
    pub zones: Vec<Zone>,
    /// What went wrong on this page, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The page could not be read at all; it has no zones for that reason.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unreadable: bool,
}

impl PageArtifact {
    /// A page of which nothing could be read, and why.
    pub fn unreadable(number: u32, duration_ms: f64, why: impl Into<String>) -> Self {
        Self {
            version: VERSION,
            number,
            width: 0.0,
            height: 0.0,
            duration_ms,
            zones: Vec::new(),
            warnings: vec![why.into()],
            unreadable: true,
        }
    }

    /// The name of the artifact of a page.
    pub fn name(number: u32) -> String {
        format!("pages/{number:06}.json")
    }
}

/// A region of a page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Zone {
    /// `p<page>z<index>`.
    pub id: String,
    /// Place in the reading order of its page, from 1.
    pub index: u32,
    pub kind: Kind,
    /// Where it is, in points from the top left corner of the page as it is seen.
    pub bbox: Bbox,
    /// What extracted it: `text-layer`, `image`, `ocr:tesseract`, `ocr:mistral`, or `none`.
    pub tool: String,
    pub status: Status,
    /// 0 (guess) to 1 (certain).
    pub confidence: f64,
    /// Milliseconds spent on it: its own and its share of reading the page.
    pub duration_ms: f64,
    /// Why it was skipped, or why it has no text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Its text, lines of running text joined. Of a table: cells divided by tabs, rows by line feeds.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Of a heading: 1 (highest) to 6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// Of a paragraph: set in a fixed pitch, so that its line ends and indents mean something.
    #[serde(default, skip_serializing_if = "is_false")]
    pub preformatted: bool,
    /// Of a list: its items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
    /// Of a table: its rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Vec<Cell>>,
    /// Of a figure or scan: the size of its largest picture in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixels: Option<[u32; 2]>,
    /// Of text read by OCR: its words, where the engine says where they stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<Word>,
}

/// A word that OCR has read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// The word as it was read, before lines were joined.
    pub text: String,
    pub bbox: Bbox,
    /// How sure the engine is, 0 to 1.
    pub confidence: f64,
}

/// What a zone holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Heading,
    Paragraph,
    List,
    Table,
    Figure,
    /// A line repeated at the top of pages.
    Header,
    /// A line repeated at the foot of pages, or a page number.
    Footer,
    /// A picture of text. What OCR read in it stands in the zones after it.
    Scan,
}

/// How the extraction of a zone ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Completed,
    /// Left out on purpose; the note says why.
    Skipped,
}

/// A rectangle in points from the top left corner of the page as it is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bbox {
    pub x0: f64,
    pub y0: f64,
    pub x1: f64,
    pub y1: f64,
}

impl Bbox {
    /// Width; never negative.
    pub fn width(&self) -> f64 {
        (self.x1 - self.x0).max(0.0)
    }

    /// Height; never negative.
    pub fn height(&self) -> f64 {
        (self.y1 - self.y0).max(0.0)
    }

    /// Area in square points.
    pub fn area(&self) -> f64 {
        self.width() * self.height()
    }

    /// The part inside `other`; empty when there is none.
    pub fn clipped(&self, other: &Self) -> Self {
        let (x0, y0) = (self.x0.max(other.x0), self.y0.max(other.y0));
        Self { x0, y0, x1: self.x1.min(other.x1).max(x0), y1: self.y1.min(other.y1).max(y0) }
    }

    /// The smallest rectangle around both.
    pub fn around(&self, other: &Self) -> Self {
        Self {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
        }
    }

    /// Whether the two come closer than `gap` points.
    pub fn is_near(&self, other: &Self, gap: f64) -> bool {
        self.x0 <= other.x1 + gap && other.x0 <= self.x1 + gap && self.y0 <= other.y1 + gap && other.y0 <= self.y1 + gap
    }

    /// Whether the middle of `other` lies inside.
    pub fn holds_middle_of(&self, other: &Self) -> bool {
        let (x, y) = ((other.x0 + other.x1) / 2.0, (other.y0 + other.y1) / 2.0);
        (self.x0..=self.x1).contains(&x) && (self.y0..=self.y1).contains(&y)
    }
}

/// An item of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its number; none for a bullet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// Its text without the marker.
    pub text: String,
}

/// A cell of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    pub text: String,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub colspan: u8,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub rowspan: u8,
}

fn one() -> u8 {
    1
}

fn is_one(number: &u8) -> bool {
    *number == 1
}

fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page as version 1 wrote it. It must be readable for as long as such pages may be stored.
    const STORED: &str = include_str!("../tests/data/page-v1.json");

    #[test]
    fn a_stored_page_stays_readable() {
        let page: PageArtifact = serde_json::from_str(STORED).unwrap();
        assert_eq!((page.version, page.number, page.zones.len()), (1, 3, 3));
        assert_eq!(page.zones[1].rows[0][1], Cell { text: "b".into(), colspan: 2, rowspan: 1 });
        let again: PageArtifact = serde_json::from_str(&serde_json::to_string(&page).unwrap()).unwrap();
        assert_eq!(again, page);
    }

    #[test]
    fn rectangles() {
        let page = Bbox { x0: 0.0, y0: 0.0, x1: 100.0, y1: 100.0 };
        let half_off = Bbox { x0: 50.0, y0: -10.0, x1: 150.0, y1: 10.0 };
        assert_eq!(half_off.clipped(&page).area(), 500.0);
        let off = Bbox { x0: 200.0, y0: 0.0, x1: 300.0, y1: 10.0 };
        assert_eq!(off.clipped(&page).area(), 0.0);
        assert!(!off.is_near(&half_off, 10.0) && off.is_near(&half_off, 50.0));
    }
}
