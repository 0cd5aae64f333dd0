//! What the worker of a part reports. Its pages are taken as the lead's own; nothing else it reports moves the job.

use courant_engine::Error as Refused;
use courant_engine::parts::PageSpan;
use courant_joblog::ids::WorkerId;
use courant_proto::v1;
use courant_proto::v1::work_request::Message as In;
use courant_proto::v1::work_response::Message as Out;

use super::parts::Holder;
use super::registry::Registry;
use super::reports::{Report, invalid_input};
use super::sharing::{PartEnd, end};
use crate::error::Error;
use crate::services::Services;

/// Handles one message of a part; returns the answer.
pub(crate) async fn take(
    services: &Services,
    registry: &Registry,
    worker: &WorkerId,
    holder: &Holder,
    at: Option<v1::AttemptRef>,
    message: In,
) -> Result<Option<Out>, Error> {
    let lost = || Some(Out::LeaseLost(v1::LeaseLost { attempt: at.clone() }));
    let Some(pages) = registry.parts.pages(holder, worker) else { return Ok(lost()) };
    let declines = matches!(message, In::Accepted(_) | In::Cancelled(_) | In::Released(_));
    if !declines && !registry.parts.is_accepted(holder) {
        return Err(Error::WrongOrder("an assignment must be accepted before anything is reported of it"));
    }
    if matches!(message, In::Failed(_)) {
        registry.parts.exclude(holder, worker);
    }
    match handle(services, registry, holder, pages, message).await {
        Ok(()) => Ok(None),
        Err(Error::Engine(Refused::LeaseLost { .. } | Refused::JobNotFound(_))) => Ok(lost()),
        Err(error) => {
            let Some(problem) = invalid_input(&error) else { return Err(error) };
            tracing::warn!(job = %holder.attempt.job, %worker, problem, "a report of a part is refused");
            registry.parts.exclude(holder, worker);
            end(services, registry, holder, PartEnd::InvalidReport).await;
            Ok(None)
        }
    }
}

/// Takes pages of a part that wait together, or says why it takes none.
pub(super) async fn take_pages(
    services: &Services,
    registry: &Registry,
    worker: &WorkerId,
    holder: &Holder,
    reports: Vec<v1::ReportPage>,
) -> Result<(), Error> {
    let lost = || Error::from(holder.attempt.lease_lost());
    let pages = registry.parts.pages(holder, worker).filter(|_| registry.parts.is_accepted(holder)).ok_or_else(lost)?;
    let job = holder.held(services, &registry.parts)?;
    let lead = job.worker.clone().ok_or_else(lost)?;
    reports.iter().try_for_each(|report| check_number(report, pages))?;
    let (_, _inside) = registry.parts.enter(holder).ok_or_else(lost)?;
    Report { services, registry, worker: &lead, attempt: holder.attempt.clone() }.pages(reports).await
}

fn check_number(report: &v1::ReportPage, pages: PageSpan) -> Result<(), Error> {
    let number = report.page.as_ref().and_then(|page| u32::try_from(page.number).ok());
    match number.filter(|number| pages.contains(*number)) {
        Some(_) => Ok(()),
        None => Err(Error::field("page.number", "must be that of a page of the part")),
    }
}

async fn handle(
    services: &Services,
    registry: &Registry,
    holder: &Holder,
    pages: PageSpan,
    message: In,
) -> Result<(), Error> {
    let job = holder.held(services, &registry.parts)?;
    let lead = job.worker.clone().ok_or_else(|| holder.attempt.lease_lost())?;
    let report = Report { services, registry, worker: &lead, attempt: holder.attempt.clone() };
    match message {
        In::Accepted(_) => registry.parts.accept(holder),
        // How far the document is, its pages say.
        In::Progress(_) => {}
        In::Zone(zone) => report.zone(zone)?,
        In::Page(page) => {
            check_number(&page, pages)?;
            let Some((_, _inside)) = registry.parts.enter(holder) else {
                return Err(holder.attempt.lease_lost().into());
            };
            report.page(page).await?;
        }
        In::Failed(failed) => {
            let error = failed.error.unwrap_or_default();
            tracing::info!(job = %job.id, code = error.code, message = error.message, "a part failed");
            end(services, registry, holder, PartEnd::Reported).await;
        }
        In::Succeeded(_) | In::Cancelled(_) | In::Released(_) => {
            end(services, registry, holder, PartEnd::Reported).await
        }
        In::Plan(_)
        | In::Offer(_)
        | In::ExportStarted(_)
        | In::ExportProgress(_)
        | In::ExportCompleted(_)
        | In::ExportFailed(_)
        | In::Output(_) => {
            return Err(Error::field("attempt.part", "must be empty: only the whole job has this"));
        }
        In::Hello(_) | In::Heartbeat(_) | In::Slots(_) | In::ResumeReports(_) => {}
    }
    Ok(())
}
