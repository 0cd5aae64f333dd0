//! Where states come from: watches on the core, and looks at the bridge itself.

use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use courant_proto::v1;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior};

use super::room::{News, StateRoom};
use super::{States, Subject};
use crate::fault::Fault;
use crate::presence::book::Sight;
use crate::presence::lingering::Lingering;
use crate::wire::ServerMessage;
use crate::wire::device::ShownDevice;
use crate::wire::encode::Slot;
use crate::wire::message::{Audit, ConnectionsStatus, Devices, QueueStatus, SystemMetrics, Workers};
use crate::wire::service::{Figures, Queue, Worker};

/// The figures come at least this far apart; the core takes no shorter interval.
const FIGURES_EVERY: Duration = Duration::from_secs(1);
/// The bridge looks at itself at most this often.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Parts that must be known before a state is whole.
pub fn parts(subject: &Subject) -> usize {
    match subject {
        Subject::Queue | Subject::Devices(_) => 1,
        Subject::Admin => 4,
    }
}

/// Follows until something breaks. What comes shows that the core is there: losses are forgotten.
pub async fn follow(states: &States, room: &StateRoom, losses: &mut u32) -> Result<(), Fault> {
    match &room.subject {
        Subject::Queue => follow_queue(states, room, losses).await,
        Subject::Devices(user) => follow_devices(states, room, user).await,
        Subject::Admin => follow_admin(states, room, losses).await,
    }
}

async fn follow_queue(states: &States, room: &StateRoom, losses: &mut u32) -> Result<(), Fault> {
    let request = v1::WatchQueueRequest { min_interval: span(room.tier.interval()) };
    let request = states.core.stream_own(request)?;
    let mut stream = states.core.system_queue().watch_queue(request).await?.into_inner();
    while let Some(v1::WatchQueueResponse { queue }) = stream.message().await? {
        *losses = 0;
        if let Some(queue) = queue {
            room.hear(queue_news(&queue), &states.metrics);
        }
    }
    Ok(())
}

/// Never ends: what the core does not tell is left out, and said to be.
async fn follow_devices(states: &States, room: &StateRoom, user: &str) -> Result<(), Fault> {
    let mut look = states.book.look(user);
    look.settled().await;
    let mut lingering = Lingering::new(states.times.presence_grace);
    let mut again = Instant::now();
    loop {
        let now = Instant::now();
        let Sight { devices, complete } = look.sight();
        let news = devices_news(&lingering.look(now, devices), complete);
        // From time to time also what has not changed: a member with a full outbox may have missed it.
        if again <= now || !room.knows(news.slot, news.hash) {
            again = now + states.times.client_ping;
            room.hear(news, &states.metrics);
        }
        tokio::time::sleep(room.tier.interval()).await;
        tokio::select! {
            () = look.changed() => {}
            () = tokio::time::sleep_until(lingering.next().unwrap_or(again).min(again)) => {}
        }
    }
}

async fn follow_admin(states: &States, room: &StateRoom, losses: &mut u32) -> Result<(), Fault> {
    let interval = span(room.tier.interval().max(FIGURES_EVERY));
    let request = states.core.stream_own(v1::WatchSystemMetricsRequest { interval })?;
    let mut figures = states.core.system_admin().watch_system_metrics(request).await?.into_inner();
    let min_interval = span(room.tier.interval().max(LOOK_EVERY));
    let request = states.core.stream_own(v1::WatchWorkersRequest { min_interval })?;
    let mut workers = states.core.system_admin().watch_workers(request).await?.into_inner();
    let mut bridges = watch_bridges(states, min_interval).await?;
    let mut everywhere = None;
    let mut look = tokio::time::interval(room.tier.interval().max(LOOK_EVERY));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut again = Instant::now();
    loop {
        tokio::select! {
            figures = figures.message() => match figures? {
                Some(v1::WatchSystemMetricsResponse { metrics: Some(metrics) }) => {
                    *losses = 0;
                    room.hear(figures_news(&metrics), &states.metrics);
                }
                Some(_) => {}
                None => return Ok(()),
            },
            workers = workers.message() => match workers? {
                Some(v1::WatchWorkersResponse { workers }) => {
                    *losses = 0;
                    room.hear(workers_news(&workers), &states.metrics);
                }
                None => return Ok(()),
            },
            Some(told) = bridges.next() => everywhere = Some(told?),
            _ = look.tick() => {
                // From time to time also what has not changed: a member with a full outbox may have missed it.
                let all = again <= Instant::now();
                if all {
                    again = Instant::now() + states.times.client_ping;
                }
                let own = [connections_news(states, everywhere.as_ref()), audit_news(states)];
                own.into_iter().filter(|news| all || !room.knows(news.slot, news.hash)).for_each(|news| room.hear(news, &states.metrics));
            }
        }
    }
}

fn queue_news(queue: &v1::Queue) -> News {
    let queue = Queue::from(queue);
    // That those who wait have waited longer is no change.
    let mut known = queue.clone();
    known.lanes.iter_mut().for_each(|lane| lane.oldest_wait = None);
    News {
        slot: Slot::Queue,
        hash: hash(&known),
        message: Box::new(move |topic, cursor| {
            ServerMessage::QueueStatus(Box::new(QueueStatus { topic, cursor, queue }))
        }),
    }
}

fn devices_news(devices: &[v1::Device], complete: bool) -> News {
    let devices: Vec<_> = devices.iter().map(ShownDevice::from).collect();
    News {
        slot: Slot::Devices,
        hash: hash(&(&devices, complete)),
        message: Box::new(move |topic, cursor| {
            ServerMessage::Devices(Box::new(Devices { topic, cursor, devices, complete }))
        }),
    }
}

fn figures_news(metrics: &v1::SystemMetrics) -> News {
    let metrics = Figures::from(metrics);
    News {
        slot: Slot::Figures,
        hash: hash(&metrics),
        message: Box::new(move |topic, cursor| {
            let (topic, cursor) = (Some(topic), Some(cursor));
            ServerMessage::SystemMetrics(Box::new(SystemMetrics { id: None, topic, cursor, metrics }))
        }),
    }
}

fn workers_news(workers: &[v1::Worker]) -> News {
    let workers: Vec<_> = workers.iter().map(Worker::from).collect();
    let mut known = workers.clone();
    known.iter_mut().for_each(|worker| worker.heard_time = None);
    News {
        slot: Slot::Workers,
        hash: hash(&known),
        message: Box::new(move |topic, cursor| ServerMessage::Workers(Box::new(Workers { topic, cursor, workers }))),
    }
}

/// All bridges, as the core knows them. A server that is older than presence knows none.
async fn watch_bridges(states: &States, min_interval: Option<prost_types::Duration>) -> Result<Bridges, Fault> {
    let request = states.core.stream_own(v1::WatchBridgesRequest { min_interval })?;
    match states.core.system_presence().watch_bridges(request).await {
        Ok(bridges) => Ok(bridges.into_inner().boxed()),
        Err(status) if status.code() == tonic::Code::Unimplemented => Ok(futures::stream::empty().boxed()),
        Err(status) => Err(status.into()),
    }
}

type Bridges = BoxStream<'static, Result<v1::WatchBridgesResponse, tonic::Status>>;

fn connections_news(states: &States, everywhere: Option<&v1::WatchBridgesResponse>) -> News {
    let connections = states.local.connections(states.members(), everywhere);
    News {
        slot: Slot::Connections,
        hash: hash(&connections),
        message: Box::new(move |topic, cursor| {
            ServerMessage::Connections(Box::new(ConnectionsStatus { topic, cursor, connections }))
        }),
    }
}

fn audit_news(states: &States) -> News {
    let entries = states.local.trail.newest();
    let known = (&states.local.bridge, entries.last().map(|last| last.number));
    News {
        slot: Slot::Audit,
        hash: hash(&known),
        message: Box::new(move |topic, cursor| ServerMessage::Audit(Box::new(Audit { topic, cursor, entries }))),
    }
}

/// Of the JSON, which is what those who look see.
fn hash(state: &impl Serialize) -> u64 {
    let mut hasher = DefaultHasher::new();
    // Our types can always be written.
    hasher.write(&serde_json::to_vec(state).unwrap_or_default());
    hasher.finish()
}

fn span(interval: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(interval).ok()
}
