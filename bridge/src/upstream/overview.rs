//! What the bridge knows of itself and shows to admins: its connections, its topics and what was done through it.

use std::collections::BTreeMap;
use std::sync::Arc;

use courant_proto::v1;

use crate::audit::AuditLog;
use crate::connection::permits::Permits;
use crate::topic;
use crate::wire::admin::{AllBridges, BridgeConnections, Connections, Count};
use crate::wire::job::time;

/// Topics and users that are named one by one: those with the most subscribers or connections.
const NAMED: usize = 50;
/// Topics that are reported to the server by name: those with the most subscribers.
const REPORTED: usize = 200;

/// The parts of a bridge that are looked at.
#[derive(Clone)]
pub struct Overview {
    /// Names the bridge among others; new at each start.
    pub bridge: Arc<str>,
    pub connections: Arc<Permits>,
    pub topics: Arc<topic::registry::Registry>,
    pub audit: Arc<AuditLog>,
}

impl Overview {
    /// The subscribers of all topics that have some, by name, and by kind of topic.
    fn subscribers(&self) -> (CountByName, CountByName) {
        let by_name = summed(self.topics.subscribers().into_iter());
        let kind = |(name, count): (&String, &usize)| (name.split('/').next().unwrap_or_default().to_owned(), *count);
        let by_kind = summed(by_name.iter().map(kind));
        (by_name, by_kind)
    }

    /// What is reported to the server.
    pub fn counts(&self) -> v1::BridgeCounts {
        let (by_name, by_kind) = self.subscribers();
        let count = |(name, count): (String, usize)| v1::TopicCount { name, subscribers: whole(count) };
        v1::BridgeCounts {
            connections: whole(self.connections.count()),
            topics: whole(by_name.len()),
            kinds: by_kind.into_iter().map(count).collect(),
            fullest: by_size(by_name.into_iter().collect(), REPORTED).into_iter().map(count).collect(),
        }
    }

    /// Who is connected now, here and at all bridges.
    pub fn connections(&self, all_bridges: Option<&v1::WatchBridgesResponse>) -> Connections {
        let (total, users) = self.connections.by_user();
        let (by_name, by_kind) = self.subscribers();
        Connections {
            bridge: self.bridge.to_string(),
            total,
            users: users.len(),
            by_user: with_most_connections(users),
            topics_total: by_name.len(),
            by_kind,
            topics: with_most_connections(by_name.into_iter().collect()),
            all_bridges: all_bridges.map(AllBridges::from),
        }
    }
}

impl From<&v1::WatchBridgesResponse> for AllBridges {
    fn from(all: &v1::WatchBridgesResponse) -> Self {
        let counts = || all.bridges.iter().filter_map(|bridge| bridge.counts.as_ref());
        let count =
            |count: &v1::TopicCount| (count.name.clone(), usize::try_from(count.subscribers).unwrap_or_default());
        Self {
            total: counts().map(|counts| counts.connections).fold(0, i32::saturating_add),
            users: all.users,
            devices: all.devices,
            by_kind: summed(counts().flat_map(|counts| &counts.kinds).map(count)),
            topics: with_most_connections(
                summed(counts().flat_map(|counts| &counts.fullest).map(count)).into_iter().collect(),
            ),
            bridges: all.bridges.iter().map(BridgeConnections::from).collect(),
        }
    }
}

impl From<&v1::Bridge> for BridgeConnections {
    fn from(bridge: &v1::Bridge) -> Self {
        let (connections, topics) = bridge.counts.as_ref().map_or((0, 0), |counts| (counts.connections, counts.topics));
        Self {
            bridge: bridge.bridge_id.clone(),
            software: bridge.software.clone(),
            connect_time: time(bridge.connect_time.as_ref()),
            connections,
            users: bridge.users,
            topics,
        }
    }
}

type CountByName = BTreeMap<String, usize>;

fn summed(counts: impl Iterator<Item = (String, usize)>) -> CountByName {
    let mut all = CountByName::new();
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

fn with_most_connections(all: Vec<(String, usize)>) -> Vec<Count> {
    by_size(all, NAMED).into_iter().map(|(name, connections)| Count { name, connections }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_are_named_and_in_a_fixed_order() {
        let many = (0..200).map(|number| (format!("r{number:03}"), number % 7)).collect();
        let shown = with_most_connections(many);
        assert_eq!((shown.len(), shown[0].name.as_str(), shown[0].connections), (NAMED, "r006", 6));
    }
}
