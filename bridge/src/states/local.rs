//! What the bridge knows of itself and shows to admins: its connections, its rooms and what was done through it.

use std::collections::BTreeMap;
use std::sync::Arc;

use courant_proto::v1;

use crate::audit::Trail;
use crate::connection::registry::Registry;
use crate::rooms::Rooms;
use crate::wire::admin::{BridgeLine, Connections, Count, Everywhere};
use crate::wire::job::time;

/// Rooms and users that are named one by one: the fullest.
const NAMED: usize = 50;
/// Rooms that the core is told of by name: the fullest.
const TOLD: usize = 200;

/// The parts of a bridge that are looked at.
#[derive(Clone)]
pub struct Local {
    /// Names the bridge among others; new at each start.
    pub bridge: Arc<str>,
    /// All connections.
    pub registry: Arc<Registry>,
    /// All rooms of jobs.
    pub rooms: Arc<Rooms>,
    /// What was done.
    pub trail: Arc<Trail>,
}

impl Local {
    /// The members of all rooms that have some, with those of rooms that are not about jobs; and the same by kind.
    fn members(&self, others: Vec<(String, usize)>) -> (Members, Members) {
        let members = summed(self.rooms.members().into_iter().chain(others));
        let kind = |(room, count): (&String, &usize)| (room.split('/').next().unwrap_or_default().to_owned(), *count);
        let by_kind = summed(members.iter().map(kind));
        (members, by_kind)
    }

    /// What the core is told of it.
    pub fn counts(&self, others: Vec<(String, usize)>) -> v1::BridgeCounts {
        let (members, by_kind) = self.members(others);
        let count = |(name, members): (String, usize)| v1::RoomCount { name, members: whole(members) };
        v1::BridgeCounts {
            connections: whole(self.registry.count()),
            rooms: whole(members.len()),
            kinds: by_kind.into_iter().map(count).collect(),
            fullest: by_size(members.into_iter().collect(), TOLD).into_iter().map(count).collect(),
        }
    }

    /// Who is connected now, with the members of rooms that are not about jobs, here and at all bridges.
    pub fn connections(
        &self,
        others: Vec<(String, usize)>,
        everywhere: Option<&v1::WatchBridgesResponse>,
    ) -> Connections {
        let (total, users) = self.registry.by_user();
        let (members, by_kind) = self.members(others);
        Connections {
            bridge: self.bridge.to_string(),
            total,
            users: users.len(),
            by_user: fullest(users),
            rooms_total: members.len(),
            by_kind,
            rooms: fullest(members.into_iter().collect()),
            everywhere: everywhere.map(Everywhere::from),
        }
    }
}

impl From<&v1::WatchBridgesResponse> for Everywhere {
    fn from(all: &v1::WatchBridgesResponse) -> Self {
        let counts = || all.bridges.iter().filter_map(|bridge| bridge.counts.as_ref());
        let count = |count: &v1::RoomCount| (count.name.clone(), usize::try_from(count.members).unwrap_or_default());
        Self {
            total: counts().map(|counts| counts.connections).fold(0, i32::saturating_add),
            users: all.users,
            devices: all.devices,
            by_kind: summed(counts().flat_map(|counts| &counts.kinds).map(count)),
            rooms: fullest(summed(counts().flat_map(|counts| &counts.fullest).map(count)).into_iter().collect()),
            bridges: all.bridges.iter().map(BridgeLine::from).collect(),
        }
    }
}

impl From<&v1::Bridge> for BridgeLine {
    fn from(bridge: &v1::Bridge) -> Self {
        let (connections, rooms) = bridge.counts.as_ref().map_or((0, 0), |counts| (counts.connections, counts.rooms));
        Self {
            bridge: bridge.bridge_id.clone(),
            software: bridge.software.clone(),
            connect_time: time(bridge.connect_time.as_ref()),
            connections,
            users: bridge.users,
            rooms,
        }
    }
}

type Members = BTreeMap<String, usize>;

fn summed(counts: impl Iterator<Item = (String, usize)>) -> Members {
    let mut all = Members::new();
    counts.for_each(|(name, count)| *all.entry(name).or_default() += count);
    all.retain(|_, count| *count > 0);
    all
}

fn whole(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn by_size(mut all: Vec<(String, usize)>, most: usize) -> Vec<(String, usize)> {
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    all.truncate(most);
    all
}

fn fullest(all: Vec<(String, usize)>) -> Vec<Count> {
    by_size(all, NAMED).into_iter().map(|(name, connections)| Count { name, connections }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_are_named_and_in_a_fixed_order() {
        let many = (0..200).map(|number| (format!("r{number:03}"), number % 7)).collect();
        let shown = fullest(many);
        assert_eq!((shown.len(), shown[0].name.as_str(), shown[0].connections), (NAMED, "r006", 6));
    }
}
