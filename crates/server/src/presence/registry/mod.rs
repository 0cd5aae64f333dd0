//! Who is connected, as the bridges report it. In memory alone; what a bridge reported is dropped with its stream.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use courant_proto::v1::{self, BridgeCounts, BridgeHello, BridgeUser, Device, UserElsewhere, WatchBridgesResponse};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::merge::merged;
use super::send_queue::SendQueue;
use crate::config::PresenceConfig;

/// Numbers the streams of bridges, in the order in which they came.
type Number = u64;

/// All bridges and the users at them.
#[derive(Debug)]
pub struct PresenceRegistry {
    limits: PresenceConfig,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: Number,
    bridges: BTreeMap<Number, Bridge>,
    users: HashMap<Arc<str>, User>,
    /// Users with a device, and devices, each once.
    present: (usize, usize),
}

#[derive(Debug)]
struct Bridge {
    hello: BridgeHello,
    since: SystemTime,
    reported: HashMap<Arc<str>, BridgeUser>,
    /// Users with a device at it.
    present: usize,
    counts: Option<BridgeCounts>,
    send_queue: Arc<SendQueue>,
    replaced: CancellationToken,
}

#[derive(Debug, Default)]
struct User {
    /// Bridges that have reported it.
    bridges: BTreeSet<Number>,
    devices: usize,
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

/// What became of a reported user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserUpdate {
    Applied,
    /// The bridge has too many users: this one is left out.
    TooManyUsers,
}

impl PresenceRegistry {
    pub fn new(limits: PresenceConfig) -> Arc<Self> {
        Arc::new(Self { limits, inner: Mutex::default() })
    }

    /// Registers a bridge. An older stream with the same id ends: the newer one is current.
    pub fn register(self: &Arc<Self>, hello: BridgeHello) -> BridgeRegistration {
        let (send_queue, replaced) = (Arc::<SendQueue>::default(), CancellationToken::new());
        let mut inner = self.inner.lock();
        let same = inner.bridges.iter().find(|(_, bridge)| bridge.hello.bridge_id == hello.bridge_id);
        if let Some(number) = same.map(|(number, _)| *number) {
            inner.remove_bridge(number);
        }
        let number = inner.next;
        inner.next += 1;
        let bridge = Bridge {
            hello,
            since: SystemTime::now(),
            reported: HashMap::new(),
            present: 0,
            counts: None,
            send_queue: send_queue.clone(),
            replaced: replaced.clone(),
        };
        inner.bridges.insert(number, bridge);
        drop(inner);
        BridgeRegistration { presence: self.clone(), number, send_queue, replaced }
    }

    /// The devices of a user that are connected now.
    pub fn devices(&self, user: &str) -> Vec<Device> {
        let mut devices = self.inner.lock().devices(user, None);
        devices.truncate(self.limits.presence_devices_per_user);
        devices
    }

    pub fn bridges(&self) -> WatchBridgesResponse {
        let inner = self.inner.lock();
        let bridge = |bridge: &Bridge| v1::Bridge {
            bridge_id: bridge.hello.bridge_id.clone(),
            software: bridge.hello.software.clone(),
            connect_time: Some(bridge.since.into()),
            counts: bridge.counts.clone(),
            users: bridge.present as i32,
        };
        WatchBridgesResponse {
            bridges: inner.bridges.values().map(bridge).collect(),
            users: inner.present.0 as i32,
            devices: inner.present.1 as i32,
        }
    }
}

impl BridgeRegistration {
    /// Applies what the bridge reports of a user.
    pub fn user(&self, reported: BridgeUser) -> UserUpdate {
        self.presence.inner.lock().user(self.number, reported, self.presence.limits.presence_users_per_bridge)
    }

    /// Applies the counts of the bridge.
    pub fn counts(&self, counts: BridgeCounts) {
        if let Some(bridge) = self.presence.inner.lock().bridges.get_mut(&self.number) {
            bridge.counts = Some(counts);
        }
    }

    /// A user's devices at other bridges; none for a user that this one does not follow any more.
    pub fn elsewhere(&self, user: &str) -> Option<UserElsewhere> {
        let inner = self.presence.inner.lock();
        inner.bridges.get(&self.number)?.reported.get(user).filter(|reported| reported.followed)?;
        let mut devices = inner.devices(user, Some(self.number));
        devices.truncate(self.presence.limits.presence_devices_per_user);
        Some(UserElsewhere { user: user.to_owned(), devices })
    }
}

impl Drop for BridgeRegistration {
    fn drop(&mut self) {
        self.presence.inner.lock().remove_bridge(self.number);
    }
}

impl Inner {
    fn devices(&self, user: &str, except: Option<Number>) -> Vec<Device> {
        let Some(known) = self.users.get(user) else { return Vec::new() };
        let bridges = known.bridges.iter().filter(|number| Some(**number) != except);
        let reported = bridges.filter_map(|number| self.bridges.get(number)?.reported.get(user));
        merged(reported.flat_map(|reported| &reported.devices))
    }

    fn user(&mut self, number: Number, reported: BridgeUser, most: usize) -> UserUpdate {
        // A stream that was replaced changes nothing.
        let Some(bridge) = self.bridges.get_mut(&number) else { return UserUpdate::Applied };
        let name: Arc<str> = reported.user.as_str().into();
        let before = bridge.reported.get(&name);
        if before.is_none() && bridge.reported.len() >= most {
            return UserUpdate::TooManyUsers;
        }
        let (was_there, was_followed) =
            before.map_or((false, false), |reported| (!reported.devices.is_empty(), reported.followed));
        let changed = before.map_or(&[][..], |reported| &reported.devices) != reported.devices;
        let (is_there, is_followed) = (!reported.devices.is_empty(), reported.followed);
        bridge.present = bridge.present + usize::from(is_there) - usize::from(was_there);
        if is_followed && !was_followed {
            bridge.send_queue.put(&name);
        }
        let user = self.users.entry(name.clone()).or_default();
        if is_there || is_followed {
            bridge.reported.insert(name.clone(), reported);
            user.bridges.insert(number);
        } else {
            bridge.reported.remove(&name);
            user.bridges.remove(&number);
        }
        self.refresh_user(&name, changed.then_some(number));
        UserUpdate::Applied
    }

    fn remove_bridge(&mut self, number: Number) {
        let Some(bridge) = self.bridges.remove(&number) else { return };
        bridge.replaced.cancel();
        for (name, reported) in bridge.reported {
            if let Some(user) = self.users.get_mut(&name) {
                user.bridges.remove(&number);
            }
            self.refresh_user(&name, (!reported.devices.is_empty()).then_some(number));
        }
    }

    /// Counts a user again, removes it when no bridge reports it, and queues it for the other bridges that follow it.
    fn refresh_user(&mut self, name: &Arc<str>, changed_by: Option<Number>) {
        let devices = self.devices(name, None).len();
        let Some(user) = self.users.get_mut(name) else { return };
        let before = std::mem::replace(&mut user.devices, devices);
        self.present.0 = self.present.0 + usize::from(devices > 0) - usize::from(before > 0);
        self.present.1 = self.present.1 + devices - before;
        if let Some(changed) = changed_by {
            for number in user.bridges.iter().filter(|number| **number != changed) {
                let bridge = self.bridges.get(number);
                if let Some(bridge) =
                    bridge.filter(|bridge| bridge.reported.get(name).is_some_and(|reported| reported.followed))
                {
                    bridge.send_queue.put(name);
                }
            }
        }
        if user.bridges.is_empty() {
            self.users.remove(name);
        }
    }
}
