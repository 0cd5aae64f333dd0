//! What is shown is what is connected: the registry against a model that only remembers who reported what.

use std::collections::BTreeMap;
use std::sync::Arc;

use courant_proto::v1::{BridgeHello, BridgeUser, Device};
use proptest::prelude::*;

use super::registry::{BridgeRegistration, PresenceRegistry, UserUpdate};
use crate::config::PresenceConfig;

const USERS: [&str; 3] = ["alice", "bob", "carol"];
const DEVICES: [&str; 3] = ["laptop", "phone", "tablet"];

#[derive(Clone, Debug)]
enum Act {
    /// A bridge comes, or comes again while its former stream is still there.
    Arrive(usize),
    Leave(usize),
    /// It reports the whole state of a user.
    Report {
        bridge: usize,
        user: usize,
        devices: Vec<(usize, i32)>,
        followed: bool,
    },
    /// It reads what there is for it.
    Read(usize),
}

fn actions() -> impl Strategy<Value = Vec<Act>> {
    let devices = prop::collection::btree_map(0..DEVICES.len(), 1..4_i32, 0..=DEVICES.len());
    let report = (0..3_usize, 0..USERS.len(), devices, any::<bool>()).prop_map(|(bridge, user, devices, followed)| {
        Act::Report { bridge, user, devices: devices.into_iter().collect(), followed }
    });
    let act = prop_oneof![
        1 => (0..3_usize).prop_map(Act::Arrive),
        1 => (0..3_usize).prop_map(Act::Leave),
        6 => report,
        2 => (0..3_usize).prop_map(Act::Read),
    ];
    prop::collection::vec(act, 0..60)
}

/// Devices by id, with how many connections each has.
type Shown = BTreeMap<String, i32>;

/// One bridge of the model: what it reported, and what it received.
#[derive(Default)]
struct ModelBridge {
    stream: Option<BridgeRegistration>,
    reported: BTreeMap<usize, (Shown, bool)>,
    received: BTreeMap<usize, Shown>,
}

fn shown(devices: &[Device]) -> Shown {
    devices.iter().map(|device| (device.device_id.clone(), device.websockets)).collect()
}

fn devices(of: &[(usize, i32)]) -> Vec<Device> {
    let device = |(id, sockets): &(usize, i32)| Device {
        device_id: DEVICES[*id].into(),
        websockets: *sockets,
        connect_time: Some(prost_types::Timestamp { seconds: i64::from(*sockets), nanos: 0 }),
        ..Device::default()
    };
    of.iter().map(device).collect()
}

fn truth<'a>(bridges: impl Iterator<Item = &'a ModelBridge>, user: usize) -> Shown {
    let mut all = Shown::new();
    for (devices, _) in bridges.filter_map(|bridge| bridge.reported.get(&user)) {
        for (device, sockets) in devices {
            *all.entry(device.clone()).or_default() += sockets;
        }
    }
    all
}

impl ModelBridge {
    fn read(&mut self) {
        let Some(stream) = &self.stream else { return };
        for user in stream.send_queue.take() {
            if let Some(elsewhere) = stream.elsewhere(&user) {
                let index = USERS.iter().position(|name| *name == elsewhere.user).unwrap();
                self.received.insert(index, shown(&elsewhere.devices));
            }
        }
    }
}

fn act(presence: &Arc<PresenceRegistry>, bridges: &mut [ModelBridge], act: Act) {
    match act {
        Act::Arrive(index) => {
            let hello = BridgeHello { bridge_id: format!("b{index}"), software: String::new(), stream: 0 };
            // The old stream is dropped after the new one came, as it happens with a half-open one.
            let stream = Some(presence.register(hello));
            bridges[index] = ModelBridge { stream, ..ModelBridge::default() };
        }
        Act::Leave(index) => bridges[index] = ModelBridge::default(),
        Act::Report { bridge, user, devices: of, followed } => {
            let ModelBridge { stream: Some(stream), reported, received } = &mut bridges[bridge] else { return };
            let devices = devices(&of);
            let (name, now) = (USERS[user].to_owned(), shown(&devices));
            assert_eq!(stream.user(BridgeUser { user: name, devices, followed }), UserUpdate::Applied);
            if !followed {
                received.remove(&user);
            }
            reported.insert(user, (now, followed));
        }
        Act::Read(index) => bridges[index].read(),
    }
}

proptest! {
    #[test]
    fn what_is_shown_is_what_is_connected(all in actions()) {
        let presence = PresenceRegistry::new(PresenceConfig::default());
        let mut bridges: Vec<ModelBridge> = (0..3).map(|_| ModelBridge::default()).collect();
        for next in all {
            act(&presence, &mut bridges, next);
            let totals = presence.bridges();
            let every: Vec<_> = (0..USERS.len()).map(|user| truth(bridges.iter(), user)).collect();
            for (user, truth) in every.iter().enumerate() {
                prop_assert_eq!(&shown(&presence.devices(USERS[user])), truth);
            }
            prop_assert_eq!(totals.bridges.len(), bridges.iter().filter(|bridge| bridge.stream.is_some()).count());
            prop_assert_eq!(totals.users as usize, every.iter().filter(|shown| !shown.is_empty()).count());
            prop_assert_eq!(totals.devices as usize, every.iter().map(Shown::len).sum::<usize>());
        }
        // Whoever reads all it is sent knows in the end what is true of those it follows.
        bridges.iter_mut().for_each(ModelBridge::read);
        for index in 0..bridges.len() {
            for (user, (_, followed)) in bridges[index].reported.clone() {
                if followed {
                    let others = bridges.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, known)| known);
                    prop_assert_eq!(bridges[index].received.get(&user), Some(&truth(others, user)));
                }
            }
        }
    }
}

#[test]
fn users_over_the_limit_are_left_out_and_those_that_go_make_room() {
    let limits = PresenceConfig { presence_users_per_bridge: 1, presence_devices_per_user: 2 };
    let presence = PresenceRegistry::new(limits);
    let stream = presence.register(BridgeHello { bridge_id: "b".into(), software: String::new(), stream: 0 });
    let report = |user: &str, of: &[(usize, i32)]| {
        stream.user(BridgeUser { user: user.into(), devices: devices(of), followed: false })
    };
    assert_eq!(report("alice", &[(0, 1)]), UserUpdate::Applied);
    assert_eq!(report("bob", &[(0, 1)]), UserUpdate::TooManyUsers);
    assert!(presence.devices("bob").is_empty());
    assert_eq!(report("alice", &[(0, 1), (1, 2), (2, 3)]), UserUpdate::Applied);
    assert_eq!(presence.devices("alice").len(), 2, "those that have been connected longest");
    assert_eq!(report("alice", &[]), UserUpdate::Applied);
    assert_eq!(report("bob", &[(0, 1)]), UserUpdate::Applied);
    drop(stream);
    assert!(presence.devices("bob").is_empty() && presence.bridges() == Default::default());
}
