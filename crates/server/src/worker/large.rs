//! Documents that turn out to be large once they are opened: they move to the large lane, and out of the way of smaller
//! ones that wait for the same workers.

use courant_joblog::job::{Job, JobError, Lane};

use super::dispatch;
use super::registry::Registry;
use crate::config::Config;
use crate::engine::Engine;

/// The lane a job moves to when its plan has this many pages. Only the first plan moves a job: one that is large already,
/// by its size or by an earlier plan, was given out knowing that, and is never handed back for it again.
pub fn lane_for(config: &Config, job: &Job, pages: u32) -> Option<Lane> {
    let new = job.pages.total.is_none() && job.lane != Lane::Large;
    (new && pages > config.large_document_pages).then_some(Lane::Large)
}

/// Whether smaller jobs of this kind wait while no worker has a slot for them.
pub fn is_in_the_way(engine: &Engine, registry: &Registry, kind: &str) -> bool {
    let smaller = [Lane::Premium, Lane::Normal];
    engine.read(|view| smaller.iter().any(|lane| view.is_waited(kind, *lane)))
        && !dispatch::free(engine, registry).iter().any(|free| free.kinds.iter().any(|takes| **takes == *kind))
}

/// Why the attempt ends.
pub fn handed_back(pages: u32) -> JobError {
    let message = format!("The document has {pages} pages: it waits in the large lane, so that smaller ones go first.");
    JobError { code: "LARGE_DOCUMENT".into(), message: message.into(), retryable: true }
}
