//! Documents that turn out to be large once they are opened: they move to the large lane, and out of the way of smaller
//! ones that wait for the same workers.

use std::collections::BTreeMap;
use std::time::Duration;

use courant_joblog::event::{Change, Counts};
use courant_joblog::ids::Timestamp;
use courant_joblog::job::{Job, JobError, Lane, State};

use super::assignment::free;
use super::registry::Registry;
use crate::config::Config;
use crate::error::Error;
use crate::services::Services;
use courant_engine::attempt::AttemptId;

/// How long a job stands aside, so that the slot it held goes to a smaller one and not, by its lane's turn, to itself.
pub const ASIDE: Duration = Duration::from_secs(1);

/// The lane a job moves to when its plan has this many pages. Only the first plan moves a job: one that is large already,
/// by its size or by an earlier plan, was given out knowing that, and is never handed back for it again.
pub fn lane_for(config: &Config, job: &Job, pages: u32) -> Option<Lane> {
    let new = job.pages.total.is_none() && job.lane != Lane::Large;
    (new && pages > config.large_document_pages).then_some(Lane::Large)
}

/// Whether smaller jobs of its kind wait that could have the slot of this one, while no worker has another for them.
pub fn is_in_the_way(services: &Services, registry: &Registry, large: &Job) -> bool {
    let (kind, smaller) = (&large.kind, [Lane::Premium, Lane::Normal]);
    let slots = BTreeMap::new();
    let limits = services.engine.config.owner_limits(&slots);
    services.engine.read(|view| smaller.iter().any(|lane| view.is_waited(kind, *lane, &large.owner, &limits)))
        && free(services, registry, std::slice::from_ref(kind)).is_empty()
}

/// Ends the attempt and lets the job wait in its lane. It costs the job nothing.
pub async fn hand_back(services: &Services, attempt: &AttemptId, pages: u32) -> Result<(), Error> {
    let message = format!("The document has {pages} pages: it waits in the large lane, so that smaller ones go first.");
    let error = JobError { code: "LARGE_DOCUMENT".into(), message: message.into(), retryable: true };
    let decide = |job: &Job| {
        let current = job.state == State::Running && job.attempt == attempt.number;
        let (not_before, error) = (Timestamp::now().plus_ms(ASIDE.as_millis() as i64), error.clone());
        Ok(current.then_some(Change::Retrying { attempt: attempt.number, error, not_before, counts: Counts::No }))
    };
    services.engine.change(&attempt.job, decide).await?;
    tracing::info!(job = %attempt.job, attempt = attempt.number, pages, "a large document made room for smaller ones");
    Ok(())
}
