//! The topic `queue`: what waits and who works.

use courant_proto::v1;
use futures::{StreamExt, TryStreamExt};

use super::content::{content_hash, interval};
use crate::api_error::ApiError;
use crate::server::Server;
use crate::topic::upstream::{Content, Origin, Part, Update, Updates};
use crate::wire::encode::Slot;
use crate::wire::message::QueueStatus;
use crate::wire::service::Queue;
use crate::wire::{ServerMessage, ThrottleTier};

/// Follows the queue as a whole.
pub async fn follow(server: &Server, tier: ThrottleTier) -> Result<Updates, ApiError> {
    let request = server.stream_own(v1::WatchQueueRequest { min_interval: interval(tier.interval()) })?;
    let states = server.system_queue().watch_queue(request).await?.into_inner();
    let update = |v1::WatchQueueResponse { queue }| match queue {
        Some(queue) => Update::new(Content::Part(part(&queue))),
        None => Update::new(Content::Nothing),
    };
    Ok(states.map_ok(update).map_err(ApiError::from).boxed())
}

fn part(queue: &v1::Queue) -> Part {
    let queue = Queue::from(queue);
    // That those who wait have waited longer is no change.
    let mut known = queue.clone();
    known.lanes.iter_mut().for_each(|lane| lane.oldest_wait = None);
    Part {
        slot: Slot::Queue,
        hash: content_hash(&known),
        origin: Origin::Server,
        message: Box::new(move |topic, cursor| {
            ServerMessage::QueueStatus(Box::new(QueueStatus { topic, cursor, queue }))
        }),
    }
}
