//! Assigning parts to workers with free slots.

use std::sync::Arc;

use courant_engine::parts::AssignedPart;
use courant_joblog::ids::WorkerId;
use courant_joblog::job::{Job, State};
use courant_proto::v1::Assignment;
use courant_proto::v1::work_response::Message;

use super::end::{PartEnd, end_soon};
use super::lead::send_to_lead;
use crate::parameters;
use crate::services::Services;
use crate::worker::assignment::{assignment, free, page_range};
use crate::worker::parts::Holder;
use crate::worker::registry::Registry;

/// Assigns parts to workers with free slots for which no job waits. Whole jobs were assigned before.
pub(crate) fn assign_parts(services: &Arc<Services>, registry: &Arc<Registry>) {
    let kinds = registry.parts.ledger.lock().open_kinds();
    if kinds.is_empty() {
        return;
    }
    let able = free(services, registry, &kinds);
    let counts = registry.parts.counts(able.iter().map(|able| &able.worker));
    for able in able.into_iter().filter(|free| free.takes_parts) {
        let free = able.slots.saturating_sub(counts.get(&able.worker).copied().unwrap_or(0));
        for _ in 0..free {
            let Some(part) = registry.parts.assign(&able.worker, &able.kinds) else { break };
            send_part(services, registry, &able.worker, part);
        }
    }
}

fn send_part(services: &Arc<Services>, registry: &Arc<Registry>, worker: &WorkerId, part: AssignedPart) {
    // If the attempt is over already, the sweep ends all its parts.
    let Ok(job) = part.attempt.held_job(&services.engine) else { return };
    if job.state != State::Running || (part.pages.first..=part.pages.last).all(|page| job.pages.is_done(page)) {
        return end_soon(services, registry, Holder::of_part(&part.attempt, &part.part), PartEnd::NothingToDo);
    }
    if let Some(parameters) = parameters::kept(&job) {
        return deliver(services, registry, worker, &part, &job, parameters);
    }
    let (services, registry, worker) = (services.clone(), registry.clone(), worker.clone());
    tokio::spawn(async move {
        match parameters::text(&services.files, &job).await {
            Ok(parameters) => deliver(&services, &registry, &worker, &part, &job, parameters),
            Err(error) => {
                tracing::warn!(job = %job.id, %error, "a part was not assigned: its parameters cannot be read");
                end_soon(&services, &registry, Holder::of_part(&part.attempt, &part.part), PartEnd::ParametersUnread);
            }
        }
    });
}

fn deliver(
    services: &Arc<Services>,
    registry: &Arc<Registry>,
    worker: &WorkerId,
    AssignedPart { attempt, part, pages }: &AssignedPart,
    job: &Job,
    parameters: String,
) {
    let holder = Holder::of_part(attempt, part);
    let at = holder.wire(&services.credentials, worker);
    let message = Assignment { pages: Some(page_range(*pages)), ..assignment(job, at, parameters) };
    if registry.send(worker, Message::Assignment(message)) {
        tracing::info!(job = %attempt.job, attempt = attempt.number, %worker, ?pages, "part assigned");
        send_to_lead(services, registry, attempt);
    } else {
        end_soon(services, registry, holder, PartEnd::WorkerGone);
    }
}
