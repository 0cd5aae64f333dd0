//! Presence as servers send it to each other, as protocol buffers: most of it is what bridges report, which is. Fields that a version
//! does not know are passed over, and so is a message that it cannot read.

use std::time::Duration;

use bytes::Bytes;
use courant_proto::v1::{BridgeCounts, BridgeHello, BridgeUser};
use prost::Message as _;

use crate::presence::registry::{Change, Update};

/// Goes to all servers.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PresenceMessage {
    /// Who sends it.
    #[prost(fixed64, tag = "1")]
    pub(super) server: u64,
    /// One more with each update of this server. 0 for a request.
    #[prost(uint64, tag = "2")]
    pub(super) number: u64,
    #[prost(oneof = "Content", tags = "3, 4, 5, 6")]
    pub(super) content: Option<Content>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Content {
    #[prost(message, tag = "3")]
    Changes(Changes),
    #[prost(bool, tag = "4")]
    SnapshotBegins(bool),
    #[prost(bool, tag = "5")]
    SnapshotEnds(bool),
    /// Asks a server for a snapshot; 0: all.
    #[prost(fixed64, tag = "6")]
    Ask(u64),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Changes {
    #[prost(message, repeated, tag = "1")]
    changes: Vec<BridgeChange>,
}

/// A change of the bridge with this number at the server that sends it.
#[derive(Clone, PartialEq, prost::Message)]
struct BridgeChange {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(oneof = "What", tags = "2, 3, 4")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(message, tag = "2")]
    There(Bridge),
    #[prost(bool, tag = "3")]
    Gone(bool),
    #[prost(message, tag = "4")]
    User(BridgeUser),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Bridge {
    #[prost(message, optional, tag = "1")]
    hello: Option<BridgeHello>,
    /// How long it has been connected: clocks of servers differ.
    #[prost(uint64, tag = "2")]
    connected_ms: u64,
    #[prost(message, optional, tag = "3")]
    counts: Option<BridgeCounts>,
}

impl PresenceMessage {
    pub(super) fn encode(&self) -> Bytes {
        self.encode_to_vec().into()
    }

    /// None for a message that this version does not know.
    pub(super) fn decode(message: Bytes) -> Option<Self> {
        let read = <Self as prost::Message>::decode(message);
        read.inspect_err(|error| tracing::debug!(%error, "a message of another server cannot be read")).ok()
    }
}

impl Content {
    /// An update, or else the server that is asked for a snapshot.
    pub(super) fn update(self) -> Result<Update, u64> {
        match self {
            Self::Changes(Changes { changes }) => {
                Ok(Update::Changes(changes.into_iter().filter_map(BridgeChange::read).collect()))
            }
            Self::SnapshotBegins(_) => Ok(Update::SnapshotBegins),
            Self::SnapshotEnds(_) => Ok(Update::SnapshotEnds),
            Self::Ask(server) => Err(server),
        }
    }
}

impl From<Update> for Content {
    fn from(update: Update) -> Self {
        match update {
            Update::Changes(changes) => {
                Self::Changes(Changes { changes: changes.into_iter().map(BridgeChange::from).collect() })
            }
            Update::SnapshotBegins => Self::SnapshotBegins(true),
            Update::SnapshotEnds => Self::SnapshotEnds(true),
        }
    }
}

impl From<Change> for BridgeChange {
    fn from(change: Change) -> Self {
        let (number, what) = match change {
            Change::Bridge { number, hello, connected_for, counts } => {
                let connected_ms = u64::try_from(connected_for.as_millis()).unwrap_or(u64::MAX);
                (number, What::There(Bridge { hello: Some(hello), connected_ms, counts }))
            }
            Change::Gone { number } => (number, What::Gone(true)),
            Change::User { number, user, devices } => {
                (number, What::User(BridgeUser { user, devices, followed: false }))
            }
        };
        Self { number, what: Some(what) }
    }
}

impl BridgeChange {
    fn read(self) -> Option<Change> {
        let number = self.number;
        Some(match self.what? {
            What::There(Bridge { hello, connected_ms, counts }) => {
                let connected_for = Duration::from_millis(connected_ms);
                Change::Bridge { number, hello: hello?, connected_for, counts }
            }
            What::Gone(_) => Change::Gone { number },
            What::User(BridgeUser { user, devices, .. }) => Change::User { number, user, devices },
        })
    }
}

#[cfg(test)]
mod tests {
    use courant_proto::v1::Device;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let hello = BridgeHello { bridge_id: "b".into(), software: "bridge/1".into(), stream: 3 };
        let counts = Some(BridgeCounts { connections: 7, ..BridgeCounts::default() });
        let devices = vec![Device { device_id: "laptop".into(), websockets: 2, ..Device::default() }];
        let changes = vec![
            Change::Bridge { number: 4, hello, connected_for: Duration::from_millis(1_500), counts },
            Change::User { number: 4, user: "alice".into(), devices },
            Change::Gone { number: 3 },
        ];
        for update in [Update::Changes(changes), Update::SnapshotBegins, Update::SnapshotEnds] {
            let sent = PresenceMessage { server: u64::MAX, number: 9, content: Some(update.clone().into()) };
            let read = PresenceMessage::decode(sent.encode()).unwrap();
            assert_eq!((read.server, read.number), (u64::MAX, 9));
            assert_eq!(read.content.unwrap().update(), Ok(update));
        }
        let ask = PresenceMessage { server: 1, number: 0, content: Some(Content::Ask(5)) };
        assert_eq!(PresenceMessage::decode(ask.encode()).unwrap().content.unwrap().update(), Err(5));
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let read = PresenceMessage::decode(bytes.into()).and_then(|message| message.content);
            let _ = read.map(Content::update);
        }
    }
}
