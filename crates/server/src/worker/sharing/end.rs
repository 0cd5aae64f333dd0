//! The ends of parts.

use std::sync::Arc;

use courant_engine::attempt::AttemptId;
use courant_engine::parts::PartId;
use courant_joblog::ids::WorkerId;
use courant_joblog::job::State;
use courant_proto::v1::work_response::Message;
use courant_proto::v1::{AttemptRef, LeaseLost};

use super::lead::send_to_lead;
use crate::services::Services;
use crate::worker::parts::Holder;
use crate::worker::registry::Registry;

/// Ends a part: what is not done of it goes back to its lead. Its worker is notified, unless it reported the end itself.
pub(crate) async fn end(services: &Services, registry: &Registry, holder: &Holder, why: PartEnd) {
    let Some(id) = &holder.part else { return };
    let Some(part) = registry.parts.ledger.lock().begin_close(&holder.attempt, id) else { return };
    tracing::info!(job = %holder.attempt.job, worker = %part.worker, pages = ?part.pages, ?why, "a part ended");
    if why != PartEnd::Reported {
        send_to_helper(registry, &part.worker, holder.wire(&services.credentials, &part.worker));
    }
    services.engine.wake.notify_one();
    // Whoever is inside may finish, and nobody comes in any more. A stream that is cut ends here: then the sweep goes on.
    drop(part.gate.write().await);
    close(services, registry, &holder.attempt, id);
}

fn close(services: &Services, registry: &Registry, attempt: &AttemptId, part: &PartId) {
    registry.parts.ledger.lock().close(attempt, part);
    send_to_lead(services, registry, attempt);
    services.engine.wake.notify_one();
}

/// Like [`end`], for those who cannot wait.
pub(crate) fn end_soon(services: &Arc<Services>, registry: &Arc<Registry>, holder: Holder, why: PartEnd) {
    let (services, registry) = (services.clone(), registry.clone());
    tokio::spawn(async move { end(&services, &registry, &holder, why).await });
}

/// PartEnd a part ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartEnd {
    /// Its worker reported it: done, or handed back.
    Reported,
    /// Its worker is gone, or was restarted.
    WorkerGone,
    /// It was not accepted in time.
    NotAccepted,
    /// What its worker reported made no sense.
    InvalidReport,
    /// A job needs the slot.
    SlotNeeded,
    /// What it needs to know cannot be read.
    ParametersUnread,
    /// Nothing of it is left to do.
    NothingToDo,
}

/// Ends the parts of attempts that are over, being cancelled, or led from another server by now.
pub(crate) fn prune(services: &Services, registry: &Registry) {
    let attempts = {
        let ledger = registry.parts.ledger.lock();
        if ledger.is_empty() {
            return;
        }
        ledger.attempts()
    };
    for attempt in attempts {
        let running = attempt.held_job(&services.engine).is_ok_and(|job| job.state == State::Running);
        let lead = registry.parts.ledger.lock().split(&attempt).map(|split| split.lead.clone());
        // A lead that has gone to another server offers its pages there.
        if !running || lead.is_some_and(|lead| registry.is_elsewhere(&lead)) {
            end_all(services, registry, &attempt);
        }
    }
}

/// The same of attempts that were seen to end since the last call. What was offered for one at that very moment is left to the
/// sweep.
pub(crate) fn prune_ended(services: &Services, registry: &Registry) {
    let ended = services.engine.projection(&services.projections.ended_attempts, |ended, _| ended.take());
    if registry.parts.ledger.lock().is_empty() {
        return;
    }
    ended.iter().for_each(|attempt| end_all(services, registry, attempt));
}

/// Ends all parts of an attempt.
fn end_all(services: &Services, registry: &Registry, attempt: &AttemptId) {
    let parts = registry.parts.ledger.lock().remove_split(attempt);
    for part in parts {
        tracing::info!(job = %attempt.job, worker = %part.worker, pages = ?part.pages, "a part ended with its job");
        let at = Holder::of_part(attempt, &part.id).wire(&services.credentials, &part.worker);
        send_to_helper(registry, &part.worker, at);
    }
}

/// What time does to parts: their workers fall silent or do not answer.
pub(crate) fn sweep(services: &Arc<Services>, registry: &Arc<Registry>) {
    prune(services, registry);
    for worker in registry.parts.workers() {
        // Parts are this server's: at another one the worker has none.
        if registry.is_lost(&worker, None) || registry.is_elsewhere(&worker) {
            for holder in registry.parts.held_by(&worker) {
                end_soon(services, registry, holder, PartEnd::WorkerGone);
            }
        }
    }
    for (worker, holder) in registry.parts.overdue(services.config.accept_within) {
        registry.set_unresponsive(&worker);
        end_soon(services, registry, holder, PartEnd::NotAccepted);
    }
    let unclosed = registry.parts.ledger.lock().unclosed();
    unclosed.iter().for_each(|(attempt, part)| close(services, registry, attempt, part));
    let stale = std::mem::take(&mut *registry.parts.unsent.lock());
    stale.into_iter().for_each(|(worker, at)| send_to_helper(registry, &worker, at));
}

/// Notifies a worker that a part is over. One that is disconnected learns it from its next welcome.
fn send_to_helper(registry: &Registry, worker: &WorkerId, at: AttemptRef) {
    if !registry.send(worker, Message::LeaseLost(LeaseLost { attempt: Some(at.clone()) }))
        && registry.is_connected(worker)
    {
        registry.parts.unsent.lock().push((worker.clone(), at));
    }
}

#[cfg(test)]
mod tests {
    use courant_engine::parts::PageSpan;
    use courant_engine::testing::submission;
    use courant_joblog::event::Change;
    use courant_joblog::ids::JobId;
    use courant_joblog::memory::MemoryLog;
    use futures::FutureExt;

    use super::*;
    use crate::config::Config;
    use crate::objects::Objects;

    #[tokio::test]
    async fn a_part_whose_end_was_cut_short_goes_back_to_its_lead() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::local(folder.path()).unwrap();
        let services = Services::open(Config::new(folder.path()), Arc::new(MemoryLog::new()), objects).await.unwrap();
        let following = services.clone();
        tokio::spawn(async move { following.engine.follow().await });
        let id = JobId::random();
        let submission = submission(id.as_str(), "alice");
        let change = Change::Submitted(Box::new(submission));
        let (waiting, _) = services.engine.create(change, id, Vec::new(), None).await.unwrap();
        let (lead, helper) = (WorkerId::new("lead"), WorkerId::new("helper"));
        let job = services.engine.claim(&lead, &waiting.current.job).await.unwrap().unwrap();
        let registry = Arc::new(Registry::default());
        let attempt = AttemptId::of(&job);
        let pages = PageSpan { first: 6, last: 10 };
        registry.parts.ledger.lock().offer(&attempt, &lead, &job.kind, 1, vec![pages]);
        let assigned = registry.parts.assign(&helper, std::slice::from_ref(&job.kind)).unwrap();
        let holder = Holder::of_part(&attempt, &assigned.part);
        let held = || registry.parts.ledger.lock().split(&attempt).map(|split| split.held().count());

        let (_, inside) = registry.parts.enter(&holder).unwrap();
        assert!(end(&services, &registry, &holder, PartEnd::Reported).now_or_never().is_none());
        sweep(&services, &registry);
        assert_eq!(held(), Some(1), "somebody is inside");
        drop(inside);
        sweep(&services, &registry);
        assert_eq!(held(), Some(0));
    }
}
