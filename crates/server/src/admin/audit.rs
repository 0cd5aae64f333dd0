//! The audit log over gRPC: finding events, and taking those of bridges and commands.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use courant_auth::{Identity, Role};
use courant_joblog::ids::Timestamp;
use courant_proto::v1::{self, ListAuditEventsRequest, ListAuditEventsResponse, RecordAuditEventsRequest};
use sha2::{Digest, Sha256};

use crate::audit::condition::AuditFilter;
use crate::audit::event::{AuditEvent, Source};
use crate::audit::{AuditLog, Category, Search};
use crate::convert;
use crate::error::Error;
use crate::services::Services;

const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 1000;
/// What one call may look at: some tenths of a second.
const BUDGET: usize = 32 << 20;
/// How long a call waits for other lists of the same user.
const TURN_WITHIN: Duration = Duration::from_secs(10);
/// Events of one call that are taken.
const MAX_EVENTS: usize = 1000;
/// A time that is further in the past, or in the future, is a clock that goes wrong.
const PAST_MS: i64 = 3_600_000;
const FUTURE_MS: i64 = 5_000;
/// Letters of the name of an action.
const ACTION_CHARS: usize = 64;
/// Actions of bridges that they refused: they cost nothing whoever provokes them.
const REFUSALS: [&str; 2] = ["token.refused", "limit.refused"];

/// Events, newest first.
pub async fn list(
    services: &Arc<Services>,
    identity: &Identity,
    request: ListAuditEventsRequest,
) -> Result<ListAuditEventsResponse, Error> {
    let filter = AuditFilter::parse(&request.filter).map_err(Error::Filter)?;
    let limit = match usize::try_from(request.page_size) {
        Ok(0) => DEFAULT_PAGE,
        Ok(size) => size.min(MAX_PAGE),
        Err(_) => return Err(Error::field("page_size", "must not be negative")),
    };
    let mark = filter_mark(&request.filter);
    let before = token_in(&request.page_token, mark)?;
    let _turn = services.shares.lists.take(&identity.subject, 1, TURN_WITHIN).await?;
    services.audit.flush().await;
    let log = services.audit.clone();
    let look = move || {
        let (not_before, wanted) = (filter.not_before(), |event: &AuditEvent| filter.holds(event));
        log.search(&Search { before, not_before, limit, budget: BUDGET, wanted: &wanted })
    };
    let found = tokio::task::spawn_blocking(look).await.map_err(|_| Error::Draining)?.map_err(Error::AuditLog)?;
    Ok(ListAuditEventsResponse {
        events: found.events.into_iter().map(wire).collect(),
        next_page_token: found.next.map(|number| token_out(number, mark)).unwrap_or_default(),
        server: services.audit.server().to_owned(),
    })
}

/// Takes what a bridge or a command did. An admin speaks for nobody else.
pub fn record(log: &AuditLog, identity: &Identity, request: RecordAuditEventsRequest) -> Result<(), Error> {
    if request.events.len() > MAX_EVENTS {
        return Err(Error::field("events", format!("must be at most {MAX_EVENTS}")));
    }
    if let Some(event) = request.events.iter().find(|event| !is_action(&event.action)) {
        let problem = format!("{:?} is no name of 1 to {ACTION_CHARS} of [a-z.-]", event.action);
        return Err(Error::field("events.action", problem));
    }
    for event in request.events {
        let event = if identity.has(Role::Bridge) { of_bridge(event) } else { of_command(identity, event) };
        let is_refusal = REFUSALS.contains(&&*event.action);
        log.record(if is_refusal { Category::Refusal } else { Category::Action }, event);
    }
    Ok(())
}

fn is_action(name: &str) -> bool {
    (1..=ACTION_CHARS).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || b".-".contains(&byte))
}

fn of_bridge(event: v1::AuditEvent) -> AuditEvent {
    let (actor, address, bridge) = (set(&event.actor), set(&event.address), set(&event.bridge));
    AuditEvent { actor, address, bridge, ..given(Source::Bridge, event) }
}

fn of_command(identity: &Identity, event: v1::AuditEvent) -> AuditEvent {
    let roles = identity.roles.iter().map(|role| crate::audit::event::role_name(*role).to_owned()).collect();
    AuditEvent { actor: Some(identity.subject.clone()), roles, ..given(Source::Command, event) }
}

/// What anybody may say of an event.
fn given(source: Source, event: v1::AuditEvent) -> AuditEvent {
    let now = AuditEvent::now(source, &event.action);
    let ms = |time: prost_types::Timestamp| time.seconds.saturating_mul(1000) + i64::from(time.nanos / 1_000_000);
    let is_near = |ms: &i64| (now.time.0 - PAST_MS..=now.time.0 + FUTURE_MS).contains(ms);
    AuditEvent {
        time: event.time.map(ms).filter(is_near).map_or(now.time, Timestamp),
        code: set(&event.code).unwrap_or(now.code),
        job_id: set(&event.job_id),
        target: set(&event.target),
        request_id: set(&event.request_id),
        count: u64::try_from(event.count).unwrap_or(1).max(1),
        ..now
    }
}

fn set(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn wire(event: AuditEvent) -> v1::AuditEvent {
    v1::AuditEvent {
        number: event.number as i64,
        time: Some(convert::time(event.time)),
        server: event.server,
        action: event.action,
        actor: event.actor.unwrap_or_default(),
        roles: event.roles,
        code: event.code,
        job_id: event.job_id.unwrap_or_default(),
        target: event.target.unwrap_or_default(),
        method: event.method.unwrap_or_default(),
        source: event.source.name().to_owned(),
        address: event.address.unwrap_or_default(),
        client_address: event.client_address.unwrap_or_default(),
        bridge: event.bridge.unwrap_or_default(),
        request_id: event.request_id.unwrap_or_default(),
        count: i64::try_from(event.count).unwrap_or(i64::MAX),
    }
}

/// What a token is bound to, so that it is not used with another filter.
fn filter_mark(filter: &str) -> [u8; 4] {
    let digest = Sha256::digest(filter.as_bytes());
    [digest[0], digest[1], digest[2], digest[3]]
}

fn token_out(number: u64, mark: [u8; 4]) -> String {
    URL_SAFE_NO_PAD.encode([&mark[..], &number.to_be_bytes()].concat())
}

fn token_in(token: &str, mark: [u8; 4]) -> Result<Option<u64>, Error> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| Error::PageToken)?;
    let number = bytes.strip_prefix(&mark).and_then(|rest| rest.try_into().ok()).ok_or(Error::PageToken)?;
    Ok(Some(u64::from_be_bytes(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_bound_to_its_filter() {
        let token = token_out(42, filter_mark("actor = a"));
        assert_eq!(token_in(&token, filter_mark("actor = a")).unwrap(), Some(42));
        assert!(matches!(token_in(&token, filter_mark("actor = b")), Err(Error::PageToken)));
        assert!(matches!(token_in("%", filter_mark("")), Err(Error::PageToken)));
    }

    #[test]
    fn an_admin_speaks_for_nobody_else_and_no_clock_is_believed_far() {
        let event = v1::AuditEvent {
            action: "backup.create".into(),
            actor: "somebody".into(),
            address: "192.0.2.1".into(),
            time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
            ..v1::AuditEvent::default()
        };
        let identity =
            Identity { subject: "root".into(), roles: [Role::Admin].into(), expires: std::time::SystemTime::now() };
        let taken = of_command(&identity, event.clone());
        assert_eq!((taken.actor.as_deref(), taken.address.as_deref(), taken.count), (Some("root"), None, 1));
        assert!(taken.time.0 > 1_000_000);
        assert_eq!(of_bridge(event).actor.as_deref(), Some("somebody"));
        assert!(is_action("job.cancel") && !is_action("") && !is_action("Job") && !is_action("a b"));
    }
}
