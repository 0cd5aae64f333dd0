//! What a lead offers, and the state it is sent of that.

use courant_engine::attempt::AttemptId;
use courant_engine::parts::{MAX_RANGES, PageSpan};
use courant_joblog::ids::WorkerId;
use courant_joblog::job::State;
use courant_proto::v1::work_response::Message;
use courant_proto::v1::{OfferPages, PageRange, PartsChanged};

use crate::error::Error;
use crate::services::Services;
use crate::worker::assignment::{finished_pages, page_range};
use crate::worker::parts::Holder;
use crate::worker::registry::Registry;

/// Takes the offer of an attempt. The caller knows that the attempt is the worker's.
pub(crate) fn offer(
    services: &Services,
    registry: &Registry,
    lead: &WorkerId,
    attempt: &AttemptId,
    offer: &OfferPages,
) -> Result<(), Error> {
    let job = attempt.held_job(&services.engine)?;
    let last = job.pages.in_document().ok_or_else(|| Error::field("offer", "must come after the plan"))?;
    let pages = spans_in(&offer.pages, last)?;
    if offer.revision < 1 {
        return Err(Error::field("offer.revision", "must be at least 1"));
    }
    if job.state == State::Running {
        registry.parts.ledger.lock().offer(attempt, lead, &job.kind, offer.revision, pages);
        send_to_lead(services, registry, attempt);
        services.engine.wake.notify_one();
    }
    Ok(())
}

fn spans_in(ranges: &[PageRange], highest: u32) -> Result<Vec<PageSpan>, Error> {
    if ranges.len() > MAX_RANGES {
        return Err(Error::field("offer.pages", format!("must have at most {MAX_RANGES} ranges")));
    }
    let span = |range: &PageRange| {
        let (first, last) = (u32::try_from(range.first).ok()?, u32::try_from(range.last).ok()?);
        (1 <= first && first <= last && last <= highest).then_some(PageSpan { first, last })
    };
    let spans: Option<Vec<PageSpan>> = ranges.iter().map(span).collect();
    let mut spans = spans.ok_or_else(|| Error::field("offer.pages", format!("must lie within 1 to {highest}")))?;
    spans.sort_unstable_by_key(|span| span.first);
    if spans.windows(2).any(|pair| pair[0].overlaps(&pair[1])) {
        return Err(Error::field("offer.pages", "must have no page in common"));
    }
    Ok(spans)
}

/// Sends the lead the state of its offers.
pub(super) fn send_to_lead(services: &Services, registry: &Registry, attempt: &AttemptId) {
    // Under the ledger's lock, so that what is sent later is newer.
    let mut ledger = registry.parts.ledger.lock();
    let Some(split) = ledger.split(attempt) else { return };
    let finished = attempt.held_job(&services.engine).map(|job| finished_pages(&job)).unwrap_or_default();
    let message = PartsChanged {
        attempt: Some(Holder::of(attempt).wire(&services.credentials, &split.lead)),
        revision: split.revision,
        held: split.held().map(page_range).collect(),
        finished_pages: finished,
    };
    let sent = registry.send(&split.lead, Message::Parts(message));
    if let Some(split) = ledger.split_mut(attempt) {
        split.lead_is_stale = !sent;
    }
}

/// Sends a worker what could not be sent before of the attempts that it holds.
pub(crate) fn remind_lead(services: &Services, registry: &Registry, held: &[AttemptId]) {
    let stale: Vec<&AttemptId> = {
        let ledger = registry.parts.ledger.lock();
        held.iter().filter(|attempt| ledger.split(attempt).is_some_and(|split| split.lead_is_stale)).collect()
    };
    stale.into_iter().for_each(|attempt| send_to_lead(services, registry, attempt));
}
