//! What the bridge knows of itself and shows to admins: its connections, its rooms and what was done through it.

use std::collections::BTreeMap;
use std::sync::Arc;

#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::Trail;
use crate::connection::registry::Registry;
use crate::rooms::Rooms;

/// Rooms and users that are named one by one: the fullest.
const NAMED: usize = 50;

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

/// Who is connected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[allow(missing_docs, reason = "described in PROTOCOL.md, which a test binds to this type")]
pub struct Connections {
    pub bridge: String,
    pub total: usize,
    pub users: usize,
    #[serde(rename = "byUser")]
    pub by_user: Vec<Count>,
    #[serde(rename = "roomsTotal")]
    pub rooms_total: usize,
    #[serde(rename = "byKind")]
    pub by_kind: BTreeMap<String, usize>,
    pub rooms: Vec<Count>,
}

/// How many of something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[allow(missing_docs, reason = "described in PROTOCOL.md, which a test binds to this type")]
pub struct Count {
    pub name: String,
    pub connections: usize,
}

impl Local {
    /// Who is connected now, with the members of rooms that are not about jobs.
    pub fn connections(&self, others: Vec<(String, usize)>) -> Connections {
        let (total, users) = self.registry.by_user();
        let mut members: BTreeMap<String, usize> = BTreeMap::new();
        for (room, count) in self.rooms.members().into_iter().chain(others) {
            *members.entry(room).or_default() += count;
        }
        members.retain(|_, count| *count > 0);
        let mut by_kind = BTreeMap::new();
        for (room, count) in &members {
            let kind = room.split('/').next().unwrap_or_default();
            *by_kind.entry(kind.to_owned()).or_default() += count;
        }
        Connections {
            bridge: self.bridge.to_string(),
            total,
            users: users.len(),
            by_user: fullest(users),
            rooms_total: members.len(),
            by_kind,
            rooms: fullest(members.into_iter().collect()),
        }
    }
}

fn fullest(mut all: Vec<(String, usize)>) -> Vec<Count> {
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    all.truncate(NAMED);
    all.into_iter().map(|(name, connections)| Count { name, connections }).collect()
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
