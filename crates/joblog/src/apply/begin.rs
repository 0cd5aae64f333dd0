//! How a job is created, taken by a worker and queued again.

use super::{IllegalChange, count_units, pages_percent, wrong_state};
use crate::event::Submission;
use crate::ids::{Timestamp, WorkerId};
use crate::job::{Format, Job, Lane, Pages, Progress, Stage, State};

pub(super) fn submitted(submission: &Submission, at: Timestamp) -> Job {
    let of = submission.clone();
    Job {
        id: of.id,
        owner: of.owner,
        document: of.document,
        batch: of.batch,
        request: of.request,
        kind: of.kind,
        lane: of.lane,
        labels: of.labels,
        formats: without_repeats(&of.formats),
        state: State::Queued,
        attempt: 0,
        max_attempts: of.max_attempts.max(1),
        attempts_without_progress: 0,
        worker: None,
        progress: waiting(format!("Waiting in the {} lane", lane_name(submission.lane))),
        pages: Pages { expected: of.pages, ..Pages::default() },
        zones: 0,
        exports: Vec::new(),
        warnings: Vec::new(),
        error: None,
        attempts: Vec::new(),
        created: at,
        queued: at,
        started: None,
        attempt_started: None,
        ended: None,
        not_before: None,
        cancelled_by: None,
        batch_size: of.batch_size,
        cancel_unwatched_ms: of.cancel_unwatched_ms,
        password: of.password,
        ran_ms: None,
        later: of.later,
    }
}

pub(super) fn started(job: &mut Job, attempt: u32, worker: &WorkerId, at: Timestamp) -> Result<(), IllegalChange> {
    if job.state != State::Queued {
        return wrong_state(job);
    }
    if job.attempt.checked_add(1) != Some(attempt) {
        return Err(IllegalChange::WrongAttempt { current: job.attempt });
    }
    job.state = State::Running;
    job.attempt = attempt;
    job.worker = Some(worker.clone());
    job.started.get_or_insert(at);
    job.attempt_started = Some(at);
    job.not_before = None;
    // Results are written from all pages at once: those of an earlier attempt are of no use to this one. Outputs stay: they may be
    // of pages that are not done again.
    job.exports.clear();
    job.progress.percent = pages_percent(&job.pages).max(5.0);
    job.progress.stage = Stage::Analyse;
    job.progress.operation = "Opening the document".into();
    count_units(job);
    Ok(())
}

pub(super) fn requeued(job: &mut Job, password: Option<&str>, at: Timestamp) -> Result<(), IllegalChange> {
    match job.state {
        State::Failed | State::Cancelled => {}
        State::Queued | State::Running | State::Cancelling | State::Succeeded => return wrong_state(job),
    }
    job.attempts_without_progress = 0;
    job.error = None;
    job.ended = None;
    job.cancelled_by = None;
    job.password = password.map(Into::into);
    queue(job, format!("Waiting in the {} lane", lane_name(job.lane)), at);
    Ok(())
}

/// Back into the lane, with the position as if it had come at `since`. Finished pages stay finished.
pub(super) fn queue(job: &mut Job, operation: String, since: Timestamp) {
    job.state = State::Queued;
    job.worker = None;
    job.queued = since;
    job.not_before = None;
    // Finished pages are not done again: what they are worth stays.
    job.progress = Progress { percent: pages_percent(&job.pages), ..waiting(operation) };
    count_units(job);
}

fn waiting(operation: String) -> Progress {
    Progress { percent: 0.0, stage: Stage::Queued, operation, units_done: 0, units_total: 0 }
}

fn lane_name(lane: Lane) -> &'static str {
    match lane {
        Lane::Premium => "premium",
        Lane::Normal => "normal",
        Lane::Large => "large",
    }
}

fn without_repeats(formats: &[Format]) -> Vec<Format> {
    let mut kept = Vec::with_capacity(formats.len().min(Format::ALL.len()));
    for format in formats {
        if !kept.contains(format) {
            kept.push(*format);
        }
    }
    kept
}
