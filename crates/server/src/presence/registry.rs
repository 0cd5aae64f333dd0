//! Who is connected, as the bridges tell it. In memory alone; each bridge's word goes when the bridge goes.

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
    said: HashMap<Arc<str>, BridgeUser>,
    /// Users with a device at it.
    present: usize,
    counts: Option<BridgeCounts>,
    post: Arc<SendQueue>,
    replaced: CancellationToken,
}

#[derive(Debug, Default)]
struct User {
    /// Bridges that have said something of it.
    bridges: BTreeSet<Number>,
    devices: usize,
}

/// The stream of one bridge; what it said goes when this is dropped.
#[derive(Debug)]
pub struct BridgeRegistration {
    roll: Arc<PresenceRegistry>,
    number: Number,
    /// Of whom the bridge is to hear.
    pub post: Arc<SendQueue>,
    /// Cancelled when a newer stream has taken its place.
    pub replaced: CancellationToken,
}

/// Whether what was said is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Yes,
    /// The bridge has too many users: this one is left out.
    TooMany,
}

impl PresenceRegistry {
    pub fn new(limits: PresenceConfig) -> Arc<Self> {
        Arc::new(Self { limits, inner: Mutex::default() })
    }

    /// A bridge comes. Another stream in its name ends: the newer one knows better.
    pub fn arrive(self: &Arc<Self>, hello: BridgeHello) -> BridgeRegistration {
        let (post, replaced) = (Arc::<SendQueue>::default(), CancellationToken::new());
        let mut inner = self.inner.lock();
        let same = inner.bridges.iter().find(|(_, bridge)| bridge.hello.bridge_id == hello.bridge_id);
        if let Some(number) = same.map(|(number, _)| *number) {
            inner.leave(number);
        }
        let number = inner.next;
        inner.next += 1;
        let bridge = Bridge {
            hello,
            since: SystemTime::now(),
            said: HashMap::new(),
            present: 0,
            counts: None,
            post: post.clone(),
            replaced: replaced.clone(),
        };
        inner.bridges.insert(number, bridge);
        drop(inner);
        BridgeRegistration { roll: self.clone(), number, post, replaced }
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
    /// Takes what the bridge says of a user.
    pub fn user(&self, said: BridgeUser) -> Kept {
        self.roll.inner.lock().user(self.number, said, self.roll.limits.presence_users_per_bridge)
    }

    /// Takes what the bridge counts.
    pub fn counts(&self, counts: BridgeCounts) {
        if let Some(bridge) = self.roll.inner.lock().bridges.get_mut(&self.number) {
            bridge.counts = Some(counts);
        }
    }

    /// A user's devices at other bridges; none for a user that this one does not follow any more.
    pub fn elsewhere(&self, user: &str) -> Option<UserElsewhere> {
        let inner = self.roll.inner.lock();
        inner.bridges.get(&self.number)?.said.get(user).filter(|said| said.followed)?;
        let mut devices = inner.devices(user, Some(self.number));
        devices.truncate(self.roll.limits.presence_devices_per_user);
        Some(UserElsewhere { user: user.to_owned(), devices })
    }
}

impl Drop for BridgeRegistration {
    fn drop(&mut self) {
        self.roll.inner.lock().leave(self.number);
    }
}

impl Inner {
    fn devices(&self, user: &str, except: Option<Number>) -> Vec<Device> {
        let Some(known) = self.users.get(user) else { return Vec::new() };
        let bridges = known.bridges.iter().filter(|number| Some(**number) != except);
        let said = bridges.filter_map(|number| self.bridges.get(number)?.said.get(user));
        merged(said.flat_map(|said| &said.devices))
    }

    fn user(&mut self, number: Number, said: BridgeUser, most: usize) -> Kept {
        // A stream that was replaced has nothing to say.
        let Some(bridge) = self.bridges.get_mut(&number) else { return Kept::Yes };
        let name: Arc<str> = said.user.as_str().into();
        let before = bridge.said.get(&name);
        if before.is_none() && bridge.said.len() >= most {
            return Kept::TooMany;
        }
        let (was_there, was_followed) = before.map_or((false, false), |said| (!said.devices.is_empty(), said.followed));
        let news = before.map_or(&[][..], |said| &said.devices) != said.devices;
        let (is_there, is_followed) = (!said.devices.is_empty(), said.followed);
        bridge.present = bridge.present + usize::from(is_there) - usize::from(was_there);
        if is_followed && !was_followed {
            bridge.post.put(&name);
        }
        let user = self.users.entry(name.clone()).or_default();
        if is_there || is_followed {
            bridge.said.insert(name.clone(), said);
            user.bridges.insert(number);
        } else {
            bridge.said.remove(&name);
            user.bridges.remove(&number);
        }
        self.settle(&name, news.then_some(number));
        Kept::Yes
    }

    fn leave(&mut self, number: Number) {
        let Some(bridge) = self.bridges.remove(&number) else { return };
        bridge.replaced.cancel();
        for (name, said) in bridge.said {
            if let Some(user) = self.users.get_mut(&name) {
                user.bridges.remove(&number);
            }
            self.settle(&name, (!said.devices.is_empty()).then_some(number));
        }
    }

    /// Counts a user anew, forgets it when nobody speaks of it, and tells the others that follow it what one has changed.
    fn settle(&mut self, name: &Arc<str>, changed_by: Option<Number>) {
        let devices = self.devices(name, None).len();
        let Some(user) = self.users.get_mut(name) else { return };
        let before = std::mem::replace(&mut user.devices, devices);
        self.present.0 = self.present.0 + usize::from(devices > 0) - usize::from(before > 0);
        self.present.1 = self.present.1 + devices - before;
        if let Some(changed) = changed_by {
            for number in user.bridges.iter().filter(|number| **number != changed) {
                let bridge = self.bridges.get(number);
                if let Some(bridge) = bridge.filter(|bridge| bridge.said.get(name).is_some_and(|said| said.followed)) {
                    bridge.post.put(name);
                }
            }
        }
        if user.bridges.is_empty() {
            self.users.remove(name);
        }
    }
}
