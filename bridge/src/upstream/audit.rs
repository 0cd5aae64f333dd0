//! The audit log: what the server has of it, and what this bridge adds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tonic::Code;

use crate::api_error::ApiError;
use crate::audit::{Reported, merge_refusals};
use crate::server::Server;
use crate::topic::upstream::Update;
use crate::wire::admin::{AuditAction, AuditEntry};
use crate::wire::job::time;

/// What is asked for, each with how many events at most: whoever provokes many of one sort hides none of another.
const QUERIES: [(&str, i32); 3] = [
    ("NOT action = \"*.refused\" AND NOT action = \"connection.*\" AND NOT source = server", 100),
    ("action = connection.open OR action = connection.close", 50),
    ("action = \"*.refused\" OR source = server", 50),
];
/// Least time between two questions.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Events in one report.
const AT_ONCE: usize = 500;
/// Events are gathered for so long.
const GATHER: Duration = Duration::from_millis(200);
/// The pause after a report that was not taken.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// The newest events of the server's audit log, oldest first; none until it has answered.
pub type LatestEvents = Arc<Mutex<Option<Vec<AuditEntry>>>>;

/// Keeps the newest events; yields nothing. An older server has none.
pub fn follow(server: Server, every: Duration, latest: LatestEvents) -> BoxStream<'static, Result<Update, ApiError>> {
    let asking = async move {
        let mut ticks = tokio::time::interval(every.max(ASK_EVERY));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match newest(&server).await {
                Ok(entries) => *latest.lock() = Some(entries),
                Err(status) if status.code() == Code::Unimplemented => break,
                Err(error) => tracing::debug!(%error, "the audit log was not read"),
            }
        }
        std::future::pending::<()>().await;
    };
    futures::stream::once(asking).filter_map(|()| std::future::ready(None)).boxed()
}

async fn newest(server: &Server) -> Result<Vec<AuditEntry>, tonic::Status> {
    let mut entries = Vec::new();
    for (filter, page_size) in QUERIES {
        let request = v1::ListAuditEventsRequest { filter: filter.to_owned(), page_size, page_token: String::new() };
        let request = server.call_own(request).map_err(|error| tonic::Status::internal(error.to_string()))?;
        let answer = server.system_admin().list_audit_events(request).await?.into_inner();
        entries.extend(answer.events.iter().map(entry));
    }
    entries.sort_unstable_by_key(|entry| entry.number);
    Ok(merge_refusals(entries))
}

fn entry(event: &v1::AuditEvent) -> AuditEntry {
    let set = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let action = AuditAction::named(&event.action);
    let target = set(&event.job_id).or_else(|| set(&event.target));
    let target = match action {
        // What has no name here is told by the one that the audit log has for it.
        AuditAction::Other => {
            Some([event.action.as_str(), &target.unwrap_or_default()].join(" ").trim_end().to_owned())
        }
        _ => target,
    };
    AuditEntry {
        number: u64::try_from(event.number).unwrap_or_default(),
        time: time(event.time.as_ref()).unwrap_or_default(),
        action,
        user: set(&event.actor),
        address: set(&event.client_address).or_else(|| set(&event.address)),
        target,
        count: u64::try_from(event.count).ok().filter(|count| *count > 1),
        code: set(&event.code).filter(|code| code != "OK"),
    }
}

/// Sends what this bridge did and refused to the server's audit log, for ever. What it does in a user's name the server writes by
/// itself.
pub async fn report(server: Server, bridge: Arc<str>, mut reported: Reported) {
    while let Some(first) = reported.events.recv().await {
        let events = gather(&mut reported.events, first, reported.lost.take(), &bridge).await;
        while let Err(error) = send(&server, events.clone()).await {
            if error.code() == Code::Unimplemented {
                break;
            }
            tracing::debug!(%error, "audit events were not taken, retrying");
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }
}

/// Some events; those that are alike are one.
async fn gather(
    events: &mut mpsc::Receiver<v1::AuditEvent>,
    first: v1::AuditEvent,
    lost: u64,
    bridge: &str,
) -> Vec<v1::AuditEvent> {
    let (mut gathered, until): (Vec<v1::AuditEvent>, _) = (Vec::new(), Instant::now() + GATHER);
    let mut alike = HashMap::new();
    let mut next = Some(first);
    while let Some(event) = next {
        let key = event
            .action
            .ends_with(".refused")
            .then(|| (event.action.clone(), event.actor.clone(), event.address.clone()));
        match key.and_then(|key| {
            let known = alike.get(&key).copied();
            alike.entry(key).or_insert(gathered.len());
            known
        }) {
            Some(at) => gathered[at].count += 1,
            None => gathered.push(v1::AuditEvent { bridge: bridge.to_owned(), count: 1, ..event }),
        }
        if gathered.len() >= AT_ONCE {
            break;
        }
        next = tokio::time::timeout_at(until, events.recv()).await.ok().flatten();
    }
    if let Ok(count) = i64::try_from(lost)
        && count > 0
    {
        let (action, target, bridge) = ("audit.dropped".to_owned(), "bridge".to_owned(), bridge.to_owned());
        gathered.push(v1::AuditEvent { action, target, bridge, count, ..v1::AuditEvent::default() });
    }
    gathered
}

async fn send(server: &Server, events: Vec<v1::AuditEvent>) -> Result<(), tonic::Status> {
    let request = server.call_own(v1::RecordAuditEventsRequest { events });
    let request = request.map_err(|error| tonic::Status::internal(error.to_string()))?;
    server.system_admin().record_audit_events(request).await.map(drop)
}
