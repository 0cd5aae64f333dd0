//! The life of a job as one pure, total function: the only writer of [`Job`].
//!
//! It reads no clock, asks nobody and never panics; the same job and event always give the same job. What it refuses
//! is no event: it must not be appended.
//!
//! The states, the moves and who makes them are one diagram in `docs/life-of-a-job.md`; a test compares it with what
//! this function does.
//!
//! A cancel that was promised is kept: from Cancelling the only way is Cancelled, also when the worker reports another
//! end first.

mod begin;
mod end;
mod work;

#[cfg(test)]
mod diagram;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use crate::event::{Change, Event};
use crate::ids::Timestamp;
use crate::job::{Format, Job, KEPT_WARNINGS, MAX_OUTPUTS, Pages, Stage, State};

/// Why a change is not possible, in words of what the caller can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IllegalChange {
    /// Only a submit brings a job into being. Submit it first.
    #[error("the job does not exist yet")]
    NotYet,
    /// A job is submitted once. Read it.
    #[error("the job exists already")]
    AlreadyExists,
    /// The job's state does not have this way out. Read the job again and decide again.
    #[error("the job is {state:?}, which does not allow this")]
    WrongState { state: State },
    /// The report is of another attempt. Whoever sent it does not hold the job and must stop.
    #[error("the job is at attempt {current}, not at this one")]
    WrongAttempt { current: u32 },
    /// The number of pages is not known yet. Report the plan first.
    #[error("the number of pages is not known yet")]
    NotPlanned,
    /// A plan of no pages, or not the one an earlier attempt made of the same document. Fail the attempt.
    #[error("a plan of {reported} pages, where {known:?} are known")]
    BadPlan { known: Option<u32>, reported: u32 },
    /// The document has no such page. Fail the attempt.
    #[error("there is no page {page} among {total}")]
    BadPage {
        page: u32,
        /// Pages in the document.
        total: u32,
    },
    /// It was reported before. Take it as done.
    #[error("it was reported before")]
    Duplicate,
    /// The job did not ask for this format. Leave it out.
    #[error("the job does not export {format:?}")]
    NotAsked { format: Format },
    /// An export ends that did not start. Report the start first.
    #[error("the export of {format:?} has not started")]
    NotStarted { format: Format },
    /// The job has as many outputs as it may have. Put several into one.
    #[error("the job has {MAX_OUTPUTS} outputs, which is as many as it may have")]
    TooManyOutputs,
    /// The job cannot end well while an export is being written. Report its end first.
    #[error("the export of {format:?} has not ended")]
    NotEnded { format: Format },
}

/// The job after the event, or why there is no such event in its life.
pub fn apply(job: Option<&Job>, event: &Event) -> Result<Job, IllegalChange> {
    let at = event.at;
    let Some(job) = job else {
        return match &event.change {
            Change::Submitted(submission) => Ok(begin::submitted(submission, at)),
            Change::Started { .. }
            | Change::Planned { .. }
            | Change::PageFinished { .. }
            | Change::ExportStarted { .. }
            | Change::ExportCompleted { .. }
            | Change::ExportFailed { .. }
            | Change::OutputStored { .. }
            | Change::Retrying { .. }
            | Change::Requeued { .. }
            | Change::Cancelling { .. }
            | Change::Succeeded { .. }
            | Change::Failed { .. }
            | Change::Cancelled { .. } => Err(IllegalChange::NotYet),
        };
    };
    let mut next = job.clone();
    change(&mut next, &event.change, at)?;
    if next.state.is_held() {
        next.ran_ms = None;
    } else if job.state.is_held() {
        end::measured(&mut next, event.ran_ms);
    }
    Ok(next)
}

/// Whether another attempt may follow if the current one ends now and is charged: false when it would be the last fruitless
/// one that the job has.
pub fn may_retry(job: &Job) -> bool {
    end::attempts_without_progress_after(job) < job.max_attempts
}

fn change(job: &mut Job, change: &Change, at: Timestamp) -> Result<(), IllegalChange> {
    match change {
        Change::Submitted(_) => Err(IllegalChange::AlreadyExists),
        Change::Started { attempt, worker } => begin::started(job, *attempt, worker, at),
        Change::Planned { attempt, pages, lane, document } => {
            work::planned(running(job, *attempt)?, *pages, *lane, *document)
        }
        Change::PageFinished { attempt, page } => work::page_finished(running(job, *attempt)?, page),
        Change::ExportStarted { attempt, format } => work::export_started(running(job, *attempt)?, *format),
        Change::ExportCompleted { attempt, format, bytes, sha256 } => {
            work::export_completed(running(job, *attempt)?, *format, *bytes, sha256)
        }
        Change::ExportFailed { attempt, format, error } => work::export_failed(running(job, *attempt)?, *format, error),
        Change::OutputStored { attempt, output } => work::output_stored(running(job, *attempt)?, output),
        Change::Retrying { attempt, error, not_before, charge } => {
            end::retrying(running(job, *attempt)?, error, *not_before, *charge, at);
            Ok(())
        }
        Change::Requeued { by: _, password } => begin::requeued(job, password.as_deref(), at),
        Change::Cancelling { by } => end::cancelling(job, by),
        Change::Succeeded { attempt, warnings } => end::succeeded(running(job, *attempt)?, warnings, at),
        Change::Failed { attempt, error } => {
            end::failed(running(job, *attempt)?, error, at);
            Ok(())
        }
        Change::Cancelled { by } => end::cancelled(job, by, at),
    }
}

/// The job, if this attempt of it is running.
fn running(job: &mut Job, attempt: u32) -> Result<&mut Job, IllegalChange> {
    // The attempt first: an old worker must learn that it lost the lease, whatever became of the job.
    if job.attempt != attempt {
        return Err(IllegalChange::WrongAttempt { current: job.attempt });
    }
    match job.state {
        State::Running => Ok(job),
        State::Queued | State::Cancelling | State::Succeeded | State::Failed | State::Cancelled => wrong_state(job),
    }
}

fn wrong_state<T>(job: &Job) -> Result<T, IllegalChange> {
    Err(IllegalChange::WrongState { state: job.state })
}

/// Moves the progress on, never back.
fn advance(job: &mut Job, percent: f64, stage: Stage, operation: String) {
    job.progress.percent = job.progress.percent.max(percent);
    job.progress.stage = job.progress.stage.max(stage);
    job.progress.operation = operation;
    count_units(job);
}

/// What finished pages are worth: 15 to 75 percent. Nothing before the first.
fn pages_percent(pages: &Pages) -> f64 {
    match (pages.done_count(), pages.total) {
        (0, _) | (_, None | Some(0)) => 0.0,
        (done, Some(total)) => 15.0 + 60.0 * f64::from(done) / f64::from(total),
    }
}

fn count_units(job: &mut Job) {
    job.progress.units_done = job.pages.done_count();
    job.progress.units_total = job.pages.total.unwrap_or(0);
}

fn warn(job: &mut Job, warnings: impl Iterator<Item = String>) {
    let room = KEPT_WARNINGS.saturating_sub(job.warnings.len());
    job.warnings.extend(warnings.take(room));
}
