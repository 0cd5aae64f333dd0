//! Assigning parts to workers with free slots.

use std::sync::Arc;

use courant_engine::parts::AssignedPart;
use courant_joblog::job::State;
use courant_proto::v1::Assignment;
use courant_proto::v1::work_response::Message;

use super::end::{PartEnd, end_soon};
use super::lead::send_to_lead;
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

fn send_part(
    services: &Arc<Services>,
    registry: &Arc<Registry>,
    worker: &courant_joblog::ids::WorkerId,
    AssignedPart { attempt, part, pages }: AssignedPart,
) {
    let holder = Holder::of_part(&attempt, &part);
    // If the attempt is over already, the sweep ends all its parts.
    let Ok(job) = attempt.held_job(&services.engine) else { return };
    if job.state != State::Running || (pages.first..=pages.last).all(|page| job.pages.is_done(page)) {
        return end_soon(services, registry, holder, PartEnd::NothingToDo);
    }
    let at = holder.wire(&services.credentials, worker);
    let message = Assignment { pages: Some(page_range(pages)), ..assignment(&job, at) };
    if registry.send(worker, Message::Assignment(message)) {
        tracing::info!(job = %attempt.job, attempt = attempt.number, %worker, ?pages, "part assigned");
        send_to_lead(services, registry, &attempt);
    } else {
        end_soon(services, registry, holder, PartEnd::WorkerGone);
    }
}
