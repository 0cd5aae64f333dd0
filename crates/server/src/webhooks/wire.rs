//! Webhooks on the wire.

use courant_engine::cursor::Cursor;
use courant_joblog::ids::Timestamp;
use courant_proto::v1;

use crate::convert;
use crate::error::Error;
use crate::event_kind::EventKind;
use crate::webhook_store::{Attempt, Known};

pub(super) fn webhook(known: &Known, now: Timestamp) -> v1::Webhook {
    let (endpoint, progress) = (&known.endpoint, known.current());
    let off = progress.switched_off.as_ref();
    let state = match (endpoint.enabled, off) {
        (false, _) => v1::WebhookState::Disabled,
        (true, Some(_)) => v1::WebhookState::SwitchedOff,
        (true, None) => v1::WebhookState::Enabled,
    };
    let at = |ms: i64| convert::time(Timestamp(ms));
    v1::Webhook {
        webhook_id: endpoint.id.clone(),
        url: endpoint.url.clone(),
        description: endpoint.description.clone(),
        events: endpoint.events.iter().map(|kind| event(*kind).into()).collect(),
        state: state.into(),
        disable_reason: off.map(|off| off.why.clone()).unwrap_or_default(),
        disable_time: off.map(|off| at(off.at)),
        failing_since: progress.failing_since.map(at),
        jobs_waiting: i32::try_from(progress.waiting.len()).unwrap_or(i32::MAX),
        cursor: Cursor::from(progress.position).encode(),
        events_delivered: i64::try_from(progress.delivered).unwrap_or(i64::MAX),
        events_given_up: i64::try_from(progress.given_up).unwrap_or(i64::MAX),
        create_time: Some(at(endpoint.made)),
        old_secret_expire_time: endpoint.old_secret_until.filter(|until| *until > now.0).map(at),
    }
}

pub(super) fn delivery(attempt: &Attempt) -> v1::WebhookDelivery {
    v1::WebhookDelivery {
        message_id: attempt.message.clone(),
        r#type: attempt.event.clone(),
        job_id: attempt.job.clone(),
        send_time: Some(convert::time(Timestamp(attempt.at))),
        duration: Some(convert::span(attempt.took_ms)),
        http_status: attempt.status.into(),
        error: attempt.error.clone(),
        attempt: i32::try_from(attempt.number).unwrap_or(i32::MAX),
        given_up: attempt.given_up,
    }
}

fn event(kind: EventKind) -> v1::WebhookEvent {
    match kind {
        EventKind::Queued => v1::WebhookEvent::JobQueued,
        EventKind::Started => v1::WebhookEvent::JobStarted,
        EventKind::Retrying => v1::WebhookEvent::JobRetrying,
        EventKind::Succeeded => v1::WebhookEvent::JobSucceeded,
        EventKind::Failed => v1::WebhookEvent::JobFailed,
        EventKind::Cancelled => v1::WebhookEvent::JobCancelled,
    }
}

/// What is to be sent, each once.
pub(super) fn events_in(events: &[i32]) -> Result<Vec<EventKind>, Error> {
    let wanted = |kind: &EventKind| events.contains(&i32::from(event(*kind)));
    let known = |number: &i32| EventKind::ALL.iter().any(|kind| i32::from(event(*kind)) == *number);
    if let Some(unknown) = events.iter().find(|number| !known(number)) {
        return Err(Error::field("events", format!("has the unknown event {unknown}; use those of WebhookEvent")));
    }
    Ok(EventKind::ALL.into_iter().filter(wanted).collect())
}
