//! What is shown is what is connected: the presence against a model that counts connections, and the grace against the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use courant_proto::v1::{Device as Wire, UserElsewhere};
use proptest::prelude::*;
use tokio::time::Instant;

use super::connections::Transport;
use super::lingering::Lingering;
use super::local::{LocalPresence, PresenceGuard, PresenceLimits};
use crate::wire::device::Device;

const LIMITS: PresenceLimits =
    PresenceLimits { devices_per_user: 3, poll: Duration::from_secs(15), grace: Duration::from_secs(5) };
const USERS: [&str; 2] = ["alice", "bob"];
const DEVICES: [&str; 3] = ["laptop", "phone", "tablet"];

#[derive(Clone, Debug)]
enum Act {
    Enter {
        user: usize,
        device: usize,
        transport: Transport,
    },
    /// One of the connections ends, in whatever way.
    Leave(usize),
    Wait(u64),
}

fn transport() -> impl Strategy<Value = Transport> {
    prop_oneof![Just(Transport::WebSocket), Just(Transport::EventStream), Just(Transport::Poll)]
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let enter = (0..USERS.len(), 0..DEVICES.len(), transport()).prop_map(|(user, device, transport)| Act::Enter {
        user,
        device,
        transport,
    });
    let act = prop_oneof![4 => enter, 4 => any::<prop::sample::Index>().prop_map(|at| Act::Leave(at.index(1 << 20))), 2 => (1..20_u64).prop_map(Act::Wait)];
    prop::collection::vec(act, 0..60)
}

fn device(index: usize) -> Device {
    Device { id: DEVICES[index].into(), name: None }
}

/// What one connection was, and when it ended.
struct Past {
    user: usize,
    device: usize,
    transport: Transport,
    guard: Option<PresenceGuard>,
    ended: Option<Instant>,
}

/// Devices by id: WebSockets, event streams, whether it polls.
type Shown = BTreeMap<String, (i32, i32, bool)>;

fn truth(all: &[Past], user: usize) -> Shown {
    let now = Instant::now();
    let mut shown = Shown::new();
    for past in all.iter().filter(|past| past.user == user) {
        let open = past.ended.is_none();
        let polls = past.transport == Transport::Poll && past.ended.is_none_or(|ended| ended + LIMITS.poll > now);
        if open || polls {
            let device = shown.entry(DEVICES[past.device].to_owned()).or_default();
            device.0 += i32::from(open && past.transport == Transport::WebSocket);
            device.1 += i32::from(open && past.transport == Transport::EventStream);
            device.2 |= polls;
        }
    }
    shown
}

fn shown<'a>(devices: impl IntoIterator<Item = &'a Wire>) -> Shown {
    let devices = devices.into_iter();
    devices.map(|device| (device.device_id.clone(), (device.websockets, device.event_streams, device.polls))).collect()
}

/// In time that passes only when the story says so.
fn paused(story: impl Future<Output = Result<(), TestCaseError>>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(story)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_shown_is_what_is_connected(all in acts()) {
        paused(async {
            let presence = LocalPresence::new(LIMITS);
            let keeper = tokio::spawn({
                let presence = presence.clone();
                async move { presence.expire_forever().await }
            });
            let mut subscriptions = USERS.map(|user| presence.subscribe(user));
            let mut past: Vec<Past> = Vec::new();
            for act in all {
                match act {
                    Act::Enter { user, device: index, transport } => {
                        let guard = Some(presence.enter(USERS[user], &device(index), transport));
                        past.push(Past { user, device: index, transport, guard, ended: None });
                    }
                    Act::Leave(at) => {
                        let mut open: Vec<_> = past.iter_mut().filter(|past| past.guard.is_some()).collect();
                        let count = open.len().max(1);
                        if let Some(past) = open.get_mut(at % count) {
                            past.guard = None;
                            past.ended = Some(Instant::now());
                        }
                    }
                    Act::Wait(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                }
                tokio::task::yield_now().await;
                for (user, subscription) in subscriptions.iter_mut().enumerate() {
                    let truth = truth(&past, user);
                    prop_assert_eq!(&shown(subscription.devices().devices.values()), &truth);
                    prop_assert_eq!(&shown(&presence.report(USERS[user]).devices), &truth);
                }
            }
            drop(past);
            tokio::time::sleep(LIMITS.poll).await;
            tokio::task::yield_now().await;
            prop_assert_eq!(presence.device_count(), 0);
            keeper.abort();
            Ok(())
        })?;
    }

    /// Each entry: how long it lasts, and who is there then.
    #[test]
    fn who_is_gone_for_less_than_the_grace_has_not_left(
        times in prop::collection::vec((0..8_u64, prop::collection::btree_set(0..DEVICES.len(), 0..3)), 1..40)
    ) {
        paused(async {
            let mut lingering = Lingering::new(LIMITS.grace);
            let mut last: BTreeMap<usize, Instant> = BTreeMap::new();
            for (seconds, present) in times {
                let now = Instant::now();
                let wire = |index: &usize| {
                    let connect_time = Some(prost_types::Timestamp { seconds: *index as i64, nanos: 0 });
                    let device = Wire { device_id: DEVICES[*index].into(), connect_time, ..Wire::default() };
                    (device.device_id.clone(), device)
                };
                let seen: BTreeSet<_> =
                    lingering.update(now, present.iter().map(wire).collect()).into_iter().map(|found| found.device_id).collect();
                last.extend(present.iter().map(|index| (*index, now)));
                // Absence is noticed when one subscriptions, and counts from then.
                let expected: BTreeSet<_> = present.iter().map(|index| DEVICES[*index].to_owned()).collect();
                prop_assert!(expected.is_subset(&seen));
                for device in seen.difference(&expected) {
                    let index = DEVICES.iter().position(|name| name == device).unwrap();
                    prop_assert!(last.contains_key(&index), "never there: {device}");
                    prop_assert!(lingering.next().is_some_and(|next| next > now && next <= now + LIMITS.grace));
                }
                tokio::time::advance(Duration::from_secs(seconds)).await;
            }
            let now = Instant::now();
            lingering.update(now, BTreeMap::new());
            prop_assert!(lingering.update(now + LIMITS.grace, BTreeMap::new()).is_empty());
            Ok(())
        })?;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_is_not_told_and_one_keeps_the_time_since_when_one_has_been_there() {
    let mut lingering = Lingering::new(LIMITS.grace);
    let at = |seconds: i64| {
        let connect_time = Some(prost_types::Timestamp { seconds, nanos: 0 });
        let device = Wire { device_id: "laptop".into(), websockets: 1, connect_time, ..Wire::default() };
        BTreeMap::from([(device.device_id.clone(), device)])
    };
    let start = Instant::now();
    let before = lingering.update(start, at(100));
    assert_eq!(lingering.update(start, BTreeMap::new()), before, "gone for a moment");
    assert_eq!(lingering.update(start + LIMITS.grace - Duration::from_millis(1), at(104)), before, "and back");
    let gone = start + Duration::from_secs(60);
    assert_eq!(lingering.update(gone, BTreeMap::new()), before);
    assert_eq!(lingering.next(), Some(gone + LIMITS.grace));
    assert!(lingering.update(gone + LIMITS.grace, BTreeMap::new()).is_empty(), "left");
    assert_eq!(lingering.update(gone + LIMITS.grace, at(200))[0].connect_time.unwrap().seconds, 200, "came again");
}

#[tokio::test(start_paused = true)]
async fn what_other_bridges_say_counts_for_a_grace_after_the_server_is_lost() {
    let presence = LocalPresence::new(LIMITS);
    let keeper = tokio::spawn({
        let presence = presence.clone();
        async move { presence.expire_forever().await }
    });
    let mut subscription = presence.subscribe("alice");
    subscription.wait_until_complete().await;
    assert!(!subscription.devices().complete, "nobody waits for an unavailable server");
    presence.server_connected();
    assert_eq!(presence.next_unreported().await.len(), 1);
    assert!(presence.report("alice").followed);
    let phone = Wire { device_id: "phone".into(), websockets: 1, ..Wire::default() };
    presence.apply(UserElsewhere { user: "alice".into(), devices: vec![phone] });
    subscription.wait_until_complete().await;
    let whole = subscription.devices();
    assert!(whole.complete && whole.devices.contains_key("phone"));
    let _here = presence.enter("alice", &device(0), Transport::WebSocket);
    presence.server_lost();
    tokio::time::sleep(LIMITS.grace - Duration::from_millis(1)).await;
    assert!(subscription.devices().complete);
    subscription.changed().await;
    let own = subscription.devices();
    assert_eq!((own.complete, own.devices.into_keys().collect::<Vec<_>>()), (false, vec!["laptop".to_owned()]));
    // It comes back in time: nothing was noticed.
    presence.server_connected();
    presence.apply(UserElsewhere { user: "alice".into(), devices: vec![] });
    presence.server_lost();
    presence.server_connected();
    tokio::time::sleep(LIMITS.grace * 2).await;
    assert!(subscription.devices().complete);
    keeper.abort();
}

#[test]
fn too_many_devices_are_let_in_and_not_shown() {
    let presence = LocalPresence::new(LIMITS);
    let enter = |id: &str| presence.enter("alice", &Device { id: id.into(), name: None }, Transport::WebSocket);
    let guards: Vec<_> = ["a", "b", "c"].iter().map(|id| enter(id)).collect();
    let (surplus, tab) = (enter("d"), enter("a"));
    assert!(!surplus.is_shown() && tab.is_shown());
    drop((surplus, guards));
    assert_eq!(shown(&presence.report("alice").devices), Shown::from([("a".to_owned(), (1, 0, false))]));
}
