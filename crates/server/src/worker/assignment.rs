//! What a worker is given, and who could be given something.

use courant_engine::dispatch::FreeWorker;
use courant_engine::parts::PageSpan;
use courant_engine::spans;
use courant_joblog::job::Job;
use courant_proto::v1::{Assignment, AttemptRef, FinishedPages, PageRange};

use super::registry::{FreeSlice, Registry};
use crate::convert;
use crate::services::Services;

/// The workers with a free slot for one of these kinds, for whole jobs: parts do not count.
pub(super) fn free(services: &Services, registry: &Registry, kinds: &[Box<str>]) -> Vec<FreeWorker> {
    services.engine.projection(&services.projections.freed_workers, |freed, view| {
        registry.reopen(&freed.take());
        registry.free(kinds, |worker| view.held_count(worker))
    })
}

/// The same of the next workers only, see [`Registry::next_free`].
pub(super) fn next_free(services: &Services, registry: &Registry, kinds: &[Box<str>]) -> FreeSlice {
    services.engine.projection(&services.projections.freed_workers, |freed, view| {
        registry.reopen(&freed.take());
        registry.next_free(kinds, |worker| view.held_count(worker))
    })
}

/// The pages of a job that are done.
pub(super) fn finished_pages(job: &Job) -> Vec<FinishedPages> {
    let finished = job.pages.done.iter().map(|range| FinishedPages {
        first: range.first as i32,
        last: range.last as i32,
        attempt: range.attempt as i32,
    });
    finished.collect()
}

pub(super) fn page_range(pages: PageSpan) -> PageRange {
    PageRange { first: pages.first as i32, last: pages.last as i32 }
}

/// A job as its worker gets it, with its parameters.
pub(super) fn assignment(job: &Job, attempt: AttemptRef, parameters: String) -> Assignment {
    Assignment {
        attempt: Some(attempt),
        kind: String::from(&*job.kind),
        filename: String::from(&*job.document.name),
        document_bytes: job.document.bytes as i64,
        document_sha256: String::from(&*job.document.sha256),
        formats: job.formats.iter().map(|format| convert::format(*format).into()).collect(),
        pages_total: job.pages.total.unwrap_or(0) as i32,
        finished_pages: finished_pages(job),
        has_password: job.password.is_some(),
        pages: None,
        traceparent: spans::of_attempt(job).map(|span| span.to_string()).unwrap_or_default(),
        parameters,
        labels: job.labels.clone().into_iter().collect(),
    }
}
