//! What this server tells the others.

use std::ops::Bound;
use std::sync::Arc;
use std::time::SystemTime;

use super::change::{Change, Number, SnapshotPosition};
use super::inner::{Bridge, Inner};

/// Bytes of changes that are sent together, about.
const BYTES_AT_ONCE: usize = 256 << 10;

impl Inner {
    /// Takes some changes, bridges before their users; none when there are no more.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        let (mut changes, mut bytes) = (Vec::new(), 0);
        while bytes < BYTES_AT_ONCE {
            let change = match self.changes.bridges.pop_first() {
                Some(number) => Some(self.bridge_change(number)),
                None => match self.changes.users.pop_first() {
                    Some((number, user)) => self.user_change(number, &user),
                    None => break,
                },
            };
            bytes += change.as_ref().map_or(0, Change::bytes);
            changes.extend(change);
        }
        changes
    }

    /// A page of all that this server's bridges have reported, and where the next one begins.
    pub(super) fn snapshot_page(&self, from: SnapshotPosition) -> (Vec<Change>, Option<SnapshotPosition>) {
        let (mut changes, mut bytes) = (Vec::new(), 0);
        let (first, mut after) = from.0.unwrap_or((0, None));
        for (number, bridge) in self.bridges.range(first..).filter(|(_, bridge)| bridge.stream.is_some()) {
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
