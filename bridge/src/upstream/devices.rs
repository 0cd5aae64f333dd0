//! The topic `devices`: those of one user that are connected to this bridge and, as the server knows, to others.

use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1;
use futures::StreamExt;
use tokio::time::Instant;

use super::content::content_hash;
use crate::presence::lingering::Lingering;
use crate::presence::local::{LocalPresence, PresenceSubscription, VisibleDevices};
use crate::topic::upstream::{Content, Origin, Part, Update, Updates};
use crate::wire::device::ShownDevice;
use crate::wire::encode::Slot;
use crate::wire::message::Devices;
use crate::wire::{ServerMessage, ThrottleTier};

/// Follows the devices of a user. Never lost: while the server is unavailable the state is marked as incomplete. What has not changed
/// comes once in `repeat`: a subscriber with a full outbox may have missed it.
pub async fn follow(
    presence: &Arc<LocalPresence>,
    user: &str,
    tier: ThrottleTier,
    grace: Duration,
    repeat: Duration,
) -> Updates {
    let mut subscription = presence.subscribe(user);
    subscription.wait_until_complete().await;
    let again = Instant::now();
    let watching = Watching { subscription, lingering: Lingering::new(grace), again, known: None, tier, repeat };
    futures::stream::unfold(watching, |watching| async { Some(watching.next().await) }).map(Ok).boxed()
}

struct Watching {
    subscription: PresenceSubscription,
    lingering: Lingering,
    /// When to send it though nothing has changed.
    again: Instant,
    /// What was sent last, and whether it was.
    known: Option<u64>,
    tier: ThrottleTier,
    repeat: Duration,
}

impl Watching {
    async fn next(mut self) -> (Update, Self) {
        loop {
            if self.known.is_some() {
                tokio::time::sleep(self.tier.interval()).await;
                tokio::select! {
                    () = self.subscription.changed() => {}
                    () = tokio::time::sleep_until(self.lingering.next().unwrap_or(self.again).min(self.again)) => {}
                }
            }
            let now = Instant::now();
            let VisibleDevices { devices, complete } = self.subscription.devices();
            let part = part(&self.lingering.update(now, devices), complete);
            if self.again <= now || self.known != Some(part.hash) {
                self.again = now + self.repeat;
                self.known = Some(part.hash);
                return (Update::new(Content::Part(part)), self);
            }
        }
    }
}

fn part(devices: &[v1::Device], complete: bool) -> Part {
    let devices: Vec<_> = devices.iter().map(ShownDevice::from).collect();
    Part {
        slot: Slot::Devices,
        hash: content_hash(&(&devices, complete)),
        origin: Origin::Bridge,
        message: Box::new(move |topic, cursor| {
            ServerMessage::Devices(Box::new(Devices { topic, cursor, devices, complete }))
        }),
    }
}
