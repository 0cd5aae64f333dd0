//! Who is connected, as the bridges report it: to this server, and to the others on the same log. In memory alone; what a bridge
//! reported is dropped with its stream.

mod changes;
mod inner;
mod other_servers;

use std::sync::Arc;
use std::time::SystemTime;

use courant_proto::v1::{BridgeCounts, BridgeHello, BridgeUser, Device, UserElsewhere, WatchBridgesResponse};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use self::changes::{Change, SnapshotPosition};
pub use self::inner::UserUpdate;
use self::inner::{Bridge, Inner, Number, Stream};
pub use self::other_servers::{Received, Update};
use super::send_queue::SendQueue;
use crate::config::PresenceConfig;

/// All bridges and the users at them.
#[derive(Debug)]
pub struct PresenceRegistry {
    limits: PresenceConfig,
    inner: Mutex<Inner>,
    /// Notified when there is something for the other servers.
    changed: Notify,
}

/// The stream of one bridge; what it reported goes when this is dropped.
#[derive(Debug)]
pub struct BridgeRegistration {
    presence: Arc<PresenceRegistry>,
    number: Number,
    /// The users that the bridge is to be sent.
    pub send_queue: Arc<SendQueue>,
    /// Cancelled when a newer stream has replaced it.
    pub replaced: CancellationToken,
}

impl PresenceRegistry {
    pub fn new(limits: PresenceConfig) -> Arc<Self> {
        Arc::new(Self { limits, inner: Mutex::default(), changed: Notify::new() })
    }

    /// Registers a bridge. An older stream with the same id ends: the newer one is current.
    pub fn register(self: &Arc<Self>, hello: BridgeHello) -> BridgeRegistration {
        let stream = Stream::default();
        let bridge = Bridge::new(hello, SystemTime::now(), Some(stream.clone()));
        let number = self.change(|inner| inner.add_bridge(bridge));
        let Stream { send_queue, replaced } = stream;
        BridgeRegistration { presence: self.clone(), number, send_queue, replaced }
    }

    /// The devices of a user that are connected now.
    pub fn devices(&self, user: &str) -> Vec<Device> {
        let mut devices = self.inner.lock().devices(user, None);
        devices.truncate(self.limits.presence_devices_per_user);
        devices
    }

    pub fn bridges(&self) -> WatchBridgesResponse {
        self.inner.lock().show()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner.lock();
        let changed = change(&mut inner);
        let is_pending = inner.changes.is_pending();
        drop(inner);
        if is_pending {
            self.changed.notify_one();
        }
        changed
    }
}

impl BridgeRegistration {
    /// Applies what the bridge reports of a user.
    pub fn user(&self, reported: BridgeUser) -> UserUpdate {
        let most = self.presence.limits.presence_users_per_bridge;
        self.presence.change(|inner| inner.set_user(self.number, reported, most))
    }

    /// Applies the counts of the bridge.
    pub fn counts(&self, counts: BridgeCounts) {
        self.presence.change(|inner| inner.set_counts(self.number, Some(counts)));
    }

    /// A user's devices at other bridges; none for a user that this one does not follow any more.
    pub fn elsewhere(&self, user: &str) -> Option<UserElsewhere> {
        let mut elsewhere = self.presence.inner.lock().elsewhere(self.number, user)?;
        elsewhere.devices.truncate(self.presence.limits.presence_devices_per_user);
        Some(elsewhere)
    }
}

impl Drop for BridgeRegistration {
    fn drop(&mut self) {
        self.presence.change(|inner| inner.remove_bridge(self.number));
    }
}
