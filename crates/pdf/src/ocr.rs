//! Reading pictures of pages: one trait, several engines.
//!
//! Runs in the parent, which never decodes a picture itself: an engine is a program in a jail of its own, or a service
//! elsewhere. What comes back was made from a stranger's picture and is trusted as little as that.

mod blocks;
pub mod markdown;
mod merge;
pub mod mistral;
mod program;
pub mod tesseract;
pub mod tsv;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::artifact::{Bbox, Cell, Item};
use crate::fair_semaphore::FairSemaphore;
use crate::supervisor::Supervisor;
pub(crate) use merge::{failed, merged};

/// Reads pictures of pages.
#[async_trait]
pub trait OcrEngine: Send + Sync + fmt::Debug {
    /// What zones name as their tool, for example `ocr:tesseract`.
    fn tool(&self) -> &'static str;

    /// Reads one page, whose text is in these languages; in those that the engine is configured with, if none is named. Being
    /// dropped is how it is cancelled; nothing may go on after that. Processes are started through the supervisor of the document.
    async fn read(&self, picture: &Picture, languages: &[String], supervisor: &Supervisor)
    -> Result<Reading, OcrError>;

    /// The languages that it can be asked for. `None` where it finds out by itself, whatever it is asked for.
    fn languages(&self) -> Option<&[String]> {
        None
    }
}

/// How a page looks.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    pub png: bytes::Bytes,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Dots per inch.
    pub dpi: u32,
}

impl Picture {
    /// From what a child says; none when it is no PNG.
    pub(crate) fn decoded(width: u32, height: u32, dpi: u32, png: &str) -> Option<Self> {
        let png = STANDARD.decode(png).ok()?;
        let sane = png.starts_with(b"\x89PNG\r\n") && width > 0 && height > 0;
        sane.then(|| Self { png: png.into(), width, height, dpi: dpi.clamp(1, 2400) })
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({} × {}, {} dpi, {} bytes)", self.width, self.height, self.dpi, self.png.len())
    }
}

/// What an engine reads on a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// In reading order.
    pub blocks: Vec<ReadBlock>,
    /// How sure the engine is of the page, 0 to 1.
    pub confidence: f64,
    /// What this page cost, in US dollars, where the engine costs something.
    pub cost_usd: f64,
}

/// A block that an engine has read. Places are shares of the page: (0, 0) is its top left, (1, 1) its bottom right corner.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadBlock {
    pub bbox: Bbox,
    pub content: ReadContent,
    /// How sure the engine is of it, 0 to 1.
    pub confidence: f64,
    /// Its words, where the engine says where they stand.
    pub words: Vec<ReadWord>,
}

/// What a read block holds.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadContent {
    /// A heading of level 1 to 6.
    Heading(u8, String),
    Paragraph(String),
    /// Text whose line ends count.
    Preformatted(String),
    List(Vec<Item>),
    Table(Vec<Vec<Cell>>),
    Header(String),
    Footer(String),
}

/// A word, its place as in [`ReadBlock`].
#[derive(Clone, Debug, PartialEq)]
pub struct ReadWord {
    pub text: String,
    pub bbox: Bbox,
    /// How sure the engine is, 0 to 1.
    pub confidence: f64,
}

/// Why a page was not read. What people see is [`OcrError::note`]; the rest is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OcrError {
    /// The engine cannot be started or reached at all.
    #[error("the OCR engine cannot be used: {0}")]
    Unavailable(String),
    /// It refuses our key, our request or this picture; trying again does not help.
    #[error("the OCR engine refused: {0}")]
    Refused(String),
    /// It was still at it when its time was over.
    #[error("the OCR engine took too long")]
    TimedOut,
    /// It failed on this page.
    #[error("the OCR engine failed: {0}")]
    Failed(String),
    /// It said more than is allowed, or something that makes no sense.
    #[error("the OCR engine's answer cannot be used: {0}")]
    ProtocolViolation(String),
    /// The job has used up the pages it may have read.
    #[error("the job's OCR pages are used up")]
    UsedUp,
}

impl OcrError {
    /// What the zone says.
    pub fn note(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "the OCR engine cannot be used; this region was not read",
            Self::Refused(_) => "the OCR engine refused this page; this region was not read",
            Self::TimedOut => "the OCR engine took too long; this region was not read",
            Self::Failed(_) | Self::ProtocolViolation(_) => {
                "the OCR engine failed on this page; this region was not read"
            }
            Self::UsedUp => "more scanned pages than may be read for one document; this region was not read",
        }
    }
}

/// An engine shared by all jobs of a worker, a limited number of pages at a time, documents in turn.
#[derive(Clone, Debug)]
pub struct Ocr {
    engine: Arc<dyn OcrEngine>,
    turns: FairSemaphore,
}

impl Ocr {
    /// With so many pages at a time.
    pub fn new(engine: Arc<dyn OcrEngine>, at_once: u32) -> Self {
        Self { engine, turns: FairSemaphore::new(at_once) }
    }

    pub(crate) fn tool(&self) -> &'static str {
        self.engine.tool()
    }

    pub(crate) fn languages(&self) -> Option<&[String]> {
        self.engine.languages()
    }

    /// Reads a page of this document when it is its turn.
    pub(crate) async fn read(
        &self,
        document: &str,
        picture: &Picture,
        languages: &[String],
        supervisor: &Supervisor,
    ) -> Result<Reading, OcrError> {
        let _turn = self.turns.take(document).await;
        self.engine.read(picture, languages, supervisor).await
    }
}
