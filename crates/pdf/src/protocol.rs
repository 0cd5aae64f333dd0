//! What the isolated child is told and what it says: one JSON object a line.
//!
//! What it is for stands in one environment variable. A child that reads a document then hears [`Instruction`]s on its
//! standard input and answers on its standard output. The parent believes nothing it has not checked: every line has a
//! greatest length, all lines together have one, and pages that were not asked for are refused.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::artifact::{PageArtifact, Zone};
use crate::backend::PageHints;
use crate::jail::Limits;

/// The environment variable with the [`Request`].
pub const REQUEST_VARIABLE: &str = "COURANT_PDF_REQUEST";

/// How the line begins in which a child says how it is isolated.
pub const JAIL: &str = "jail: ";

/// What a child is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The process that asks; the child ends when it is gone.
    pub parent: u32,
    /// What it may use up.
    pub limits: Limits,
    pub task: ChildTask,
}

/// What a child does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildTask {
    /// Reads a document, as its instructions say.
    Read {
        /// The file; opened before anything is given up.
        document: PathBuf,
        /// A document with more pages is refused.
        max_pages: u32,
        /// Pages without usable text are drawn for OCR like this.
        picture: Option<PictureSize>,
        rules: TextRules,
    },
    /// Becomes another program, with what it needs and no more.
    Become {
        program: PathBuf,
        args: Vec<String>,
        /// Files and folders it may read.
        read: Vec<PathBuf>,
        /// Says on its standard error how it is isolated, in a line that begins with [`JAIL`], before it becomes the program.
        #[serde(default)]
        announce: bool,
    },
    /// Isolates itself like one that reads, says so like one that becomes a program, and ends.
    Probe,
}

/// Which text counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextRules {
    /// All pages are drawn for OCR, whatever their text.
    pub ocr_every_page: bool,
    /// Text that is drawn invisibly is left out.
    pub exclude_hidden: bool,
}

/// How pages are drawn for OCR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureSize {
    /// Dots per inch, where that is not over the other limits.
    pub dpi: u32,
    /// The longer side, in pixels. Page sizes are the stranger's choice.
    pub max_side: u32,
    /// A page with a picture of more pixels than this is not drawn.
    pub max_source_pixels: u64,
}

/// What a reading child is told, one thing after the other. It answers each before it takes the next.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instruction {
    /// First: open the document.
    Open { password: Option<String> },
    /// Look at some pages to learn about the whole document. Answered with [`ChildMessage::Surveyed`].
    Survey {
        /// Pages not to look at.
        avoid: Vec<u32>,
    },
    /// What another child has learnt. Not answered.
    Know { survey: Survey },
    /// Read pages. Answered with [`ChildMessage::Page`] for each and [`ChildMessage::Done`].
    Read {
        chunk: Chunk,
        /// Pages not to look at, unless they are to be read.
        avoid: Vec<u32>,
        /// Pages not to draw.
        undrawn: Vec<u32>,
    },
}

/// Pages in a row, from 1, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    pub first: u32,
    pub last: u32,
}

/// What some pages tell about the whole document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    pub hints: Vec<(u32, PageHints)>,
}

/// What a reading child says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ChildMessage {
    /// The document is open.
    Opened { pages: u32 },
    /// The document cannot be processed. The last line.
    Refused { why: Refusal, detail: String },
    /// The survey is done.
    Surveyed { survey: Survey },
    /// From here on, whatever goes wrong is this page's error.
    Reading { page: u32 },
    /// From here on, whatever goes wrong is the error of this page's pictures.
    Drawing { page: u32 },
    /// How the page looks; before the page itself.
    Picture {
        page: u32,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Dots per inch.
        dpi: u32,
        /// A PNG, in base64.
        png: String,
    },
    /// Work on a zone began.
    Zone {
        page: u32,
        /// The zone, still without its text.
        zone: Zone,
    },
    /// A page is done.
    Page { page: PageArtifact },
    /// All pages of the chunk are done.
    Done,
}

/// Why a document is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    NotPdf,
    /// A password is needed and none was given.
    PasswordRequired,
    /// A password was given, and it is not the right one.
    WrongPassword,
    /// Its structure cannot be read.
    Damaged,
    /// It has no pages.
    NoPages,
    /// It has more pages than allowed.
    TooManyPages,
    /// It does not even fit into the memory allowed.
    OutOfMemory,
    /// The child could not be set up; not the document's error.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_went_in() {
        assert_eq!(ranges(vec![5, 1, 2, 3, 9, 2]), [(1, 3), (5, 5), (9, 9)]);
        assert!(ranges(Vec::new()).is_empty());
    }
}
