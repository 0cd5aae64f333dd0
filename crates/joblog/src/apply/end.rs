//! How an attempt ends, and with it, maybe, the job.

use super::begin::queue;
use super::{IllegalChange, warn, wrong_state};
use crate::event::AttemptCharge;
use crate::ids::Timestamp;
use crate::job::{Attempt, ExportState, Job, JobError, KEPT_ATTEMPTS, MAX_ATTEMPTS_KEEPING_POSITION, Stage, State};

pub(super) fn retrying(job: &mut Job, error: &JobError, not_before: Timestamp, charge: AttemptCharge, at: Timestamp) {
    job.attempts_without_progress = match charge {
        AttemptCharge::Charged => attempts_without_progress_after(job),
        AttemptCharge::Free if job.pages.done_by(job.attempt) > 0 => 0,
        AttemptCharge::Free => job.attempts_without_progress,
    };
    remember(job, error, at);
    let queued = if keeps_its_position(job) { job.queued } else { at };
    queue(job, "Waiting to try again".into(), queued);
    job.not_before = Some(not_before);
}

/// Whether a job that is tried again keeps its position: nobody who came later is served before it only because a worker went
/// away. After [`MAX_ATTEMPTS_KEEPING_POSITION`] attempts in a row without a page it goes to the end of its queue: a job that
/// breaks its workers must not be the first for ever.
fn keeps_its_position(job: &Job) -> bool {
    let at_this_position = job.attempts.iter().rev().take_while(|attempt| attempt.started >= job.queued);
    at_this_position.take_while(|attempt| attempt.pages_done == 0).count() < MAX_ATTEMPTS_KEEPING_POSITION
}

pub(super) fn failed(job: &mut Job, error: &JobError, at: Timestamp) {
    job.attempts_without_progress = attempts_without_progress_after(job);
    remember(job, error, at);
    end(job, State::Failed, "Failed", at);
}

pub(super) fn cancelling(job: &mut Job, by: &str) -> Result<(), IllegalChange> {
    if job.state != State::Running {
        return wrong_state(job);
    }
    job.state = State::Cancelling;
    job.cancelled_by = Some(by.into());
    job.progress.operation = "Stopping".into();
    Ok(())
}

pub(super) fn cancelled(job: &mut Job, by: &str, at: Timestamp) -> Result<(), IllegalChange> {
    match job.state {
        State::Queued | State::Running | State::Cancelling => {}
        State::Succeeded | State::Failed | State::Cancelled => return wrong_state(job),
    }
    // Who asked first: the one who reports the end may be another.
    job.cancelled_by.get_or_insert_with(|| by.into());
    job.not_before = None;
    end(job, State::Cancelled, "Cancelled", at);
    Ok(())
}

pub(super) fn succeeded(job: &mut Job, warnings: &[String], at: Timestamp) -> Result<(), IllegalChange> {
    if let Some(export) = job.exports.iter().find(|export| export.state == ExportState::Started) {
        return Err(IllegalChange::NotEnded { format: export.format });
    }
    warn(job, warnings.iter().cloned());
    // It is the error of the last attempt, and the last did not fail.
    job.error = None;
    job.progress.percent = 100.0;
    job.progress.stage = Stage::Done;
    end(job, State::Succeeded, "Done", at);
    Ok(())
}

/// Attempts without progress in a row if the current one ends now and is charged.
pub(super) fn attempts_without_progress_after(job: &Job) -> u32 {
    if job.pages.done_by(job.attempt) > 0 { 0 } else { job.attempts_without_progress.saturating_add(1) }
}

fn end(job: &mut Job, state: State, operation: &str, at: Timestamp) {
    job.state = state;
    job.worker = None;
    job.ended = Some(at);
    job.progress.operation = operation.into();
}

/// Keeps the reason of an attempt that did not succeed. To be called while the worker is still known.
fn remember(job: &mut Job, error: &JobError, at: Timestamp) {
    job.error = Some(error.clone());
    let (Some(worker), Some(started)) = (job.worker.clone(), job.attempt_started) else { return };
    if job.attempts.len() >= KEPT_ATTEMPTS {
        job.attempts.drain(..=job.attempts.len() - KEPT_ATTEMPTS);
    }
    let pages_done = job.pages.done_by(job.attempt);
    let (number, error) = (job.attempt, error.clone());
    job.attempts.push(Attempt { number, worker, started, ended: at, error, pages_done, ran_ms: None });
}

/// Keeps how long the attempt ran that has just ended.
pub(super) fn measured(job: &mut Job, ran_ms: Option<u64>) {
    job.ran_ms = ran_ms;
    if let Some(last) = job.attempts.last_mut().filter(|last| last.number == job.attempt) {
        last.ran_ms = ran_ms;
    }
}
