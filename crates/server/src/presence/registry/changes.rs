//! What the other servers are still to be told of this server's bridges: names, not messages, so that however often one changes it
//! waits once.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use courant_proto::v1::{BridgeCounts, BridgeHello, BridgeUser, Device};

use super::PresenceRegistry;
use super::inner::{Bridge, Inner, Number};

/// Bytes of changes that are sent together, about.
const BYTES_AT_ONCE: usize = 256 << 10;
/// Bytes of a device as it is sent, about, and of a user or a bridge beside it.
const DEVICE_BYTES: usize = 192;
const USER_BYTES: usize = 384;

/// A change of a bridge of this server. Bridges are numbered, and a number is never used again.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The bridge is there.
    Bridge { number: u64, hello: BridgeHello, connected_for: Duration, counts: Option<BridgeCounts> },
    /// The bridge is gone, and all that it reported.
    Gone { number: u64 },
    /// These are all devices of the user at the bridge.
    User { number: u64, user: String, devices: Vec<Device> },
}

/// Where the next page of a snapshot begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotPosition(Option<(Number, Option<Arc<str>>)>);

/// As many as there are bridges and their users, at most, and those that are gone.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Whether there is another server to tell.
    wanted: bool,
    bridges: BTreeSet<Number>,
    users: BTreeSet<(Number, Arc<str>)>,
}

impl Changes {
    pub(super) fn bridge(&mut self, number: Number) {
        if self.wanted {
            self.bridges.insert(number);
        }
    }

    pub(super) fn user(&mut self, number: Number, user: &Arc<str>) {
        if self.wanted {
            self.users.insert((number, user.clone()));
        }
    }

    pub(super) fn is_pending(&self) -> bool {
        !self.bridges.is_empty() || !self.users.is_empty()
    }
}

impl PresenceRegistry {
    /// Whether other servers are there to be told. Who comes later needs a snapshot first.
    pub fn set_wanted(&self, wanted: bool) {
        let changes = &mut self.inner.lock().changes;
        changes.wanted = wanted;
        if !wanted {
            (changes.bridges, changes.users) = Default::default();
        }
    }

    /// Waits until there is something for the other servers.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes some changes, bridges before their users; none when there are no more.
    pub fn take_changes(&self) -> Vec<Change> {
        let inner = &mut *self.inner.lock();
        let (mut changes, mut bytes) = (Vec::new(), 0);
        while bytes < BYTES_AT_ONCE {
            let change = match inner.changes.bridges.pop_first() {
                Some(number) => Some(inner.bridge_change(number)),
                None => match inner.changes.users.pop_first() {
                    Some((number, user)) => inner.user_change(number, &user),
                    None => break,
                },
            };
            bytes += change.as_ref().map_or(0, Change::bytes);
            changes.extend(change);
        }
        changes
    }

    /// A page of all that this server's bridges have reported, and where the next one begins.
    pub fn snapshot_page(&self, from: SnapshotPosition) -> (Vec<Change>, Option<SnapshotPosition>) {
        let inner = self.inner.lock();
        let (mut changes, mut bytes) = (Vec::new(), 0);
        let (first, mut after) = from.0.unwrap_or((0, None));
        for (number, bridge) in inner.bridges.range(first..).filter(|(_, bridge)| bridge.stream.is_some()) {
            // The bridge where the last page ended has been sent.
            let after = if *number == first { after.take() } else { None };
            if after.is_none() {
                changes.push(bridge.change(*number));
            }
            let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
            for (name, reported) in bridge.reported.range::<Arc<str>, _>((begin, Bound::Unbounded)) {
                let change = Change::user(*number, reported);
                bytes += change.bytes();
                changes.push(change);
                if bytes >= BYTES_AT_ONCE {
                    return (changes, Some(SnapshotPosition(Some((*number, Some(name.clone()))))));
                }
            }
        }
        (changes, None)
    }
}

impl Inner {
    fn bridge_change(&self, number: Number) -> Change {
        self.bridges.get(&number).map_or(Change::Gone { number }, |bridge| bridge.change(number))
    }

    /// None when the bridge is gone, which is a change of its own.
    fn user_change(&self, number: Number, user: &Arc<str>) -> Option<Change> {
        let reported = self.bridges.get(&number)?.reported.get(user);
        let gone = || Change::User { number, user: user.to_string(), devices: Vec::new() };
        Some(reported.map_or_else(gone, |reported| Change::user(number, reported)))
    }
}

impl Bridge {
    fn change(&self, number: Number) -> Change {
        let connected_for = SystemTime::now().duration_since(self.since).unwrap_or_default();
        Change::Bridge { number, hello: self.hello.clone(), connected_for, counts: self.counts.clone() }
    }
}

impl Change {
    fn user(number: Number, BridgeUser { user, devices, .. }: &BridgeUser) -> Self {
        Self::User { number, user: user.clone(), devices: devices.clone() }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::User { user, devices, .. } => user.len() + USER_BYTES / 8 + devices.len() * DEVICE_BYTES,
            Self::Bridge { .. } | Self::Gone { .. } => USER_BYTES,
        }
    }
}
