//! The steps of a watch on the wire.

use courant_engine::cursor::{Cursor, Gap};
use courant_engine::hub::watch_queue::{Durable, TransientChange, TransientUpdate};
use courant_engine::watch::{Step, Update};
use courant_joblog::event::{Change, Event};
use courant_joblog::job::{Export, ExportState, Job, State};
use courant_joblog::log::Record;
use courant_proto::v1;
use courant_proto::v1::job_event::Change as Wire;

use super::job::{
    current_job, error, estimate, export, format, job, output, page, position, snapshot, time, updated_job,
    with_expire_time, zone,
};
use crate::config::Retention;

/// A step of a watch over one job.
pub fn watch_job(retention: Retention, update: Update) -> v1::WatchJobResponse {
    use v1::watch_job_response::Step as Out;
    let revision = update.cursor.map_or(0, |cursor| cursor.revision.0 as i64);
    let step = match update.step {
        Step::Snapshot(at) => {
            Out::Snapshot(v1::JobSnapshot { job: Some(Box::new(with_expire_time(retention, snapshot(&at)))) })
        }
        Step::Event(durable) => Out::Event(durable_event(retention, &durable)),
        Step::Transient(update, coalesced) => {
            let job = current_job(&update.current, update.remaining, update.elapsed);
            Out::Event(transient_event(&update, coalesced, job))
        }
        Step::Live => Out::Live(v1::WatchLive { revision }),
        Step::Bookmark => Out::Bookmark(v1::WatchBookmark {}),
        Step::Gap(why) => Out::Gap(v1::WatchGap { reason: gap(why).into() }),
    };
    v1::WatchJobResponse { cursor: text(update.cursor), step: Some(step) }
}

/// A step of a watch over many jobs.
pub fn watch_jobs(retention: Retention, update: Update) -> v1::WatchJobsResponse {
    use v1::{watch_job_response::Step as One, watch_jobs_response::Step as Many};
    let v1::WatchJobResponse { cursor, step } = watch_job(retention, update);
    let step = step.map(|step| match step {
        One::Snapshot(snapshot) => Many::Snapshot(snapshot),
        One::Event(event) => Many::Event(event),
        One::Live(live) => Many::Live(live),
        One::Bookmark(bookmark) => Many::Bookmark(bookmark),
        One::Gap(gap) => Many::Gap(gap),
    });
    v1::WatchJobsResponse { cursor, step }
}

/// A step of a watch that is merged with what came before: transient events have of the job only what they change.
pub fn watch_updates(retention: Retention, update: Update) -> v1::WatchJobsResponse {
    let Step::Transient(transient, coalesced) = &update.step else { return watch_jobs(retention, update) };
    let job = updated_job(&transient.current, transient.remaining, transient.elapsed);
    let event = transient_event(transient, *coalesced, job);
    let step = Some(v1::watch_jobs_response::Step::Event(event));
    v1::WatchJobsResponse { cursor: text(update.cursor), step }
}

fn gap(gap: Gap) -> v1::GapReason {
    match gap {
        Gap::HistoryTrimmed => v1::GapReason::HistoryTrimmed,
        Gap::LogReplaced => v1::GapReason::LogReplaced,
    }
}

fn text(cursor: Option<Cursor>) -> String {
    cursor.map(Cursor::encode).unwrap_or_default()
}

fn durable_event(retention: Retention, durable: &Durable) -> v1::JobEvent {
    let revision = durable.entry.revision.0;
    match &durable.entry.record {
        Record::Forgotten => removed(durable),
        Record::Changed { event, job: after } => {
            let mut wire = job(after, revision, elapsed_ms(event, after));
            if let Some(progress) = wire.progress.as_mut().filter(|_| after.state.is_held()) {
                progress.percent = progress.percent.max(durable.percent);
                estimate(progress, durable.remaining);
            }
            v1::JobEvent {
                revision: revision as i64,
                event_time: Some(time(event.at)),
                job: Some(Box::new(with_expire_time(retention, wire))),
                coalesced: 0,
                change: Some(change(&event.change, after)),
            }
        }
    }
}

/// How long the attempt had run by then, or ran: as it was measured or, in old logs, by the wall clock.
fn elapsed_ms(event: &Event, after: &Job) -> Option<u64> {
    let by_wall = || Some(event.at.ms_since(after.attempt_started?).unsigned_abs());
    match after.state {
        State::Running | State::Cancelling => event.ran_ms.or_else(by_wall),
        State::Succeeded | State::Failed | State::Cancelled => after.ran_for_ms(),
        State::Queued => None,
    }
}

/// Of a job that is gone only its names are known.
fn removed(durable: &Durable) -> v1::JobEvent {
    let (key, revision) = (&durable.entry.key, durable.entry.revision.0 as i64);
    let job = v1::Job {
        job_id: key.job.to_string(),
        owner: key.owner.to_string(),
        document_id: key.document.to_string(),
        batch_id: durable.batch.as_ref().map(ToString::to_string).unwrap_or_default(),
        revision,
        ..v1::Job::default()
    };
    let change = Some(Wire::Deleted(v1::JobDeleted {}));
    v1::JobEvent { revision, job: Some(Box::new(job)), change, ..v1::JobEvent::default() }
}

fn transient_event(update: &TransientUpdate, coalesced: u32, mut job: v1::Job) -> v1::JobEvent {
    job.queue_position = update.position.map(position);
    let change = match &update.change {
        TransientChange::Progress => Wire::Progressed(v1::JobProgressed {}),
        TransientChange::Zone(at) => Wire::ZoneStarted(v1::ZoneStarted { zone: Some(zone(at)) }),
        TransientChange::Export { format: of, percent } => {
            Wire::ExportProgressed(v1::ExportProgressed { format: format(*of).into(), percent: *percent })
        }
        TransientChange::Position => Wire::QueuePositionChanged(v1::QueuePositionChanged {}),
    };
    let event_time = Some(time(update.at));
    v1::JobEvent {
        revision: 0,
        event_time,
        job: Some(Box::new(job)),
        coalesced: coalesced as i32,
        change: Some(change),
    }
}

fn change(change: &Change, after: &Job) -> Wire {
    match change {
        Change::Submitted(_) => Wire::Queued(v1::JobQueued {}),
        Change::Started { attempt, worker } => {
            Wire::Started(v1::JobStarted { attempt: *attempt as i32, worker_id: worker.to_string() })
        }
        Change::Planned { pages, document, .. } => Wire::Planned(v1::JobPlanned {
            pages_total: *pages as i32,
            document_pages: document.unwrap_or(*pages) as i32,
        }),
        Change::PageFinished { page: at, .. } => Wire::PageFinished(v1::PageFinished { page: Some(page(at)) }),
        Change::ExportStarted { format: of, .. } => {
            Wire::ExportStarted(v1::ExportStarted { format: format(*of).into() })
        }
        Change::ExportCompleted { attempt, format, bytes, sha256 } => {
            let state = ExportState::Completed { bytes: *bytes, sha256: sha256.clone() };
            let done = Export { format: *format, attempt: *attempt, state };
            Wire::ExportCompleted(v1::ExportCompleted { export: Some(export(&done)) })
        }
        Change::ExportFailed { attempt, format, error } => {
            let failed = Export { format: *format, attempt: *attempt, state: ExportState::Failed(error.clone()) };
            Wire::ExportFailed(v1::ExportFailed { export: Some(export(&failed)) })
        }
        Change::OutputStored { output: stored, .. } => {
            Wire::OutputStored(v1::OutputStored { output: Some(output(stored)) })
        }
        Change::Retrying { error: why, not_before, .. } => {
            Wire::Retrying(v1::JobRetrying { error: Some(error(why)), retry_time: Some(time(*not_before)) })
        }
        Change::Requeued { .. } => {
            Wire::Retrying(v1::JobRetrying { error: None, retry_time: after.not_before.map(time) })
        }
        Change::Cancelling { by } => Wire::Cancelling(v1::JobCancelling { requested_by: by.to_string() }),
        Change::Succeeded { .. } => Wire::Succeeded(v1::JobSucceeded {}),
        Change::Failed { error: why, .. } => Wire::Failed(v1::JobFailed { error: Some(error(why)) }),
        Change::Cancelled { by } => Wire::Cancelled(v1::JobCancelled { requested_by: by.to_string() }),
    }
}
