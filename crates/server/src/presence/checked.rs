//! Validates the messages of bridges.

use std::collections::HashSet;

use courant_auth::token::MAX_SUBJECT_BYTES;
use courant_proto::v1::{BridgeCounts, BridgeHello, BridgeUser, Device, TopicCount};

use crate::error::Error;
use crate::text::is_control_or_bidi;

/// The longest id of a bridge or a device in bytes.
pub const MAX_ID: usize = 64;
/// The longest name of a device, and what is kept of the name of a bridge's program, in characters.
pub const MAX_NAME: usize = 64;
/// Topics of one bridge that are kept by name.
pub const MAX_TOPICS: usize = 200;
/// Kinds of topics of one bridge.
pub const MAX_KINDS: usize = 64;
/// The longest name of a topic in bytes.
pub const MAX_TOPIC_BYTES: usize = 256;

/// A hello that can be used.
pub fn hello(hello: BridgeHello) -> Result<BridgeHello, Error> {
    if !is_id(&hello.bridge_id) {
        return Err(Error::field("hello.bridge_id", "must be 1 to 64 of [A-Za-z0-9._-]"));
    }
    let software = hello.software.chars().filter(|letter| !letter.is_control()).take(MAX_NAME).collect();
    Ok(BridgeHello { software, ..hello })
}

/// A user that can be used, with at most so many devices.
pub fn user(mut user: BridgeUser, most: usize) -> Result<BridgeUser, Error> {
    if !(1..=MAX_SUBJECT_BYTES).contains(&user.user.len()) {
        return Err(Error::field("user.user", format!("must be 1 to {MAX_SUBJECT_BYTES} bytes")));
    }
    user.devices.truncate(most);
    let mut seen = HashSet::new();
    for device in &user.devices {
        check(device)?;
        if !seen.insert(&device.device_id) {
            return Err(Error::field("user.devices.device_id", "must be there once"));
        }
    }
    Ok(user)
}

fn check(device: &Device) -> Result<(), Error> {
    if !is_id(&device.device_id) {
        return Err(Error::field("user.devices.device_id", "must be 1 to 64 of [A-Za-z0-9._-]"));
    }
    if device.name.chars().count() > MAX_NAME || device.name.chars().any(is_control_or_bidi) {
        return Err(Error::field("user.devices.name", "must be at most 64 characters and no control characters"));
    }
    if device.websockets < 0 || device.event_streams < 0 {
        return Err(Error::field("user.devices", "must not count below 0"));
    }
    if device.connect_time.is_none_or(|time| !(0..1_000_000_000).contains(&time.nanos)) {
        return Err(Error::field("user.devices.connect_time", "must be a time"));
    }
    Ok(())
}

/// Counts that can be used; surplus topics are left out.
pub fn counts(mut counts: BridgeCounts) -> Result<BridgeCounts, Error> {
    counts.fullest.truncate(MAX_TOPICS);
    counts.kinds.truncate(MAX_KINDS);
    let fits = |count: &TopicCount| (1..=MAX_TOPIC_BYTES).contains(&count.name.len()) && count.subscribers >= 0;
    if counts.connections < 0 || counts.topics < 0 || !counts.fullest.iter().chain(&counts.kinds).all(fits) {
        return Err(Error::field("counts", "must count from 0, and name topics with 1 to 256 bytes"));
    }
    Ok(counts)
}

fn is_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}
