//! What other servers tell of their bridges. Their updates are numbered: who misses one needs a snapshot.

use std::time::SystemTime;

use courant_proto::v1::BridgeUser;

use super::change::{Change, Number, Received, Update};
use super::inner::{Bridge, Inner};
use super::remote::Unconfirmed;
use crate::worker::registry::ServerId;

impl Inner {
    /// Applies an update of another server; `number` is one more with each. `most`: users of one bridge.
    pub(super) fn receive_update(&mut self, server: ServerId, number: u64, update: Update, most: usize) -> Received {
        let known = self.others.0.entry(server).or_default();
        if update != Update::SnapshotBegins && known.next != Some(number) {
            known.next = None;
            return Received::Behind;
        }
        known.next = Some(number + 1);
        match update {
            Update::Changes(changes) => changes.into_iter().for_each(|change| self.receive(server, change, most)),
            Update::SnapshotBegins => self.begin_snapshot(server),
            Update::SnapshotEnds => self.end_snapshot(server, most),
        }
        Received::Applied
    }

    /// Nothing is heard of a server any more: its bridges are gone, or come to another one.
    pub(super) fn forget_server(&mut self, server: ServerId) {
        for number in self.others.0.remove(&server).into_iter().flat_map(|gone| gone.bridges.into_values()) {
            self.remove_bridge(number);
        }
    }

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
