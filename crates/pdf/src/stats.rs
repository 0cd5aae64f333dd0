//! What the pipeline counts of itself, for operators.

use std::fmt;
use std::time::Duration;

use courant_monitoring::Samples;
use courant_runtime::stats::{Counter, Histogram};

use crate::budget::Exceeded;
use crate::process::ChildFailure;

/// From 1 ms to a minute, the longest that a page may take.
const PAGES: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Shared by all jobs of a program.
#[derive(Debug)]
pub(crate) struct PdfStats {
    /// How long the children took for each page that was finished.
    pages: Histogram,
    /// Pages of which nothing could be read.
    unreadable: Counter,
    /// How long OCR took for each page, with its wait for a turn.
    ocr: Histogram,
    ocr_failed: Counter,
    children_failed: [Counter; REASONS.len()],
    over_budget: [Counter; BUDGETS.len()],
}

/// Why children fail: they hung, wrote too much or nonsense, were given no more memory, or died.
const REASONS: [&str; 5] = ["timeout", "output", "protocol", "memory", "died"];
const BUDGETS: [&str; 2] = ["cpu", "time"];

impl Default for PdfStats {
    fn default() -> Self {
        Self {
            pages: Histogram::of_seconds(PAGES),
            unreadable: Counter::default(),
            ocr: Histogram::of_seconds(PAGES),
            ocr_failed: Counter::default(),
            children_failed: Default::default(),
            over_budget: Default::default(),
        }
    }
}

impl PdfStats {
    pub(crate) fn page(&self, ms: f64, unreadable: bool) {
        self.pages.observe(Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default());
        if unreadable {
            self.unreadable.inc();
        }
    }

    pub(crate) fn ocr(&self, took: Duration, failed: bool) {
        self.ocr.observe(took);
        if failed {
            self.ocr_failed.inc();
        }
    }

    pub(crate) fn child_failed(&self, failure: &ChildFailure) {
        let reason = match failure {
            ChildFailure::Silent => 0,
            ChildFailure::TooMuch => 1,
            ChildFailure::ProtocolViolation(_) => 2,
            ChildFailure::Died { .. } if failure.is_out_of_memory() => 3,
            ChildFailure::Died { .. } => 4,
        };
        self.children_failed[reason].inc();
    }

    pub(crate) fn over_budget(&self, exceeded: Exceeded) {
        let which = match exceeded {
            Exceeded::Cpu(_) => 0,
            Exceeded::Time(_) => 1,
        };
        self.over_budget[which].inc();
    }

    pub(crate) fn write(&self, samples: &mut Samples<'_>) -> fmt::Result {
        let help = "How long each finished page took, without OCR.";
        samples.histogram("courant_pdf_page_duration_seconds", help, &self.pages)?;
        samples.counter(
            "courant_pdf_pages_unreadable",
            "Pages of which nothing could be read.",
            self.unreadable.get(),
        )?;
        let help = "How long OCR took for each page, with the wait for its turn.";
        samples.histogram("courant_pdf_ocr_duration_seconds", help, &self.ocr)?;
        samples.counter("courant_pdf_ocr_failures", "Pages that OCR could not read.", self.ocr_failed.get())?;
        let rows = REASONS.iter().zip(&self.children_failed).map(|(reason, count)| ([*reason], count.get()));
        let help = "Isolated processes that failed or were ended for going over a limit, by reason.";
        samples.counters("courant_pdf_children_failed", help, ["reason"], rows)?;
        let rows = BUDGETS.iter().zip(&self.over_budget).map(|(limit, count)| ([*limit], count.get()));
        let help = "Documents that were stopped because they cost too much, by limit.";
        samples.counters("courant_pdf_documents_over_budget", help, ["limit"], rows)
    }
}
