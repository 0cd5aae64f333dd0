//! The pictures of one job's pages through the OCR engine, with what that took and cost.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use courant_worker::Task;

use crate::artifact::{Kind, PageArtifact, Zone};
use crate::ocr::{self, Ocr, OcrError, Picture};
use crate::stats::PdfStats;
use crate::supervisor::Supervisor;
use crate::{wire, zones};

pub(super) struct PictureReader<'a> {
    pub(super) ocr: &'a Ocr,
    pub(super) task: &'a Task,
    /// Those that the job asks for; the engine's own, if it asks for none.
    pub(super) languages: Vec<String>,
    /// What was read takes the place of the text of the file.
    pub(super) replaces_text: bool,
    pub(super) stats: &'a PdfStats,
    /// The most pages of one job.
    pub(super) max_pages: u32,
    pub(super) used: Mutex<Used>,
    pub(super) supervisor: &'a Supervisor,
}

/// What a job has used of its engine.
#[derive(Debug, Default)]
pub(super) struct Used {
    pages: u32,
    failed: u32,
    time: Duration,
    cost_usd: f64,
}

impl PictureReader<'_> {
    /// The page with what stands in its picture, or with the reason why that was not read.
    pub(super) async fn read(&self, page: PageArtifact, picture: &Picture) -> PageArtifact {
        if let Some(scan) = page.zones.iter().find(|zone| zone.kind == Kind::Scan) {
            let begun = Zone { tool: self.ocr.tool().into(), note: String::new(), ..scan.clone() };
            self.task.zone(wire::begun(&begun, page.number));
        }
        let mut span = self.task.span("ocr");
        span.set("courant.page", i64::from(page.number));
        span.set("courant.tool", self.ocr.tool().to_owned());
        let start = Instant::now();
        let read = if self.may_read() {
            self.supervisor.budget.add_ocr_page();
            self.ocr.read(self.task.job_id(), picture, &self.languages, self.supervisor).await
        } else {
            Err(OcrError::UsedUp)
        };
        let took = start.elapsed();
        self.stats.ocr(took, read.is_err());
        match read {
            Ok(reading) => {
                self.note(took, reading.cost_usd, 0);
                let page = if self.replaces_text { zones::without_text_layer(page) } else { page };
                ocr::merged(page, reading, self.ocr.tool(), took)
            }
            Err(error) => {
                tracing::warn!(%error, page = page.number, ?picture, "a page was not read");
                span.fail(error.to_string());
                self.note(took, 0.0, 1);
                ocr::failed(page, &error, took)
            }
        }
    }

    /// Whether one page more may be read; counts it.
    fn may_read(&self) -> bool {
        self.used.lock().is_ok_and(|mut used| {
            used.pages += 1;
            used.pages <= self.max_pages
        })
    }

    fn note(&self, took: Duration, cost_usd: f64, failed: u32) {
        if let Ok(mut used) = self.used.lock() {
            used.time += took;
            used.cost_usd += cost_usd;
            used.failed += failed;
        }
    }

    /// Says what it came to.
    pub(super) fn account(&self) {
        let Ok(used) = self.used.lock() else { return };
        if used.pages > 0 {
            tracing::info!(
                job = self.task.job_id(),
                tool = self.ocr.tool(),
                pages = used.pages,
                failed = used.failed,
                seconds = used.time.as_secs_f64(),
                cost_usd = used.cost_usd,
                "pages were read by OCR"
            );
        }
    }
}
