//! Devices as people see them (`PROTOCOL.md`, section 3): what this bridge and the server know of each, as one.

use std::collections::BTreeMap;

use courant_proto::v1;

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
    // A device has one name; should it have sent two, all subscribers see the same.
    if more.name > known.name {
        known.name = more.name;
    }
}

/// Orders devices by when they came.
pub fn since(device: &v1::Device) -> (i64, i32) {
    device.connect_time.map_or((i64::MAX, 0), |time| (time.seconds, time.nanos))
}
