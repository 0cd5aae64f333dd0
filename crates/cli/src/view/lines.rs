//! Plain lines, for files, pipes and logs.

use std::collections::HashMap;

use courant_bridge::wire::names;
use courant_proto::v1::Job;

use super::{View, percent, sentence};
use crate::failure::Failure;
use crate::follow::Update;
use crate::out;

/// A line for every state and stage, and one each time this much more is done.
const STEP_PERCENT: f64 = 5.0;

/// What was last printed of each job.
#[derive(Default)]
pub struct Lines {
    shown: HashMap<String, Shown>,
}

#[derive(PartialEq)]
struct Shown {
    state: i32,
    stage: i32,
    attempt: i32,
    steps: i64,
}

impl View for Lines {
    fn show(&mut self, job_id: &str, update: Update) -> Result<(), Failure> {
        match update {
            Update::Snapshot(job) | Update::Ended(job) => self.line(job_id, &job)?,
            Update::Event { event, .. } => {
                if let Some(job) = &event.job {
                    self.line(job_id, job)?;
                }
            }
            Update::Live { .. } | Update::Gap(_) => {}
            Update::Interrupted(cause) => eprintln!("{job_id}  connection lost ({cause}), connecting again"),
        }
        Ok(())
    }

    fn failed(&mut self, job_id: &str, failure: &Failure) {
        eprintln!("courant: {job_id}: {failure}");
    }
}

impl Lines {
    fn line(&mut self, job_id: &str, job: &Job) -> Result<(), Failure> {
        let stage = job.progress.as_ref().map_or(0, |progress| progress.stage);
        // Whole steps of 0 to 100: fits.
        #[allow(clippy::cast_possible_truncation)]
        let steps = (percent(job) / STEP_PERCENT) as i64;
        let now = Shown { state: job.state, stage, attempt: job.attempt, steps };
        if self.shown.get(job_id) == Some(&now) {
            return Ok(());
        }
        self.shown.insert(job_id.to_owned(), now);
        let state = names::state(job.state());
        let (percent, name, what) = (percent(job), &job.filename, sentence(job));
        out::line(format_args!("{job_id}  {percent:>3.0} %  {state:<10}  {name}  {what}"))
    }
}
