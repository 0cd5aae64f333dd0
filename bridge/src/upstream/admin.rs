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

use super::content::{content_hash, interval};
use super::overview::Overview;
use crate::fault::Fault;
use crate::server::Server;
use crate::topic::upstream::{Content, Origin, Part, Update, Updates};
use crate::wire::encode::Slot;
use crate::wire::message::{Audit, ConnectionsStatus, SystemMetrics, Workers};
use crate::wire::service::{Statistics, Worker};
use crate::wire::{ServerMessage, Tier};

/// The metrics come at least this far apart; the server takes no shorter interval.
const METRICS_INTERVAL: Duration = Duration::from_secs(1);
/// Least time between two looks of the bridge at itself.
const OWN_INTERVAL: Duration = Duration::from_millis(250);

/// All bridges, as the server last reported them.
type Everywhere = Arc<Mutex<Option<v1::WatchBridgesResponse>>>;

/// Follows four parts side by side; lost with the first that is. What has not changed of the bridge itself comes once in
/// `repeat`: a subscriber with a full outbox may have missed it.
pub async fn follow(server: &Server, overview: &Overview, tier: Tier, repeat: Duration) -> Result<Updates, Fault> {
    let every = interval(tier.interval().max(METRICS_INTERVAL));
    let request = server.stream_own(v1::WatchSystemMetricsRequest { interval: every })?;
    let metrics = server.system_admin().watch_system_metrics(request).await?.into_inner();
    let metrics = metrics.map_err(Fault::from).map_ok(|v1::WatchSystemMetricsResponse { metrics }| {
        Update::new(metrics.map_or(Content::Nothing, |metrics| Content::Part(metrics_part(&metrics))))
    });
    let min_interval = interval(tier.interval().max(OWN_INTERVAL));
    let request = server.stream_own(v1::WatchWorkersRequest { min_interval })?;
    let workers = server.system_admin().watch_workers(request).await?.into_inner();
    let workers = workers.map_err(Fault::from);
    let workers = workers.map_ok(|answer| Update::new(Content::Part(workers_part(&answer.workers))));
    let everywhere = Everywhere::default();
    let bridges = watch_bridges(server, min_interval, everywhere.clone()).await?;
    let own = follow_itself(overview, tier, repeat, everywhere);
    // A stream that ends without an error is lost as well, and all with it.
    let end = || futures::stream::once(ready(Err(Fault::unreachable())));
    Ok(futures::stream::select_all([metrics.chain(end()).boxed(), workers.chain(end()).boxed(), bridges, own]).boxed())
}

/// Keeps what the server reports of all bridges; yields nothing but errors. A server without presence knows none.
async fn watch_bridges(
    server: &Server,
    min_interval: Option<prost_types::Duration>,
    everywhere: Everywhere,
) -> Result<Updates, Fault> {
    let request = server.stream_own(v1::WatchBridgesRequest { min_interval })?;
    let bridges: BoxStream<'static, _> = match server.system_presence().watch_bridges(request).await {
        Ok(bridges) => bridges.into_inner().boxed(),
        Err(status) if status.code() == tonic::Code::Unimplemented => futures::stream::empty().boxed(),
        Err(status) => return Err(status.into()),
    };
    let keep = move |all: v1::WatchBridgesResponse| {
        *everywhere.lock() = Some(all);
        ready(Ok(None))
    };
    Ok(bridges.map_err(Fault::from).try_filter_map(keep).boxed())
}

fn follow_itself(overview: &Overview, tier: Tier, repeat: Duration, everywhere: Everywhere) -> Updates {
    let mut ticks = tokio::time::interval(tier.interval().max(OWN_INTERVAL));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let known = HashMap::new();
    let itself = Itself { overview: overview.clone(), everywhere, ticks, again: Instant::now(), repeat, known };
    let parts = futures::stream::unfold(itself, |mut itself| async { Some((itself.next().await, itself)) });
    parts
        .flat_map(|parts| futures::stream::iter(parts.into_iter().map(|part| Ok(Update::new(Content::Part(part))))))
        .boxed()
}

struct Itself {
    overview: Overview,
    everywhere: Everywhere,
    ticks: Interval,
    /// When to send all though nothing has changed.
    again: Instant,
    repeat: Duration,
    /// What was sent last.
    known: HashMap<Slot, u64>,
}

impl Itself {
    /// What is to be sent at the next tick.
    async fn next(&mut self) -> Vec<Part> {
        self.ticks.tick().await;
        let all = self.again <= Instant::now();
        if all {
            self.again = Instant::now() + self.repeat;
        }
        let connections = connections_part(&self.overview, self.everywhere.lock().as_ref());
        let mut parts = vec![connections, audit_part(&self.overview)];
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

fn connections_part(overview: &Overview, everywhere: Option<&v1::WatchBridgesResponse>) -> Part {
    let connections = overview.connections(everywhere);
    Part {
        slot: Slot::Connections,
        hash: content_hash(&connections),
        origin: Origin::Bridge,
        message: Box::new(move |topic, cursor| {
            ServerMessage::Connections(Box::new(ConnectionsStatus { topic, cursor, connections }))
        }),
    }
}

fn audit_part(overview: &Overview) -> Part {
    let entries = overview.audit.newest();
    let known = (&overview.bridge, entries.last().map(|last| last.number));
    Part {
        slot: Slot::Audit,
        hash: content_hash(&known),
        origin: Origin::Bridge,
        message: Box::new(move |topic, cursor| ServerMessage::Audit(Box::new(Audit { topic, cursor, entries }))),
    }
}
