//! Whether a call comes from the worker that holds what it is about.

use std::sync::Arc;

use courant_engine::Error as Refused;
use courant_joblog::job::Job;
use courant_proto::v1::AttemptRef;

use super::parts::{Holder, holder_in};
use super::registry::Registry;
use crate::error::Error;
use crate::services::Services;

/// The attempt or part that a call is about, and its job, if the call comes from the worker that holds it.
pub(super) async fn held(
    services: &Services,
    registry: &Registry,
    at: Option<AttemptRef>,
) -> Result<(Holder, Arc<Job>), Error> {
    match held_here(services, registry, at.clone()) {
        // Another server may have begun the attempt a moment ago.
        Err(Error::Engine(Refused::LeaseLost { .. })) if services.engine.is_shared() => {
            services.engine.catch_up_with_others().await?;
            held_here(services, registry, at)
        }
        known => known,
    }
}

fn held_here(services: &Services, registry: &Registry, at: Option<AttemptRef>) -> Result<(Holder, Arc<Job>), Error> {
    let credential = at.as_ref().map(|at| at.credential.clone()).unwrap_or_default();
    let holder = holder_in(at)?;
    if credential.is_empty() {
        let problem = "must be that of the assignment: send `Assignment.attempt` as it came";
        return Err(Error::field("attempt.credential", problem));
    }
    let job = holder.held(services, &registry.parts)?;
    let worker = holder.worker(&job, &registry.parts).ok_or_else(|| holder.attempt.lease_lost())?;
    if !services.credentials.is_of(&credential, holder.holding(&worker)) {
        return Err(holder.attempt.lease_lost().into());
    }
    Ok((holder, job))
}
