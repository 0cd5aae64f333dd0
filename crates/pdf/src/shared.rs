//! What all jobs of one worker share: turns for children, and the OCR engine.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::ocr::Ocr;

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) ocr: Option<Ocr>,
    turns: Semaphore,
}

impl Shared {
    /// With so many children at work at once.
    pub(crate) fn new(children: u32, ocr: Option<Ocr>) -> Self {
        Self { ocr, turns: Semaphore::new(children.max(1) as usize) }
    }

    /// Waits for a turn; first come, first served.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Closed never; if it were, going on without a turn is better than not going on.
        self.turns.acquire().await.ok()
    }
}
