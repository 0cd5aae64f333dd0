//! The spans of a job whose trace is recorded: how long it waited in its queue, and each attempt.
//!
//! They are parts of the span that the job was submitted in, which stands in the job itself: whichever server sees the end of an
//! attempt records it, also after a restart. An attempt's id is computed from the job, because its worker is told of it at the
//! beginning.

use std::time::{Duration, SystemTime};

use courant_joblog::ids::Timestamp;
use courant_joblog::job::{Job, State};
use courant_runtime::traces::{self, Recorded, SpanId, TraceContext, derived_span_id, record};

/// The part of a program that they belong to.
const PART: &str = "courant-server";

/// What the worker of the attempt that a job is in is told, as a `traceparent`; `None` where its trace is not recorded.
pub fn of_attempt(job: &Job) -> Option<TraceContext> {
    Some(of_job(job)?.with_span(attempt_id(job)))
}

/// An assignment was sent at this time, and its worker has it.
pub fn assigned(job: &Job, sent: SystemTime) {
    let Some(parent) = of_attempt(job) else { return };
    let attributes = vec![("courant.worker", worker(job).into())];
    let ended = SystemTime::now();
    record(Recorded { part: PART, name: "assignment", parent, id: None, began: sent, ended, error: None, attributes });
}

/// A job has changed, which took the log so long: what has ended with that is recorded. `None` for one that is new.
pub(crate) fn on_change(before: Option<&Job>, after: &Job, append: Duration) {
    if after.later.traceparent.is_none() || !traces::is_on() {
        return;
    }
    let Some(parent) = of_job(after) else { return };
    let (was_held, was_queued) =
        before.map_or((false, true), |before| (before.state.is_held(), before.state == State::Queued));
    if was_queued && after.state != State::Queued {
        record_wait(parent, after);
    }
    let ended = before.filter(|_| was_held && !after.state.is_held());
    if let Some(before) = ended {
        record_attempt(parent, before, after);
    }
    if was_queued || ended.is_some() {
        let attempt = before.filter(|_| after.attempt > 0).map(|_| parent.with_span(attempt_id(after)));
        record_append(attempt.unwrap_or(parent), append);
    }
}

/// The log wrote the beginning or the end of something.
fn record_append(parent: TraceContext, took: Duration) {
    let ended = SystemTime::now();
    let (name, began, attributes) = ("append", ended - took, Vec::new());
    record(Recorded { part: PART, name, parent, id: None, began, ended, error: None, attributes });
}

fn record_wait(parent: TraceContext, job: &Job) {
    let last_ended = job.attempts.last().map(|last| last.ended).filter(|_| job.attempt > 1);
    let began = last_ended.map_or(job.queued, |ended| ended.max(job.queued));
    let ended = if job.state.is_held() { job.attempt_started } else { job.ended };
    let attributes = vec![
        ("courant.job", job.id.to_string().into()),
        ("courant.lane", format!("{:?}", job.lane).to_lowercase().into()),
    ];
    let (began, ended) = (time(began), ended.map_or_else(SystemTime::now, time));
    record(Recorded { part: PART, name: "queue wait", parent, id: None, began, ended, error: None, attributes });
}

fn record_attempt(parent: TraceContext, before: &Job, after: &Job) {
    let error = match after.state {
        State::Queued | State::Failed => after.error.as_ref(),
        State::Running | State::Cancelling | State::Succeeded | State::Cancelled => None,
    };
    let outcome = match after.state {
        State::Queued => "retrying".to_owned(),
        state => format!("{state:?}").to_lowercase(),
    };
    let attributes = vec![
        ("courant.job", after.id.to_string().into()),
        ("courant.attempt", i64::from(before.attempt).into()),
        ("courant.worker", worker(before).into()),
        ("courant.outcome", outcome.into()),
        ("courant.pages", i64::from(after.pages.total.unwrap_or(0)).into()),
    ];
    record(Recorded {
        part: PART,
        name: "attempt",
        parent,
        id: Some(attempt_id(before)),
        began: before.attempt_started.map_or_else(SystemTime::now, time),
        ended: SystemTime::now(),
        error: error.map(|error| error.code.to_string()),
        attributes,
    });
}

/// The span that the job was submitted in, if its trace is recorded.
fn of_job(job: &Job) -> Option<TraceContext> {
    TraceContext::parse(job.later.traceparent.as_deref()?).filter(TraceContext::is_sampled)
}

fn attempt_id(job: &Job) -> SpanId {
    derived_span_id(job.id.as_str(), u64::from(job.attempt))
}

fn worker(job: &Job) -> String {
    job.worker.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::queued;

    #[test]
    fn each_attempt_has_an_id_of_its_own_and_always_the_same() {
        let mut job = queued("J", "alice");
        assert_eq!(of_attempt(&job), None, "its trace is not recorded");
        job.later.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
        job.attempt = 1;
        let first = of_attempt(&job).unwrap();
        assert_eq!(of_attempt(&job), Some(first));
        // It stands in logs that other versions read.
        assert_eq!(first.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-924c904e8928767f-01");
        job.attempt = 2;
        assert_ne!(of_attempt(&job).unwrap().span_id(), first.span_id());
    }
}
