//! What all jobs of one worker share: turns for children, the OCR engine, and what documents have cost.

use crate::budget::Ledger;
use crate::fair_semaphore::{FairSemaphore, Permit};
use crate::ocr::Ocr;
use crate::stats::PdfStats;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) ocr: Option<Ocr>,
    pub(crate) ledger: Ledger,
    pub(crate) stats: PdfStats,
    turns: FairSemaphore,
}

impl Shared {
    /// With so many children at work at once.
    pub(crate) fn new(children: u32, ocr: Option<Ocr>) -> Self {
        Self { ocr, ledger: Ledger::default(), stats: PdfStats::default(), turns: FairSemaphore::new(children) }
    }

    /// Waits for a turn to have a child read pages of this document.
    pub(crate) async fn child_permit(&self, document: &str) -> Permit {
        self.turns.take(document).await
    }
}
