//! The topic `admin`: the service as its operators see it, with what this bridge knows of itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1;
use futures::future::ready;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::audit::{self, LatestEvents};
use super::content::{content_hash, interval};
use super::overview::Overview;
use crate::api_error::ApiError;
use crate::server::Server;
use crate::topic::upstream::{Content, Origin, Part, Update, Updates};
use crate::wire::admin::AuditEntry;
use crate::wire::encode::Slot;
use crate::wire::message::{Audit, ConnectionsStatus, SystemMetrics, Workers};
use crate::wire::service::{Statistics, Worker};
use crate::wire::{ServerMessage, ThrottleTier};

/// The metrics come at least this far apart; the server takes no shorter interval.
const METRICS_INTERVAL: Duration = Duration::from_secs(1);
/// Least time between two samples of the state of this bridge.
const OWN_INTERVAL: Duration = Duration::from_millis(250);

/// All bridges, as the server last reported them.
type LatestBridges = Arc<Mutex<Option<v1::WatchBridgesResponse>>>;

/// Follows four parts side by side; lost with the first that is. What has not changed of the bridge itself comes once in
/// `repeat`: a subscriber with a full outbox may have missed it.
pub async fn follow(
    server: &Server,
    overview: &Overview,
    tier: ThrottleTier,
    repeat: Duration,
) -> Result<Updates, ApiError> {
    let every = interval(tier.interval().max(METRICS_INTERVAL));
    let request = server.stream_own(v1::WatchSystemMetricsRequest { interval: every })?;
    let metrics = server.system_admin().watch_system_metrics(request).await?.into_inner();
    let metrics = metrics.map_err(ApiError::from).map_ok(|v1::WatchSystemMetricsResponse { metrics }| {
        Update::new(metrics.map_or(Content::Nothing, |metrics| Content::Part(metrics_part(&metrics))))
    });
    let min_interval = interval(tier.interval().max(OWN_INTERVAL));
    let request = server.stream_own(v1::WatchWorkersRequest { min_interval })?;
    let workers = server.system_admin().watch_workers(request).await?.into_inner();
    let workers = workers.map_err(ApiError::from);
    let workers = workers.map_ok(|answer| Update::new(Content::Part(workers_part(&answer.workers))));
    let bridges_report = LatestBridges::default();
    let bridges = watch_bridges(server, min_interval, bridges_report.clone()).await?;
    let events = LatestEvents::default();
    let audit = audit::follow(server.clone(), tier.interval(), events.clone());
    let own = follow_this_bridge(overview, tier, repeat, bridges_report, events);
    // A stream that ends without an error is lost as well, and all with it.
    let end = || futures::stream::once(ready(Err(ApiError::unreachable())));
    let parts = [metrics.chain(end()).boxed(), workers.chain(end()).boxed(), bridges, audit, own];
    Ok(futures::stream::select_all(parts).boxed())
}

/// Keeps what the server reports of all bridges; yields nothing but errors. A server without presence knows none.
async fn watch_bridges(
    server: &Server,
    min_interval: Option<prost_types::Duration>,
    bridges_report: LatestBridges,
) -> Result<Updates, ApiError> {
    let request = server.stream_own(v1::WatchBridgesRequest { min_interval })?;
    let bridges: BoxStream<'static, _> = match server.system_presence().watch_bridges(request).await {
        Ok(bridges) => bridges.into_inner().boxed(),
        Err(status) if status.code() == tonic::Code::Unimplemented => futures::stream::empty().boxed(),
        Err(status) => return Err(status.into()),
    };
    let keep = move |all: v1::WatchBridgesResponse| {
        *bridges_report.lock() = Some(all);
        ready(Ok(None))
    };
    Ok(bridges.map_err(ApiError::from).try_filter_map(keep).boxed())
}

fn follow_this_bridge(
    overview: &Overview,
    tier: ThrottleTier,
    repeat: Duration,
    bridges_report: LatestBridges,
    events: LatestEvents,
) -> Updates {
    let mut ticks = tokio::time::interval(tier.interval().max(OWN_INTERVAL));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let known = HashMap::new();
    let this_bridge =
        ThisBridge { overview: overview.clone(), bridges_report, events, ticks, again: Instant::now(), repeat, known };
    let parts =
        futures::stream::unfold(this_bridge, |mut this_bridge| async { Some((this_bridge.next().await, this_bridge)) });
    parts
        .flat_map(|parts| futures::stream::iter(parts.into_iter().map(|part| Ok(Update::new(Content::Part(part))))))
        .boxed()
}

struct ThisBridge {
    overview: Overview,
    bridges_report: LatestBridges,
    events: LatestEvents,
    ticks: Interval,
    /// When to send all though nothing has changed.
    again: Instant,
    repeat: Duration,
    /// What was sent last.
    known: HashMap<Slot, u64>,
}

impl ThisBridge {
    /// What is to be sent at the next tick.
    async fn next(&mut self) -> Vec<Part> {
        self.ticks.tick().await;
        let all = self.again <= Instant::now();
        if all {
            self.again = Instant::now() + self.repeat;
        }
        let connections = connections_part(&self.overview, self.bridges_report.lock().as_ref());
        let mut parts = vec![connections, audit_part(&self.overview, self.events.lock().clone())];
        parts.retain(|part| self.known.insert(part.slot, part.hash) != Some(part.hash) || all);
        parts
    }
}

fn metrics_part(metrics: &v1::SystemMetrics) -> Part {
    let metrics = Statistics::from(metrics);
    Part {
        slot: Slot::Statistics,
        hash: content_hash(&metrics),
        origin: Origin::Server,
        message: Box::new(move |topic, cursor| {
            let (topic, cursor) = (Some(topic), Some(cursor));
            ServerMessage::SystemMetrics(Box::new(SystemMetrics { id: None, topic, cursor, metrics }))
        }),
    }
}

fn workers_part(workers: &[v1::Worker]) -> Part {
    let workers: Vec<_> = workers.iter().map(Worker::from).collect();
    // A later sign of life of a worker is no change.
    let mut known = workers.clone();
    known.iter_mut().for_each(|worker| worker.last_seen_time = None);
    Part {
        slot: Slot::Workers,
        hash: content_hash(&known),
        origin: Origin::Server,
        message: Box::new(move |topic, cursor| ServerMessage::Workers(Box::new(Workers { topic, cursor, workers }))),
    }
}

fn connections_part(overview: &Overview, bridges_report: Option<&v1::WatchBridgesResponse>) -> Part {
    let connections = overview.connections(bridges_report);
    Part {
        slot: Slot::Connections,
        hash: content_hash(&connections),
        origin: Origin::Bridge,
        message: Box::new(move |topic, cursor| {
            ServerMessage::Connections(Box::new(ConnectionsStatus { topic, cursor, connections }))
        }),
    }
}

/// Of the server's audit log; while that does not answer, of this bridge's own.
fn audit_part(overview: &Overview, of_server: Option<Vec<AuditEntry>>) -> Part {
    let source = of_server.as_ref().map_or(&*overview.bridge, |_| "server");
    let known = (source.to_owned(), of_server.as_ref().and_then(|entries| entries.last()).map(|last| last.number));
    let entries = of_server.unwrap_or_else(|| overview.audit.newest());
    let known = (known, entries.last().map(|last| last.number));
    Part {
        slot: Slot::Audit,
        hash: content_hash(&known),
        origin: Origin::Bridge,
        message: Box::new(move |topic, cursor| ServerMessage::Audit(Box::new(Audit { topic, cursor, entries }))),
    }
}
