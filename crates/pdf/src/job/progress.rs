//! The percentages and sentences of a job.
//!
//! 5 started, 10 planned, 15 to 75 in proportion to pages done, 75 merging, 75 to 100 exporting. The 100 is the
//! server's to say.

use courant_worker::{Stage, Task};

use crate::export::Format;

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
        let sentence = if total == 1 { "Planned 1 page".to_owned() } else { format!("Planned {total} pages") };
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

/// The pages to do.
#[derive(Clone, Copy, Debug)]
struct Plan {
    total: u32,
}

impl Plan {
    fn percent(self, done: u32) -> f64 {
        let share = f64::from(done.min(self.total)) / f64::from(self.total.max(1));
        EXTRACTING + (MERGING - EXTRACTING) * share
    }

    fn sentence(self, done: u32) -> String {
        // In the words the server uses for the finished page, so that the sentence counts one thing.
        format!("Processed {done}/{} pages", self.total)
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
    fn the_sentence_counts_pages() {
        assert_eq!(Plan { total: 12 }.sentence(3), "Processed 3/12 pages");
    }

    #[test]
    fn percent_runs_from_checkpoint_to_checkpoint() {
        let plan = Plan { total: 4 };
        assert_eq!([0, 1, 4].map(|done| plan.percent(done)), [15.0, 30.0, 75.0]);
        assert_eq!([export_percent(0, 4), export_percent(1, 4), export_percent(4, 4)], [75.0, 81.25, 100.0]);
    }
}
