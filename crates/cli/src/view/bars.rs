//! Progress bars on a terminal.

use std::collections::HashMap;

use courant_proto::v1::{Job, JobState};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{View, percent, sentence};
use crate::failure::Failure;
use crate::follow::Update;

const NAME_WIDTH: usize = 24;
/// The bar counts tenths of a percent.
const LENGTH: u64 = 1000;

/// One bar for each job, in the order they were first heard of.
#[derive(Default)]
pub struct Bars {
    screen: MultiProgress,
    bars: HashMap<String, ProgressBar>,
}

impl View for Bars {
    fn show(&mut self, job_id: &str, update: Update) -> Result<(), Failure> {
        let bar = self.bar(job_id);
        match update {
            Update::Snapshot(job) => draw(&bar, &job),
            Update::Event { event, .. } => {
                if let Some(job) = &event.job {
                    draw(&bar, job);
                }
            }
            Update::Live { .. } | Update::Gap(_) => {}
            Update::Interrupted(_) => bar.set_message("connection lost, connecting again …"),
            Update::Ended(job) => {
                draw(&bar, &job);
                bar.abandon();
            }
        }
        Ok(())
    }

    fn failed(&mut self, job_id: &str, failure: &Failure) {
        self.bar(job_id).abandon_with_message(failure.to_string());
    }
}

impl Bars {
    fn bar(&mut self, job_id: &str) -> ProgressBar {
        let (screen, bars) = (&self.screen, &mut self.bars);
        bars.entry(job_id.to_owned())
            .or_insert_with(|| {
                let bar = screen.add(ProgressBar::new(LENGTH));
                bar.set_style(style(JobState::Queued));
                bar.set_prefix(fitted(job_id));
                bar
            })
            .clone()
    }
}

fn draw(bar: &ProgressBar, job: &Job) {
    bar.set_style(style(job.state()));
    bar.set_prefix(fitted(&job.filename));
    // Whole tenths of 0 to 100: fits.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    bar.set_position((percent(job).clamp(0.0, 100.0) * 10.0) as u64);
    let left = job.progress.as_ref().and_then(|progress| progress.estimated_remaining.as_ref());
    let left =
        left.filter(|_| job.state() == JobState::Running).map(|left| format!(", {} s left", left.seconds.max(1)));
    bar.set_message(format!("{}{}", sentence(job), left.unwrap_or_default()));
}

fn style(state: JobState) -> ProgressStyle {
    let colour = match state {
        JobState::Succeeded => "green",
        JobState::Failed => "red",
        JobState::Cancelling | JobState::Cancelled => "yellow",
        JobState::Unspecified | JobState::Queued | JobState::Running => "cyan",
    };
    let template = format!("{{prefix}} {{bar:28.{colour}/dim}} {{percent:>3}} % {{wide_msg}}");
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─")
}

/// The name, cut or filled to the width of the column.
fn fitted(name: &str) -> String {
    let safe: String = name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if safe.chars().count() <= NAME_WIDTH {
        return format!("{safe:<NAME_WIDTH$}");
    }
    let head: String = safe.chars().take(NAME_WIDTH - 1).collect();
    format!("{head}…")
}
