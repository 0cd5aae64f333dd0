//! Pages of one attempt or part that wait together, taken as one change: all of them or none. Whoever sent them is answered
//! only when they are; otherwise they are to be taken one by one, which says what is wrong with which.

use courant_joblog::ids::WorkerId;
use courant_proto::v1::ReportPage;

use super::part_reports;
use super::parts::Holder;
use super::registry::Registry;
use super::reports::Report;
use crate::error::Error;
use crate::services::Services;

/// The most pages taken at once.
pub const MAX_PAGES: usize = 64;
/// Bytes of their reports, with the artifacts in them. A single one may have more.
pub const MAX_BYTES: usize = 1 << 20;

/// Takes the pages, or says why it takes none.
pub(super) async fn take(
    services: &Services,
    registry: &Registry,
    worker: &WorkerId,
    holder: &Holder,
    pages: Vec<ReportPage>,
) -> Result<(), Error> {
    if holder.part.is_some() {
        return part_reports::take_pages(services, registry, worker, holder, pages).await;
    }
    let report = Report { services, registry, worker, attempt: holder.attempt.clone() };
    report.check_accepted()?;
    report.held_job()?;
    registry.confirm(worker, &holder.attempt);
    report.pages(pages).await
}
