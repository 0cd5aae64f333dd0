//! Devices as people see them (`PROTOCOL.md`, section 3): what this bridge and the core know of each, as one.

use std::collections::BTreeMap;

use courant_proto::v1;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::job::time;

/// One device that is connected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "described in PROTOCOL.md, which a test binds to this type")]
pub struct ShownDevice {
    pub device_id: String,
    pub name: Option<String>,
    pub transports: Vec<TransportName>,
    pub connections: i32,
    pub connect_time: Option<String>,
}

/// How a device is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "described in PROTOCOL.md, which a test binds to this type")]
pub enum TransportName {
    Websocket,
    Sse,
    Polling,
}

/// Each device once, by id. The order of what comes in does not matter.
pub fn merged(devices: impl Iterator<Item = v1::Device>) -> BTreeMap<String, v1::Device> {
    let mut all: BTreeMap<String, v1::Device> = BTreeMap::new();
    for device in devices {
        match all.get_mut(&device.device_id) {
            Some(known) => join(known, device),
            None => drop(all.insert(device.device_id.clone(), device)),
        }
    }
    all
}

fn join(known: &mut v1::Device, more: v1::Device) {
    known.websockets = known.websockets.saturating_add(more.websockets);
    known.event_streams = known.event_streams.saturating_add(more.event_streams);
    known.polls |= more.polls;
    if since(&more) < since(known) {
        known.connect_time = more.connect_time;
    }
    // A device has one name; should it have told two, all who look see the same.
    if more.name > known.name {
        known.name = more.name;
    }
}

/// Orders devices by when they came.
pub fn since(device: &v1::Device) -> (i64, i32) {
    device.connect_time.map_or((i64::MAX, 0), |time| (time.seconds, time.nanos))
}

impl From<&v1::Device> for ShownDevice {
    fn from(device: &v1::Device) -> Self {
        let ways = [
            (device.websockets > 0, TransportName::Websocket),
            (device.event_streams > 0, TransportName::Sse),
            (device.polls, TransportName::Polling),
        ];
        Self {
            device_id: device.device_id.clone(),
            name: Some(device.name.clone()).filter(|name| !name.is_empty()),
            transports: ways.into_iter().filter_map(|(used, way)| used.then_some(way)).collect(),
            // Polls of one device cannot be told apart: together they are one.
            connections: device.websockets.saturating_add(device.event_streams).saturating_add(device.polls.into()),
            connect_time: time(device.connect_time.as_ref()),
        }
    }
}
