//! The percentages and sentences of a job.
//!
//! 5 started, 10 planned, 15 to 75 in proportion to pages done, 75 merging, 75 to 100 exporting. The 100 is the
//! server's to say.

use courant_worker::{Stage, Task};

use crate::export::Format;

/// A document is counted in at most this many chunks.
const MAX_CHUNKS: u32 = 50;

const STARTED: f64 = 5.0;
const PLANNED: f64 = 10.0;
const EXTRACTING: f64 = 15.0;
const MERGING: f64 = 75.0;
const DONE: f64 = 100.0;

/// Tells the server how far a job is.
pub(super) struct Progress<'a> {
    task: &'a Task,
    pages: Plan,
}

impl<'a> Progress<'a> {
    pub(super) fn new(task: &'a Task) -> Self {
        Self { task, pages: Plan { total: 0 } }
    }

    pub(super) fn analysing(&self) {
        self.task.progress(STARTED, Stage::Analyse, "Opening the document", (0, 0));
    }

    pub(super) fn planned(&mut self, total: u32) {
        self.pages = Plan { total };
        let sentence = match (total, self.pages.chunks()) {
            (1, _) => "Planned 1 page".to_owned(),
            (pages, chunks) if pages == chunks => format!("Planned {pages} pages"),
            (pages, chunks) => format!("Planned {pages} pages in {chunks} chunks"),
        };
        self.task.progress(PLANNED, Stage::Analyse, &sentence, (0, total));
    }

    pub(super) fn extracting(&self, done: u32) {
        let Plan { total } = self.pages;
        self.task.progress(self.pages.percent(done), Stage::Extract, &self.pages.sentence(done), (done, total));
    }

    pub(super) fn merging(&self, pages: u32) {
        let sentence = if pages == 1 { "Merging 1 page".to_owned() } else { format!("Merging {pages} pages") };
        self.task.progress(MERGING, Stage::Merge, &sentence, (pages, pages));
    }

    pub(super) fn exporting(&self, format: Format, done: usize, of: usize) {
        let sentence = format!("Writing {} ({}/{of})", format.name(), done + 1);
        self.task.progress(export_percent(done, of), Stage::Export, &sentence, (count(done), count(of)));
    }

    pub(super) fn exported(&self, of: usize) {
        self.task.progress(export_percent(of, of), Stage::Export, "All results written", (count(of), count(of)));
    }
}

/// Pages in chunks.
#[derive(Clone, Copy, Debug)]
struct Plan {
    total: u32,
}

impl Plan {
    /// Pages in a chunk.
    fn chunk(self) -> u32 {
        self.total.div_ceil(MAX_CHUNKS).max(1)
    }

    fn chunks(self) -> u32 {
        self.total.div_ceil(self.chunk())
    }

    fn chunks_done(self, pages: u32) -> u32 {
        if pages >= self.total { self.chunks() } else { pages / self.chunk() }
    }

    fn percent(self, done: u32) -> f64 {
        let share = f64::from(done.min(self.total)) / f64::from(self.total.max(1));
        EXTRACTING + (MERGING - EXTRACTING) * share
    }

    fn sentence(self, done: u32) -> String {
        format!("Processed {}/{} chunks", self.chunks_done(done), self.chunks())
    }
}

fn export_percent(done: usize, of: usize) -> f64 {
    MERGING + (DONE - MERGING) * f64::from(count(done)) / f64::from(count(of.max(1)))
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_documents_go_page_by_page_large_ones_in_at_most_fifty_chunks() {
        assert_eq!(Plan { total: 12 }.sentence(3), "Processed 3/12 chunks");
        assert_eq!(Plan { total: 311 }.sentence(311), "Processed 45/45 chunks");
        assert_eq!(Plan { total: 311 }.sentence(13), "Processed 1/45 chunks");
        for total in 1..=5_000 {
            let plan = Plan { total };
            assert!((1..=MAX_CHUNKS).contains(&plan.chunks()));
            assert_eq!(plan.chunks_done(total), plan.chunks());
        }
    }

    #[test]
    fn percent_runs_from_checkpoint_to_checkpoint() {
        let plan = Plan { total: 4 };
        assert_eq!([0, 1, 4].map(|done| plan.percent(done)), [15.0, 30.0, 75.0]);
        assert_eq!([export_percent(0, 4), export_percent(1, 4), export_percent(4, 4)], [75.0, 81.25, 100.0]);
    }
}
