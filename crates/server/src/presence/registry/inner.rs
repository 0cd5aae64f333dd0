//! Bridges and the users at them: those of this server, and those of which other servers tell.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use courant_proto::v1::{self, BridgeCounts, BridgeHello, BridgeUser, Device, UserElsewhere, WatchBridgesResponse};
use tokio_util::sync::CancellationToken;

use super::change::Number;
use super::pending::Changes;
use super::remote::OtherServers;
use crate::presence::merge::merged;
use crate::presence::send_queue::SendQueue;

/// What became of a reported user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserUpdate {
    Applied,
    /// The bridge has too many users: this one is left out.
    TooManyUsers,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    next: Number,
    pub(super) bridges: BTreeMap<Number, Bridge>,
    users: HashMap<Arc<str>, User>,
    /// Users with a device, and devices, each once.
    present: (usize, usize),
    /// Changes of this server's bridges, for the other servers.
    pub(super) changes: Changes,
    pub(super) others: OtherServers,
}

#[derive(Debug)]
pub(super) struct Bridge {
    pub(super) hello: BridgeHello,
    pub(super) since: SystemTime,
    pub(super) reported: BTreeMap<Arc<str>, BridgeUser>,
    /// Users with a device at it.
    present: usize,
    pub(super) counts: Option<BridgeCounts>,
    /// The users it is to be sent; none for a bridge of another server.
    pub(super) stream: Option<Stream>,
}

/// The stream of a bridge of this server.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    pub(super) send_queue: Arc<SendQueue>,
    pub(super) replaced: CancellationToken,
    /// Users whose connections are to be closed.
    pub(super) closing: Arc<SendQueue>,
}

#[derive(Debug, Default)]
struct User {
    /// Bridges that have reported it.
    bridges: BTreeSet<Number>,
    devices: usize,
}

impl Bridge {
    pub(super) fn new(hello: BridgeHello, since: SystemTime, stream: Option<Stream>) -> Self {
        Self { hello, since, reported: BTreeMap::new(), present: 0, counts: None, stream }
    }

    fn show(&self) -> v1::Bridge {
        v1::Bridge {
            bridge_id: self.hello.bridge_id.clone(),
            software: self.hello.software.clone(),
            connect_time: Some(self.since.into()),
            counts: self.counts.clone(),
            users: self.present as i32,
        }
    }
}

impl Inner {
    /// Adds a bridge, in place of one with the same id.
    pub(super) fn add_bridge(&mut self, bridge: Bridge) -> Number {
        if let Some(number) = self.number_of(&bridge.hello.bridge_id) {
            self.remove_bridge(number);
        }
        let number = self.next;
        self.next += 1;
        self.bridges.insert(number, bridge);
        self.note_bridge(number);
        number
    }

    pub(super) fn number_of(&self, bridge_id: &str) -> Option<Number> {
        self.bridges.iter().find(|(_, bridge)| bridge.hello.bridge_id == bridge_id).map(|(number, _)| *number)
    }

    pub(super) fn set_counts(&mut self, number: Number, counts: Option<BridgeCounts>) {
        if let Some(bridge) = self.bridges.get_mut(&number) {
            bridge.counts = counts;
            self.note_bridge(number);
        }
    }

    pub(super) fn devices(&self, user: &str, except: Option<Number>) -> Vec<Device> {
        let Some(known) = self.users.get(user) else { return Vec::new() };
        let bridges = known.bridges.iter().filter(|number| Some(**number) != except);
        let reported = bridges.filter_map(|number| self.bridges.get(number)?.reported.get(user));
        merged(reported.flat_map(|reported| &reported.devices))
    }

    /// A user's devices at other bridges; none for a user that this one does not follow any more.
    pub(super) fn elsewhere(&self, number: Number, user: &str) -> Option<UserElsewhere> {
        self.bridges.get(&number)?.reported.get(user).filter(|reported| reported.followed)?;
        Some(UserElsewhere { user: user.to_owned(), devices: self.devices(user, Some(number)) })
    }

    /// At all of this server's bridges: one that has just let the user in may not have said so yet.
    pub(super) fn close_user(&self, user: &str) {
        let name: Arc<str> = user.into();
        self.bridges.values().filter_map(|bridge| bridge.stream.as_ref()).for_each(|stream| stream.closing.put(&name));
    }

    pub(super) fn show(&self) -> WatchBridgesResponse {
        WatchBridgesResponse {
            bridges: self.bridges.values().map(Bridge::show).collect(),
            users: self.present.0 as i32,
            devices: self.present.1 as i32,
        }
    }

    /// Applies what a bridge reports of a user. `most`: users of one bridge.
    pub(super) fn set_user(&mut self, number: Number, reported: BridgeUser, most: usize) -> UserUpdate {
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
        if let Some(stream) = bridge.stream.as_ref().filter(|_| is_followed && !was_followed) {
            stream.send_queue.put(&name);
        }
        let is_own = bridge.stream.is_some();
        let user = self.users.entry(name.clone()).or_default();
        if is_there || is_followed {
            bridge.reported.insert(name.clone(), reported);
            user.bridges.insert(number);
        } else {
            bridge.reported.remove(&name);
            user.bridges.remove(&number);
        }
        if changed && is_own {
            self.changes.user(number, &name);
        }
        self.refresh_user(&name, changed.then_some(number));
        UserUpdate::Applied
    }

    pub(super) fn remove_bridge(&mut self, number: Number) {
        let Some(bridge) = self.bridges.remove(&number) else { return };
        if let Some(stream) = bridge.stream {
            stream.replaced.cancel();
            self.changes.bridge(number);
        }
        for (name, reported) in bridge.reported {
            if let Some(user) = self.users.get_mut(&name) {
                user.bridges.remove(&number);
            }
            self.refresh_user(&name, (!reported.devices.is_empty()).then_some(number));
        }
    }

    fn note_bridge(&mut self, number: Number) {
        if self.bridges.get(&number).is_some_and(|bridge| bridge.stream.is_some()) {
            self.changes.bridge(number);
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
                let Some(bridge) = self.bridges.get(number) else { continue };
                let follows = bridge.reported.get(name).is_some_and(|reported| reported.followed);
                if let Some(stream) = bridge.stream.as_ref().filter(|_| follows) {
                    stream.send_queue.put(name);
                }
            }
        }
        if user.bridges.is_empty() {
            self.users.remove(name);
        }
    }
}
