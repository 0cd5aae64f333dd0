//! How documents are processed, and what they may cost.

use std::path::PathBuf;
use std::time::Duration;

use crate::process::{ChildCommand, Hearing};

/// Settings of the pipeline. [`PdfConfig::new`] fills in the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PdfConfig {
    /// How to start the isolated child.
    pub child: ChildCommand,
    /// Where temporary files go. Default: the system's directory for them.
    pub work_dir: PathBuf,
    /// The largest document in bytes. Default 512 MiB.
    pub max_document_bytes: u64,
    /// The most pages of a document. Default 5,000.
    pub max_pages: u32,
    /// How long one page may take. Default 60 s.
    pub page_timeout: Duration,
    /// How long opening a document may take, and the child be silent between pages. Default 120 s.
    pub idle_timeout: Duration,
    /// Address space of the child in bytes. Default 1 GiB.
    pub child_memory_bytes: u64,
    /// Processor time of the child in seconds. Default 1,800.
    pub child_cpu_seconds: u64,
    /// How often a child that died over a page is replaced, that page left out, before the job fails. Default 3.
    pub child_restarts: u32,
    /// The largest page as JSON, in bytes. Default 32 MiB.
    pub max_page_bytes: usize,
    /// All pages of a document as JSON, in bytes. Default 2 GiB.
    pub max_output_bytes: u64,
}

impl PdfConfig {
    /// Settings with the defaults.
    pub fn new(child: ChildCommand) -> Self {
        Self {
            child,
            work_dir: std::env::temp_dir(),
            max_document_bytes: 512 << 20,
            max_pages: 5_000,
            page_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(120),
            child_memory_bytes: 1 << 30,
            child_cpu_seconds: 1_800,
            child_restarts: 3,
            max_page_bytes: 32 << 20,
            max_output_bytes: 2 << 30,
        }
    }

    pub(crate) fn hearing(&self) -> Hearing {
        Hearing { line_bytes: self.max_page_bytes, total_bytes: self.max_output_bytes }
    }
}
