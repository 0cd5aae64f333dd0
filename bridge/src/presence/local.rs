//! Who is connected to this bridge, and what the server reports of those users elsewhere. An entry is a [`PresenceGuard`]: it goes when
//! that is dropped, however its connection ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use courant_proto::v1;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::connections::{DeviceConnections, Transport};
use super::merge::merged;
use crate::wire::device::Device;

/// How long a new subscription waits for what other bridges say before it shows what this one knows.
const ELSEWHERE_TIMEOUT: Duration = Duration::from_secs(2);

/// How much of whom for how long.
#[derive(Clone, Copy, Debug)]
pub struct PresenceLimits {
    /// Devices of one user at this bridge.
    pub devices_per_user: usize,
    /// How long after its answer a poll is followed by the next.
    pub poll: Duration,
    /// How long without the server until nothing is known of other bridges.
    pub grace: Duration,
}

/// All users that are connected or looked at.
#[derive(Debug)]
pub struct LocalPresence {
    limits: PresenceLimits,
    inner: Mutex<Inner>,
    /// There are unreported users.
    unreported: Notify,
    /// The next time has changed.
    alarm: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    users: HashMap<Arc<str>, User>,
    /// Users whom the server does not know as they are.
    unreported: BTreeSet<Arc<str>>,
    /// When polls are overdue: at most one entry a device.
    overdue: BTreeSet<(Instant, Arc<str>, String)>,
    link: ServerLink,
}

/// The state of the stream to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ServerLink {
    Connected,
    /// Not any more; what the server reported last counts until then.
    Lost(Instant),
    #[default]
    Disconnected,
}

#[derive(Debug, Default)]
struct User {
    connections: BTreeMap<String, DeviceConnections>,
    /// None until the server has reported.
    elsewhere: Option<Vec<v1::Device>>,
    subscriptions: usize,
    changed: Option<watch::Sender<()>>,
}

/// One connection in the presence.
#[derive(Debug)]
pub struct PresenceGuard {
    presence: Arc<LocalPresence>,
    user: Arc<str>,
    device: String,
    transport: Transport,
    shown: bool,
}

/// Somebody subscriptions at a user's devices.
#[derive(Debug)]
pub struct PresenceSubscription {
    presence: Arc<LocalPresence>,
    user: Arc<str>,
    changed: watch::Receiver<()>,
}

/// What there is to see.
#[derive(Clone, Debug, PartialEq)]
pub struct VisibleDevices {
    pub devices: BTreeMap<String, v1::Device>,
    /// Whether other bridges' devices are among them.
    pub complete: bool,
}

impl LocalPresence {
    pub fn new(limits: PresenceLimits) -> Arc<Self> {
        Arc::new(Self { limits, inner: Mutex::default(), unreported: Notify::new(), alarm: Notify::new() })
    }

    /// A connection of a user begins. One of too many devices is let in and not shown.
    pub fn enter(self: &Arc<Self>, user: &str, device: &Device, transport: Transport) -> PresenceGuard {
        let mut inner = self.inner.lock();
        let user: Arc<str> = user.into();
        let known = inner.users.entry(user.clone()).or_default();
        let shown =
            known.connections.contains_key(&device.id) || known.connections.len() < self.limits.devices_per_user;
        if shown {
            let connections =
                known.connections.entry(device.id.clone()).or_insert_with(|| DeviceConnections::new(SystemTime::now()));
            connections.enter(transport, device.name.as_deref());
        }
        self.changed(&mut inner, &user);
        PresenceGuard { presence: self.clone(), user, device: device.id.clone(), transport, shown }
    }

    /// Subscribes to the devices of a user.
    pub fn subscribe(self: &Arc<Self>, user: &str) -> PresenceSubscription {
        let mut inner = self.inner.lock();
        let user: Arc<str> = user.into();
        let known = inner.users.entry(user.clone()).or_default();
        known.subscriptions += 1;
        let changed = known.changed.get_or_insert_with(|| watch::channel(()).0).subscribe();
        if known.subscriptions == 1 && inner.link == ServerLink::Connected {
            inner.unreported.insert(user.clone());
            self.unreported.notify_one();
        }
        PresenceSubscription { presence: self.clone(), user, changed }
    }

    /// How many devices are shown of this bridge.
    pub fn device_count(&self) -> usize {
        self.inner.lock().users.values().map(|user| user.connections.len()).sum()
    }

    /// The stream to the server is open, and nothing was sent on it.
    pub fn server_connected(&self) {
        let mut inner = self.inner.lock();
        inner.link = ServerLink::Connected;
        let all: Vec<_> = inner.users.keys().cloned().collect();
        inner.unreported = all.into_iter().collect();
        self.unreported.notify_one();
    }

    /// The stream to the server is lost. What the server reported still counts for the grace.
    pub fn server_lost(&self) {
        let mut inner = self.inner.lock();
        if inner.link == ServerLink::Connected {
            inner.link = ServerLink::Lost(Instant::now() + self.limits.grace);
            self.alarm.notify_one();
        }
    }

    /// Applies what the server reports of a user at other bridges.
    pub fn apply(&self, elsewhere: v1::UserElsewhere) {
        let mut inner = self.inner.lock();
        let user = inner.users.get_mut(elsewhere.user.as_str()).filter(|user| user.subscriptions > 0);
        if let Some(user) = user {
            user.elsewhere = Some(elsewhere.devices);
            user.notify();
        }
    }

    /// Waits for users of whom the server must be told, and takes them. Each is to be read when it is sent.
    pub async fn next_unreported(&self) -> BTreeSet<Arc<str>> {
        loop {
            let unreported = std::mem::take(&mut self.inner.lock().unreported);
            if !unreported.is_empty() {
                return unreported;
            }
            self.unreported.notified().await;
        }
    }

    /// A user as the server is to know it now.
    pub fn report(&self, user: &str) -> v1::BridgeUser {
        let inner = self.inner.lock();
        let known = inner.users.get(user);
        v1::BridgeUser {
            user: user.to_owned(),
            devices: known.map(User::to_proto).unwrap_or_default(),
            followed: known.is_some_and(|known| known.subscriptions > 0),
        }
    }

    /// Expires polls that do not come and reports of an unavailable server. Never returns.
    pub async fn expire_forever(&self) {
        loop {
            let next = self.expire(Instant::now());
            tokio::select! {
                () = self.alarm.notified() => {}
                () = at(next) => {}
            }
        }
    }

    /// Ends what is over, and returns when the next will be.
    fn expire(&self, now: Instant) -> Option<Instant> {
        let mut inner = self.inner.lock();
        while inner.overdue.first().is_some_and(|(at, ..)| *at <= now)
            && let Some((_, user, device)) = inner.overdue.pop_first()
        {
            let connections = inner.users.get_mut(&user).and_then(|known| known.connections.get_mut(&device));
            match connections.and_then(|connections| connections.polls_until(now)) {
                // It has polled meanwhile.
                Some(later) => drop(inner.overdue.insert((later, user, device))),
                None => self.remove_if_gone(&mut inner, &user, &device),
            }
        }
        if let ServerLink::Lost(until) = inner.link
            && until <= now
        {
            inner.link = ServerLink::Disconnected;
            for user in inner.users.values_mut() {
                user.elsewhere = None;
                user.notify();
            }
        }
        let overdue = inner.overdue.first().map(|(at, ..)| *at);
        let lost = if let ServerLink::Lost(until) = inner.link { Some(until) } else { None };
        overdue.into_iter().chain(lost).min()
    }

    fn leave(&self, guard: &PresenceGuard) {
        let mut inner = self.inner.lock();
        let now = Instant::now();
        let overdue = now + self.limits.poll;
        let Some(connections) =
            inner.users.get_mut(&guard.user).and_then(|user| user.connections.get_mut(&guard.device))
        else {
            return;
        };
        let waits = connections.polls_until(now).is_some();
        connections.leave(guard.transport, overdue);
        if guard.transport == Transport::Poll && !waits {
            inner.overdue.insert((overdue, guard.user.clone(), guard.device.clone()));
            self.alarm.notify_one();
        }
        self.remove_if_gone(&mut inner, &guard.user, &guard.device);
    }

    /// Takes out a device that is gone.
    fn remove_if_gone(&self, inner: &mut Inner, user: &Arc<str>, device: &str) {
        if let Some(known) = inner.users.get_mut(user)
            && known.connections.get(device).is_some_and(DeviceConnections::is_gone)
        {
            known.connections.remove(device);
        }
        self.changed(inner, user);
    }

    /// Tells all who should know, and forgets a user of whom there is nothing to know.
    fn changed(&self, inner: &mut Inner, user: &Arc<str>) {
        if let Some(known) = inner.users.get(user) {
            known.notify();
            if known.connections.is_empty() && known.subscriptions == 0 {
                inner.users.remove(user);
            }
        }
        if inner.link == ServerLink::Connected {
            inner.unreported.insert(user.clone());
            self.unreported.notify_one();
        }
    }
}

impl User {
    fn to_proto(&self) -> Vec<v1::Device> {
        self.connections.iter().map(|(id, connections)| connections.to_proto(id)).collect()
    }

    fn notify(&self) {
        if let Some(changed) = &self.changed {
            changed.send_replace(());
        }
    }
}

impl PresenceGuard {
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Whether it is shown: a user may have too many devices.
    pub fn is_shown(&self) -> bool {
        self.shown
    }
}

impl Drop for PresenceGuard {
    fn drop(&mut self) {
        if self.shown {
            self.presence.leave(self);
        }
    }
}

impl PresenceSubscription {
    /// Waits until the server has reported what it knows; for a short time, and not while it is unavailable.
    pub async fn wait_until_complete(&mut self) {
        let complete = async { while self.is_incomplete() && self.changed.changed().await.is_ok() {} };
        // Late is better than never: the rest comes as a change.
        let _ = tokio::time::timeout(ELSEWHERE_TIMEOUT, complete).await;
    }

    fn is_incomplete(&self) -> bool {
        let inner = self.presence.inner.lock();
        inner.link == ServerLink::Connected && inner.users.get(&self.user).is_some_and(|user| user.elsewhere.is_none())
    }

    pub fn devices(&mut self) -> VisibleDevices {
        self.changed.mark_unchanged();
        let inner = self.presence.inner.lock();
        let Some(user) = inner.users.get(&self.user) else {
            return VisibleDevices { devices: BTreeMap::new(), complete: false };
        };
        let elsewhere = user.elsewhere.iter().flatten().cloned();
        let devices = merged(user.to_proto().into_iter().chain(elsewhere));
        VisibleDevices { devices, complete: user.elsewhere.is_some() }
    }

    /// Waits until they may have changed.
    pub async fn changed(&mut self) {
        // The sender lives as long as there are subscriptions.
        if self.changed.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for PresenceSubscription {
    fn drop(&mut self) {
        let mut inner = self.presence.inner.lock();
        if let Some(user) = inner.users.get_mut(&self.user) {
            user.subscriptions -= 1;
            if user.subscriptions == 0 {
                user.changed = None;
                user.elsewhere = None;
                self.presence.changed(&mut inner, &self.user);
            }
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
