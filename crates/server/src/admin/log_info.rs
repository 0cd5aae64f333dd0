//! What there is to know of the log.

use courant_joblog::ids::Revision;
use courant_joblog::job::State;
use courant_joblog::log::{Entry, Filter, Record};
use courant_proto::v1::GetLogInfoResponse;

use crate::convert;
use crate::error::Error;
use crate::services::Services;

/// The log as it is now.
pub async fn read(services: &Services) -> Result<GetLogInfoResponse, Error> {
    let log = &services.engine.log;
    let described = log.describe().await?;
    let head = *log.head().borrow();
    let first = log.read(Revision::ZERO, &Filter::All, 1).await?.pop();
    let last = log.read(Revision(head.0.saturating_sub(1)), &Filter::All, 1).await?.pop();
    let time = |entry: &Entry| match &entry.record {
        Record::Changed { event, .. } => Some(convert::time(event.at)),
        Record::Forgotten => None,
    };
    let states = [State::Queued, State::Running, State::Cancelling, State::Succeeded, State::Failed, State::Cancelled];
    let (view_revision, jobs) = services.engine.projection(&services.projections.metrics, |metrics, view| {
        let jobs: i64 = states.iter().map(|state| metrics.jobs(*state) as i64).sum();
        (view.revision(), jobs)
    });
    let epoch = log.info().current();
    Ok(GetLogInfoResponse {
        engine: described.engine.to_owned(),
        location: described.location,
        size_bytes: whole(described.bytes),
        max_bytes: whole(described.max_bytes),
        replicas: i32::try_from(described.replicas).unwrap_or(i32::MAX),
        first_revision: first.as_ref().map_or(0, |entry| entry.revision.0 as i64),
        first_time: first.as_deref().and_then(time),
        last_revision: head.0 as i64,
        last_time: last.as_deref().and_then(time),
        view_revision: view_revision.0 as i64,
        epoch: format!("{:016x}", epoch.id),
        epochs: i32::try_from(log.info().epochs.len()).unwrap_or(i32::MAX),
        jobs,
        server: services.audit.server().to_owned(),
    })
}

fn whole(bytes: Option<u64>) -> i64 {
    bytes.map_or(0, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
}
