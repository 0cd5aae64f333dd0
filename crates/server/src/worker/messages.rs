//! What workers send on their streams after the hello, one message at a time and in order.

use std::sync::Arc;
use std::time::SystemTime;

use courant_engine::attempt::AttemptId;
use courant_engine::{Error as Refused, spans};
use courant_joblog::ids::WorkerId;
use courant_joblog::job::{Job, State};
use courant_proto::v1;
use courant_proto::v1::work_request::Message as In;
use courant_proto::v1::work_response::Message as Out;
use courant_runtime::traces;

use super::hello::slots_in;
use super::parts::holder_in;
use super::registry::Registry;
use super::reports::{Report, ReportOutcome};
use super::{part_reports, sharing};
use crate::error::Error;
use crate::services::Services;
use crate::worker::parts::Holder;

/// Takes what is about the worker itself and needs no answer; `None` if it is a report.
pub(super) fn of_worker(
    services: &Services,
    registry: &Registry,
    worker: &WorkerId,
    message: &In,
) -> Option<Result<(), Error>> {
    match message {
        In::Hello(_) => Some(Err(Error::WrongOrder("only the first message may be the hello"))),
        In::Slots(change) => Some(slots_in("slots.slots", change.slots).map(|slots| {
            registry.change_slots(worker, slots);
            services.engine.wake.notify_one();
        })),
        _ => None,
    }
}

/// The worker of a whole job says that it has it, and nothing else that it said of the job waits: nothing has to be written.
pub(super) fn accepted(
    services: &Services,
    registry: &Registry,
    worker: &WorkerId,
    holder: Holder,
    at: Option<v1::AttemptRef>,
) -> Option<Out> {
    let report = Report { services, registry, worker, attempt: holder.attempt };
    record_assignment(&report);
    registry.answered(worker, &report.attempt);
    match report.held_job() {
        Ok(_) => {
            registry.confirm(worker, &report.attempt);
            None
        }
        Err(_) => Some(Out::LeaseLost(v1::LeaseLost { attempt: at })),
    }
}

/// In the trace of the job, how long its assignment was under way.
fn record_assignment(report: &Report<'_>) {
    if !traces::is_on() {
        return;
    }
    let under_way = report.registry.unanswered_for(report.worker, &report.attempt);
    if let (Some(under_way), Ok(job)) = (under_way, report.held_job()) {
        spans::assigned(&job, SystemTime::now() - under_way);
    }
}

/// Takes one report; returns the answer.
pub async fn take(
    services: &Services,
    registry: &Registry,
    worker: &WorkerId,
    message: In,
) -> Result<Option<Out>, Error> {
    let at = attempt(&message).cloned();
    let holder = holder_in(at.clone())?;
    if holder.part.is_some() {
        return part_reports::take(services, registry, worker, &holder, at, message).await;
    }
    let report = Report { services, registry, worker, attempt: holder.attempt };
    let declines = matches!(message, In::Accepted(_) | In::Cancelled(_) | In::Released(_));
    if !declines {
        report.check_accepted()?;
    }
    if matches!(message, In::Accepted(_)) {
        record_assignment(&report);
    }
    registry.answered(worker, &report.attempt);
    let outcome = match report.take(message).await {
        Err(error) => report.refuse(error).await,
        taken => taken,
    };
    match outcome {
        Ok(ReportOutcome::Good) => Ok(None),
        // Named as it came: a credential is given with an assignment and never else.
        Ok(ReportOutcome::Ended) | Err(Error::Engine(Refused::LeaseLost { .. })) => {
            Ok(Some(Out::LeaseLost(v1::LeaseLost { attempt: at })))
        }
        Err(error) => Err(error),
    }
}

/// What a message is about; none where it is about the worker, or names none.
pub(super) fn attempt(message: &In) -> Option<&v1::AttemptRef> {
    match message {
        In::Hello(_) | In::Heartbeat(_) | In::Slots(_) => None,
        In::Accepted(at) => at.attempt.as_ref(),
        In::Progress(at) => at.attempt.as_ref(),
        In::Zone(at) => at.attempt.as_ref(),
        In::Plan(at) => at.attempt.as_ref(),
        In::Page(at) => at.attempt.as_ref(),
        In::ExportStarted(at) => at.attempt.as_ref(),
        In::ExportProgress(at) => at.attempt.as_ref(),
        In::ExportCompleted(at) => at.attempt.as_ref(),
        In::ExportFailed(at) => at.attempt.as_ref(),
        In::Output(at) => at.attempt.as_ref(),
        In::Succeeded(at) => at.attempt.as_ref(),
        In::Failed(at) => at.attempt.as_ref(),
        In::Cancelled(at) => at.attempt.as_ref(),
        In::Released(at) => at.attempt.as_ref(),
        In::Offer(at) => at.attempt.as_ref(),
        In::ResumeReports(at) => at.attempt.as_ref(),
    }
}

/// The answer to a heartbeat, and beside it what could not be sent before. Costs as much as the worker holds.
pub(super) fn heartbeat(services: &Services, registry: &Registry, worker: &WorkerId, reports_pending: bool) -> Out {
    let held: Vec<Arc<Job>> =
        services.engine.read(|view| view.held_by(worker).map(|current| current.job.clone()).collect());
    let attempts: Vec<AttemptId> = held.iter().map(|job| AttemptId::of(job)).collect();
    sharing::remind_lead(services, registry, &attempts);
    let cancelling = held.iter().zip(&attempts).filter(|(job, _)| job.state == State::Cancelling);
    // A credential is computed: not under the engine's lock.
    let cancel = cancelling.map(|(_, attempt)| Holder::of(attempt).wire(&services.credentials, worker)).collect();
    Out::HeartbeatAck(v1::HeartbeatAck { cancel, reports_pending })
}
