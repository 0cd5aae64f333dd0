//! Two servers show the same in the end, whatever was lost between them and however bridges moved.

use std::collections::BTreeMap;
use std::sync::Arc;

use courant_proto::v1::{BridgeHello, BridgeUser, Device};
use proptest::prelude::*;

use super::registry::{BridgeRegistration, PresenceRegistry, Received, SnapshotPosition, Update};
use crate::config::PresenceConfig;
use crate::worker::registry::ServerId;

const USERS: [&str; 2] = ["alice", "bob"];
const BRIDGES: usize = 3;

#[derive(Clone, Debug)]
enum Act {
    /// A bridge opens a stream to a server; its older one ends now, or when that server learns of the new one.
    Connect {
        bridge: usize,
        server: usize,
        old_ends: bool,
    },
    Disconnect {
        bridge: usize,
    },
    Report {
        bridge: usize,
        user: usize,
        websockets: i32,
    },
    /// A server sends what has changed.
    Send {
        server: usize,
        arrives: bool,
    },
    Snapshot {
        server: usize,
        arrives: bool,
    },
}

fn actions() -> impl Strategy<Value = Vec<Act>> {
    let connect = (0..BRIDGES, 0..2_usize, any::<bool>()).prop_map(|(bridge, server, old_ends)| Act::Connect {
        bridge,
        server,
        old_ends,
    });
    let report = (0..BRIDGES, 0..USERS.len(), 0..4_i32).prop_map(|(bridge, user, websockets)| Act::Report {
        bridge,
        user,
        websockets,
    });
    let act = prop_oneof![
        2 => connect,
        1 => (0..BRIDGES).prop_map(|bridge| Act::Disconnect { bridge }),
        5 => report,
        4 => (0..2_usize, prop::bool::weighted(0.8)).prop_map(|(server, arrives)| Act::Send { server, arrives }),
        1 => (0..2_usize, prop::bool::weighted(0.8)).prop_map(|(server, arrives)| Act::Snapshot { server, arrives }),
    ];
    prop::collection::vec(act, 0..60)
}

struct Server {
    presence: Arc<PresenceRegistry>,
    sent: u64,
}

#[derive(Default)]
struct ModelBridge {
    /// The newest is the last; the older ones are half open.
    streams: Vec<BridgeRegistration>,
    opened: u64,
    reported: BTreeMap<usize, i32>,
}

struct Model {
    servers: [Server; 2],
    bridges: [ModelBridge; BRIDGES],
}

impl Model {
    fn new() -> Self {
        let server = || Server { presence: PresenceRegistry::new(PresenceConfig::default()), sent: 0 };
        let servers = [server(), server()];
        servers.iter().for_each(|server| server.presence.set_wanted(true));
        Self { servers, bridges: Default::default() }
    }

    fn send(&mut self, from: usize, update: Update, arrives: bool) -> Received {
        self.servers[from].sent += 1;
        let number = self.servers[from].sent;
        if !arrives {
            return Received::Behind;
        }
        self.servers[1 - from].presence.receive(ServerId(from as u64), number, update)
    }

    fn send_changes(&mut self, from: usize, arrives: bool) -> Received {
        let changes = self.servers[from].presence.take_changes();
        self.send(from, Update::Changes(changes), arrives)
    }

    fn send_snapshot(&mut self, from: usize, arrives: bool) {
        self.send(from, Update::SnapshotBegins, true);
        let (changes, next) = self.servers[from].presence.snapshot_page(SnapshotPosition::default());
        assert_eq!(next, None);
        self.send(from, Update::Changes(changes), arrives);
        self.send(from, Update::SnapshotEnds, true);
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Connect { bridge, server, old_ends } => {
                let known = &mut self.bridges[bridge];
                known.opened += 1;
                let (bridge_id, stream) = (format!("b{bridge}"), known.opened);
                let hello = BridgeHello { bridge_id, software: String::new(), stream };
                known.streams.push(self.servers[server].presence.register(hello));
                known.reported.clear();
                if old_ends {
                    known.streams.drain(..known.streams.len() - 1);
                }
            }
            Act::Disconnect { bridge } => {
                self.bridges[bridge].streams.clear();
                self.bridges[bridge].reported.clear();
            }
            Act::Report { bridge, user, websockets } => {
                let known = &mut self.bridges[bridge];
                let Some(stream) = known.streams.last() else { return };
                stream.user(BridgeUser {
                    user: USERS[user].into(),
                    devices: devices(bridge, websockets),
                    followed: false,
                });
                known.reported.insert(user, websockets);
            }
            Act::Send { server, arrives } => drop(self.send_changes(server, arrives)),
            Act::Snapshot { server, arrives } => self.send_snapshot(server, arrives),
        }
    }

    /// Nothing is lost any more.
    fn settle(&mut self) {
        // A half-open stream at the other server may end by what it is told: once more each way.
        for _ in 0..2 {
            for server in 0..2 {
                if self.send_changes(server, true) == Received::Behind {
                    self.send_snapshot(server, true);
                }
            }
        }
    }

    fn truth(&self, user: usize) -> BTreeMap<String, i32> {
        let connections = |bridge: &ModelBridge| bridge.reported.get(&user).copied().unwrap_or(0);
        let all = self.bridges.iter().enumerate().map(|(index, bridge)| (format!("d{index}"), connections(bridge)));
        all.filter(|(_, connections)| *connections > 0).collect()
    }
}

fn devices(bridge: usize, websockets: i32) -> Vec<Device> {
    let device = Device { device_id: format!("d{bridge}"), websockets, ..Device::default() };
    if websockets > 0 { vec![device] } else { Vec::new() }
}

proptest! {
    #[test]
    fn both_servers_show_who_is_connected_to_either(all in actions()) {
        let mut model = Model::new();
        all.into_iter().for_each(|act| model.act(act));
        model.settle();
        for (index, server) in model.servers.iter().enumerate() {
            for (user, name) in USERS.iter().enumerate() {
                let shown: BTreeMap<_, _> =
                    server.presence.devices(name).into_iter().map(|device| (device.device_id, device.websockets)).collect();
                prop_assert_eq!(&shown, &model.truth(user), "of {} at server {}", name, index);
            }
            let connected = model.bridges.iter().filter(|bridge| !bridge.streams.is_empty()).count();
            prop_assert_eq!(server.presence.bridges().bridges.len(), connected);
        }
        // A server that is gone takes its bridges with it.
        model.servers[1].presence.forget_server(ServerId(0));
        model.bridges.iter_mut().for_each(|bridge| bridge.streams.clear());
        prop_assert_eq!(model.servers[1].presence.bridges(), Default::default());
    }
}

#[test]
fn what_is_missing_is_noticed_and_a_snapshot_mends_it() {
    let mut model = Model::new();
    for act in [
        Act::Connect { bridge: 0, server: 0, old_ends: true },
        Act::Report { bridge: 0, user: 0, websockets: 1 },
        Act::Send { server: 0, arrives: false },
    ] {
        model.act(act);
    }
    assert_eq!(model.send_changes(0, true), Received::Behind);
    assert!(model.servers[1].presence.devices("alice").is_empty());
    model.send_snapshot(0, true);
    assert_eq!(model.servers[1].presence.devices("alice").len(), 1);
    assert_eq!(model.send_changes(0, true), Received::Applied);
}

#[test]
fn a_snapshot_of_many_users_comes_in_pages() {
    let (there, here) =
        (PresenceRegistry::new(PresenceConfig::default()), PresenceRegistry::new(PresenceConfig::default()));
    let stream = there.register(BridgeHello { bridge_id: "b".into(), software: String::new(), stream: 1 });
    for user in 0..5_000 {
        stream.user(BridgeUser { user: format!("user-{user}"), devices: devices(0, 1), followed: false });
    }
    let (mut number, mut next) = (1, Some(SnapshotPosition::default()));
    here.receive(ServerId(7), number, Update::SnapshotBegins);
    while let Some(from) = next.take() {
        let (changes, after) = there.snapshot_page(from);
        number += 1;
        assert_eq!(here.receive(ServerId(7), number, Update::Changes(changes)), Received::Applied);
        next = after;
    }
    assert!(number > 3, "one page has not all of them");
    here.receive(ServerId(7), number + 1, Update::SnapshotEnds);
    assert_eq!((here.bridges().users, here.bridges().bridges.len()), (5_000, 1));
}
