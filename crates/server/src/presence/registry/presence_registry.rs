//! The registry, as services and other servers use it.

use std::sync::Arc;
use std::time::SystemTime;

use courant_proto::v1::{BridgeCounts, BridgeHello, BridgeUser, Device, UserElsewhere, WatchBridgesResponse};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::change::{Change, Number, Received, SnapshotPosition, Update};
use super::inner::{Bridge, Inner, Stream, UserUpdate};
use crate::config::PresenceConfig;
use crate::presence::send_queue::SendQueue;
use crate::worker::registry::ServerId;

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
    /// Users whose connections are to be closed.
    pub closing: Arc<SendQueue>,
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
        let Stream { send_queue, replaced, closing } = stream;
        BridgeRegistration { presence: self.clone(), number, send_queue, replaced, closing }
    }

    /// The devices of a user that are connected now.
    pub fn devices(&self, user: &str) -> Vec<Device> {
        let mut devices = self.inner.lock().devices(user, None);
        devices.truncate(self.limits.presence_devices_per_user);
        devices
    }

    /// Asks this server's bridges to close the connections of a user.
    pub fn close_user(&self, user: &str) {
        self.inner.lock().close_user(user);
    }

    pub fn bridges(&self) -> WatchBridgesResponse {
        self.inner.lock().show()
    }

    /// Whether other servers are there to be told. Who comes later needs a snapshot first.
    pub fn set_wanted(&self, wanted: bool) {
        self.inner.lock().changes.set_wanted(wanted);
    }

    /// Waits until there is something for the other servers.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes some changes, bridges before their users; none when there are no more.
    pub fn take_changes(&self) -> Vec<Change> {
        self.inner.lock().take_changes()
    }

    /// A page of all that this server's bridges have reported, and where the next one begins.
    pub fn snapshot_page(&self, from: SnapshotPosition) -> (Vec<Change>, Option<SnapshotPosition>) {
        self.inner.lock().snapshot_page(from)
    }

    /// Applies an update of another server; `number` is one more with each.
    pub fn receive(&self, server: ServerId, number: u64, update: Update) -> Received {
        let most = self.limits.presence_users_per_bridge;
        self.change(|inner| inner.receive_update(server, number, update, most))
    }

    /// Nothing is heard of a server any more: its bridges are gone, or come to another one.
    pub fn forget_server(&self, server: ServerId) {
        self.change(|inner| inner.forget_server(server));
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
