//! Merges what several bridges report of one device.

use std::collections::BTreeMap;

use courant_proto::v1::Device;

/// Each device once, those that have been connected longest first. The order of what comes in does not matter.
pub fn merged<'a>(devices: impl Iterator<Item = &'a Device>) -> Vec<Device> {
    let mut all: BTreeMap<&str, Device> = BTreeMap::new();
    for device in devices {
        match all.get_mut(device.device_id.as_str()) {
            Some(known) => join(known, device),
            None => drop(all.insert(&device.device_id, device.clone())),
        }
    }
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by_key(since);
    all
}

fn join(known: &mut Device, more: &Device) {
    known.websockets = known.websockets.saturating_add(more.websockets);
    known.event_streams = known.event_streams.saturating_add(more.event_streams);
    known.polls |= more.polls;
    if since(more) < since(known) {
        known.connect_time = more.connect_time;
    }
    // A device has one name; should it have given two, everybody sees the same.
    if more.name > known.name {
        known.name.clone_from(&more.name);
    }
}

fn since(device: &Device) -> (i64, i32) {
    device.connect_time.map_or((i64::MAX, 0), |time| (time.seconds, time.nanos))
}
