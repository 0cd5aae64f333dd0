//! How documents are processed, and what they may cost.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::budget::Allowance;
use crate::jail::Limits;
use crate::ocr::mistral::{Mistral, MistralConfig};
use crate::ocr::tesseract::{Tesseract, TesseractConfig};
use crate::ocr::{Ocr, OcrEngine};
use crate::process::{ChildCommand, OutputLimits};
use crate::protocol::PictureSize;
use crate::secret::SecretText;

/// Files a child has open: the document, its pipes and a few for the loader.
const CHILD_OPEN_FILES: u64 = 32;

/// Settings of the pipeline. [`PdfConfig::new`] fills in the defaults.
#[derive(Clone, Debug)]
pub struct PdfConfig {
    /// How to start the isolated child.
    pub child: ChildCommand,
    /// Where temporary files go. Default: the system's directory for them.
    pub work_dir: PathBuf,
    /// The largest document in bytes. Default 512 MiB.
    pub max_document_bytes: u64,
    /// The most pages of a document. Default 5,000.
    pub max_pages: u32,
    /// How many children of all documents work at once. Default: the processors of the machine.
    pub children: u32,
    /// The most pages that one child is given at once. Default 32.
    pub chunk_pages: u32,
    /// Documents with more pages than this left to do are offered to other workers in parts; with 0 none is, and no parts
    /// of others' are taken. Default 400.
    pub split_pages: u32,
    /// The most pages of such a part. Default 100.
    pub part_pages: u32,
    /// How long one page may take. Default 60 s.
    pub page_timeout: Duration,
    /// How long opening a document may take, and the child be silent between pages. Default 120 s.
    pub idle_timeout: Duration,
    /// Address space of a child in bytes. Default 1 GiB.
    pub child_memory_bytes: u64,
    /// Processor time of a child in seconds. Default 1,800.
    pub child_cpu_seconds: u64,
    /// How many children of one document may die before the job fails; a page that kills costs two. Default 20.
    pub child_restarts: u32,
    /// The largest page as JSON, in bytes; the picture of a page must fit, too. Default 32 MiB.
    pub max_page_bytes: usize,
    /// All pages that one child gives, as JSON, in bytes. Default 2 GiB.
    pub max_output_bytes: u64,
    /// Opens documents that need a password. Default none.
    pub password: Option<SecretText>,
    /// What reads pages without usable text. Default [`OcrChoice::Off`].
    pub ocr: OcrChoice,
    /// How pages are drawn for OCR. Default 200 dots per inch, 4,000 pixels, pictures of 150 megapixels.
    pub picture: PictureSize,
    /// How many pages are read by OCR at once. Default: the processors of the machine.
    pub ocr_at_once: u32,
    /// The most pages of one document that are read by OCR. Default 5,000.
    pub ocr_max_pages: u32,
    /// What one document may cost.
    pub allowance: Allowance,
}

/// What reads pages without usable text.
#[derive(Clone, Debug)]
pub enum OcrChoice {
    /// Nothing; their zones say so.
    Off,
    Tesseract(TesseractConfig),
    /// Mistral's service. Pictures of pages leave the house.
    Mistral(MistralConfig),
    Engine(Arc<dyn OcrEngine>),
}

impl PdfConfig {
    /// Settings with the defaults.
    pub fn new(child: ChildCommand) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
        let processors = u32::try_from(processors).unwrap_or(1);
        Self {
            child,
            work_dir: std::env::temp_dir(),
            max_document_bytes: 512 << 20,
            max_pages: 5_000,
            children: processors,
            chunk_pages: 32,
            split_pages: 400,
            part_pages: 100,
            page_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(120),
            child_memory_bytes: 1 << 30,
            child_cpu_seconds: 1_800,
            child_restarts: 20,
            max_page_bytes: 32 << 20,
            max_output_bytes: 2 << 30,
            password: None,
            ocr: OcrChoice::Off,
            picture: PictureSize { dpi: 200, max_side: 4_000, max_source_pixels: 150_000_000 },
            ocr_at_once: processors,
            ocr_max_pages: 5_000,
            allowance: Allowance::default(),
        }
    }

    /// The longest that an attempt at the longest document may take.
    pub(crate) fn max_job_duration(&self) -> Duration {
        self.allowance.time.saturating_add(self.allowance.time_per_page.saturating_mul(self.max_pages))
    }

    /// Of a child that reads a document.
    pub(crate) fn child_limits(&self) -> Limits {
        Limits {
            memory_bytes: self.child_memory_bytes,
            cpu_seconds: self.child_cpu_seconds,
            open_files: CHILD_OPEN_FILES,
        }
    }

    pub(crate) fn output_limits(&self) -> OutputLimits {
        OutputLimits { line_bytes: self.max_page_bytes, total_bytes: self.max_output_bytes }
    }

    pub(crate) fn engine(&self) -> Option<Ocr> {
        let engine: Arc<dyn OcrEngine> = match &self.ocr {
            OcrChoice::Off => return None,
            OcrChoice::Tesseract(config) => {
                Arc::new(Tesseract::new(config.clone(), self.child.clone(), self.work_dir.clone()))
            }
            OcrChoice::Mistral(config) => Arc::new(Mistral::new(config.clone())),
            OcrChoice::Engine(engine) => Arc::clone(engine),
        };
        Some(Ocr::new(engine, self.ocr_at_once))
    }
}
