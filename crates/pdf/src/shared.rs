//! What all jobs of one worker share: turns for children, the OCR engine, what was said once.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::ocr::Ocr;

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) ocr: Option<Ocr>,
    turns: Semaphore,
    told: AtomicBool,
}

impl Shared {
    /// With so many children at work at once.
    pub(crate) fn new(children: u32, ocr: Option<Ocr>) -> Self {
        Self { ocr, turns: Semaphore::new(children.max(1) as usize), told: AtomicBool::new(false) }
    }

    /// Waits for a turn; first come, first served.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Closed never; if it were, going on without a turn is better than not going on.
        self.turns.acquire().await.ok()
    }

    /// Logs what isolates the children, once.
    pub(crate) fn isolated(&self, by: &[String]) {
        if !self.told.swap(true, Ordering::Relaxed) {
            let has = |what: &str| by.iter().any(|measure| measure.starts_with(what));
            if has("seccomp") && has("landlock") {
                tracing::info!(by = by.join(", "), "PDFs are parsed in isolated processes");
            } else {
                let by = by.join(", ");
                tracing::warn!(by, "PDFs are parsed in processes that this kernel isolates only in part");
            }
        }
    }
}
