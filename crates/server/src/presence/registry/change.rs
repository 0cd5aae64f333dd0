//! What servers tell each other of their bridges.

use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1::{BridgeCounts, BridgeHello, BridgeUser, Device};

/// Numbers the streams of bridges, in the order in which they came.
pub(super) type Number = u64;

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
pub struct SnapshotPosition(pub(super) Option<(Number, Option<Arc<str>>)>);

/// What another server says.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    Changes(Vec<Change>),
    /// All that it has follows as changes, mixed with those that come meanwhile.
    SnapshotBegins,
    /// What was not named since the beginning is gone.
    SnapshotEnds,
}

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    Applied,
    /// Something before it is missing: nothing counts until the next snapshot.
    Behind,
}

impl Change {
    pub(super) fn user(number: Number, BridgeUser { user, devices, .. }: &BridgeUser) -> Self {
        Self::User { number, user: user.clone(), devices: devices.clone() }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::User { user, devices, .. } => user.len() + USER_BYTES / 8 + devices.len() * DEVICE_BYTES,
            Self::Bridge { .. } | Self::Gone { .. } => USER_BYTES,
        }
    }
}
