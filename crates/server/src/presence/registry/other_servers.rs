//! What other servers tell of their bridges. Their updates are numbered: who misses one needs a snapshot.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use courant_proto::v1::BridgeUser;

use super::PresenceRegistry;
use super::changes::Change;
use super::inner::{Bridge, Inner, Number};
use crate::worker::registry::ServerId;

/// What another server says.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    Changes(Vec<Change>),
    /// All that it has follows as changes, mixed with those that come meanwhile.
    SnapshotBegins,
    /// What was not named since the beginning is gone.
    SnapshotEnds,
}

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    Applied,
    /// Something before it is missing: nothing counts until the next snapshot.
    Behind,
}

/// Servers of which something was heard.
#[derive(Debug, Default)]
pub(super) struct OtherServers(HashMap<ServerId, OtherServer>);

#[derive(Debug, Default)]
struct OtherServer {
    /// The number of the update that comes next; none while something is missing.
    next: Option<u64>,
    /// Its bridges: their numbers there and here.
    bridges: BTreeMap<u64, Number>,
    /// While a snapshot comes: what it has not named yet.
    unconfirmed: Option<Unconfirmed>,
}

#[derive(Debug, Default)]
struct Unconfirmed {
    bridges: HashSet<u64>,
    users: HashSet<(u64, Arc<str>)>,
}

impl PresenceRegistry {
    /// Applies an update of another server; `number` is one more with each.
    pub fn receive(&self, server: ServerId, number: u64, update: Update) -> Received {
        let most = self.limits.presence_users_per_bridge;
        self.change(|inner| {
            let known = inner.others.0.entry(server).or_default();
            if update != Update::SnapshotBegins && known.next != Some(number) {
                known.next = None;
                return Received::Behind;
            }
            known.next = Some(number + 1);
            match update {
                Update::Changes(changes) => changes.into_iter().for_each(|change| inner.receive(server, change, most)),
                Update::SnapshotBegins => inner.begin_snapshot(server),
                Update::SnapshotEnds => inner.end_snapshot(server, most),
            }
            Received::Applied
        })
    }

    /// Nothing is heard of a server any more: its bridges are gone, or come to another one.
    pub fn forget_server(&self, server: ServerId) {
        self.change(|inner| {
            for number in inner.others.0.remove(&server).into_iter().flat_map(|gone| gone.bridges.into_values()) {
                inner.remove_bridge(number);
            }
        });
    }
}

impl Inner {
    fn receive(&mut self, server: ServerId, change: Change, most: usize) {
        match change {
            Change::Bridge { number, hello, connected_for, counts } => {
                let since = SystemTime::now().checked_sub(connected_for).unwrap_or(SystemTime::UNIX_EPOCH);
                if let Some(here) = self.receive_bridge(server, number, Bridge::new(hello, since, None)) {
                    self.set_counts(here, counts);
                }
            }
            Change::Gone { number } => {
                let known = self.others.0.get_mut(&server).and_then(|known| known.bridges.remove(&number));
                known.into_iter().for_each(|here| self.remove_bridge(here));
            }
            Change::User { number, user, devices } => {
                let Some(known) = self.others.0.get_mut(&server) else { return };
                if let Some(unconfirmed) = &mut known.unconfirmed {
                    unconfirmed.users.remove(&(number, user.as_str().into()));
                }
                if let Some(here) = known.bridges.get(&number).copied() {
                    self.set_user(here, BridgeUser { user, devices, followed: false }, most);
                }
            }
        }
    }

    /// Its number here; none while a newer stream of the same bridge is known.
    fn receive_bridge(&mut self, server: ServerId, number: u64, bridge: Bridge) -> Option<Number> {
        let known = self.others.0.get_mut(&server)?;
        if let Some(unconfirmed) = &mut known.unconfirmed {
            unconfirmed.bridges.remove(&number);
        }
        if let Some(here) = known.bridges.get(&number).copied()
            && self.bridges.contains_key(&here)
        {
            return Some(here);
        }
        let same = self.number_of(&bridge.hello.bridge_id).and_then(|here| self.bridges.get(&here));
        if same.is_some_and(|same| same.hello.stream > bridge.hello.stream) {
            return None;
        }
        let here = self.add_bridge(bridge);
        self.others.0.entry(server).or_default().bridges.insert(number, here);
        Some(here)
    }

    fn begin_snapshot(&mut self, server: ServerId) {
        let Some(known) = self.others.0.get_mut(&server) else { return };
        let mut unconfirmed = Unconfirmed::default();
        for (number, here) in &known.bridges {
            unconfirmed.bridges.insert(*number);
            let users = self.bridges.get(here).into_iter().flat_map(|bridge| bridge.reported.keys());
            unconfirmed.users.extend(users.map(|user| (*number, user.clone())));
        }
        known.unconfirmed = Some(unconfirmed);
    }

    fn end_snapshot(&mut self, server: ServerId, most: usize) {
        let unconfirmed = self.others.0.get_mut(&server).and_then(|known| known.unconfirmed.take());
        let Unconfirmed { bridges, users } = unconfirmed.unwrap_or_default();
        bridges.into_iter().for_each(|number| self.receive(server, Change::Gone { number }, most));
        for (number, user) in users {
            self.receive(server, Change::User { number, user: user.to_string(), devices: Vec::new() }, most);
        }
    }
}
