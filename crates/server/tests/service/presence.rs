//! Stories of bridges that tell who is connected.

use courant_auth::Role;
use courant_proto::v1::attend_request::Message;
use courant_proto::v1::presence_service_client::PresenceServiceClient;
use courant_proto::v1::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::support::*;

/// A bridge that says what the story says.
struct TestBridge {
    out: mpsc::Sender<AttendRequest>,
    received: Streaming<AttendResponse>,
}

fn presence(world: &World, who: &str, roles: &[Role]) -> PresenceServiceClient<Authed> {
    PresenceServiceClient::with_interceptor(world.channel.clone(), Bearer(world.token(who, roles)))
}

fn device(id: &str, since: i64) -> Device {
    let connect_time = Some(prost_types::Timestamp { seconds: since, nanos: 0 });
    Device { device_id: id.into(), websockets: 1, connect_time, ..Device::default() }
}

fn user(name: &str, devices: Vec<Device>, followed: bool) -> Message {
    Message::User(BridgeUser { user: name.into(), devices, followed })
}

impl TestBridge {
    async fn quiet(world: &World) -> Self {
        let (out, inbox) = mpsc::channel(64);
        let mut client = presence(world, "bridge", &[Role::Bridge]);
        let received = client.attend(ReceiverStream::new(inbox)).await.unwrap().into_inner();
        Self { out, received }
    }

    async fn new(world: &World, id: &str) -> Self {
        let bridge = Self::quiet(world).await;
        bridge.send(Message::Hello(BridgeHello { bridge_id: id.into(), software: "test/1".into(), stream: 0 })).await;
        bridge
    }

    async fn send(&self, message: Message) {
        self.out.send(AttendRequest { message: Some(message) }).await.unwrap();
    }

    async fn next(&mut self) -> Result<Option<UserElsewhere>, Status> {
        let next = tokio::time::timeout(PATIENCE, self.received.message()).await.expect("nothing was received");
        Ok(next?.and_then(|received| received.elsewhere))
    }

    /// Reads until the user's devices elsewhere are these.
    async fn wait_for_devices(&mut self, name: &str, ids: &[&str]) {
        loop {
            let received = self.next().await.unwrap().expect("the stream ended");
            let found: Vec<_> = received.devices.iter().map(|device| device.device_id.as_str()).collect();
            if received.user == name && found == ids {
                return;
            }
        }
    }
}

async fn shown(world: &World, name: &str) -> Vec<(String, i32)> {
    let request = ListDevicesRequest { user: name.into() };
    let mut client = presence(world, "mailer", &[Role::Service]);
    let devices = client.list_devices(request).await.unwrap().into_inner().devices;
    devices.into_iter().map(|device| (device.device_id, device.websockets)).collect()
}

async fn shows(world: &World, name: &str, expected: &[(&str, i32)]) {
    let waiting = async {
        while shown(world, name).await.iter().map(|(id, count)| (id.as_str(), *count)).collect::<Vec<_>>() != expected {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{:?}", shown(world, name).await);
}

#[tokio::test]
async fn a_bridge_hears_of_its_users_at_other_bridges_and_of_nobody_else() {
    let world = World::new().await;
    let mut first = TestBridge::new(&world, "b1").await;
    let second = TestBridge::new(&world, "b2").await;
    first.send(user("alice", vec![device("laptop", 5)], true)).await;
    first.wait_for_devices("alice", &[]).await;
    second.send(user("bob", vec![device("phone", 1)], false)).await;
    second.send(user("alice", vec![device("phone", 3), device("laptop", 4)], false)).await;
    first.wait_for_devices("alice", &["phone", "laptop"]).await;
    shows(&world, "alice", &[("phone", 1), ("laptop", 2)]).await;
    second.send(user("alice", vec![device("phone", 3)], false)).await;
    first.wait_for_devices("alice", &["phone"]).await;
    // It is killed: nobody says goodbye.
    drop(second);
    first.wait_for_devices("alice", &[]).await;
    shows(&world, "alice", &[("laptop", 1)]).await;
    shows(&world, "bob", &[]).await;
}

#[tokio::test]
async fn a_bridge_that_comes_again_takes_the_place_of_its_former_stream() {
    let world = World::new().await;
    let mut stale = TestBridge::new(&world, "b1").await;
    stale.send(user("alice", vec![device("laptop", 5), device("tablet", 6)], false)).await;
    shows(&world, "alice", &[("laptop", 1), ("tablet", 1)]).await;
    let again = TestBridge::new(&world, "b1").await;
    again.send(user("alice", vec![device("laptop", 5)], false)).await;
    shows(&world, "alice", &[("laptop", 1)]).await;
    assert!(stale.next().await.unwrap().is_none(), "the old stream ends");
    drop(stale);
    shows(&world, "alice", &[("laptop", 1)]).await;
}

#[tokio::test]
async fn after_a_restart_of_the_server_the_bridges_tell_all_anew() {
    let world = World::new().await;
    let mut bridge = TestBridge::new(&world, "b1").await;
    bridge.send(user("alice", vec![device("laptop", 5)], true)).await;
    bridge.wait_for_devices("alice", &[]).await;
    let (ending, world) = tokio::join!(bridge.next(), world.restart());
    assert_eq!(reason(&ending.unwrap_err()), "DRAINING");
    shows(&world, "alice", &[]).await;
    let bridge = TestBridge::new(&world, "b1").await;
    bridge.send(user("alice", vec![device("laptop", 5)], false)).await;
    shows(&world, "alice", &[("laptop", 1)]).await;
}

#[tokio::test]
async fn what_a_bridge_may_not_say_ends_its_stream_with_the_reason() {
    let world = World::new().await;
    let hello = |id: &str| Message::Hello(BridgeHello { bridge_id: id.into(), software: String::new(), stream: 0 });
    let named = |name: String| user("alice", vec![Device { name, ..device("d", 1) }], false);
    let cases = [
        (vec![hello("")], "INVALID_FIELD"),
        (vec![hello(&"x".repeat(65))], "INVALID_FIELD"),
        (vec![user("alice", vec![], false)], "WRONG_ORDER"),
        (vec![hello("b"), hello("b")], "WRONG_ORDER"),
        (vec![hello("b"), user("", vec![], false)], "INVALID_FIELD"),
        (vec![hello("b"), user(&"x".repeat(256), vec![], false)], "INVALID_FIELD"),
        (vec![hello("b"), user("alice", vec![device("no spaces", 1)], false)], "INVALID_FIELD"),
        (vec![hello("b"), user("alice", vec![device("d", 1), device("d", 2)], false)], "INVALID_FIELD"),
        (
            vec![hello("b"), user("alice", vec![Device { connect_time: None, ..device("d", 1) }], false)],
            "INVALID_FIELD",
        ),
        (vec![hello("b"), user("alice", vec![Device { websockets: -1, ..device("d", 1) }], false)], "INVALID_FIELD"),
        (vec![hello("b"), named("x".repeat(65))], "INVALID_FIELD"),
        (vec![hello("b"), named("a\u{202e}b".into())], "INVALID_FIELD"),
        (vec![hello("b"), Message::Counts(BridgeCounts { connections: -1, ..Default::default() })], "INVALID_FIELD"),
        (vec![hello("b"), named("x".repeat(2 << 20))], "INVALID_FIELD"),
    ];
    for (index, (messages, expected)) in cases.into_iter().enumerate() {
        let mut bridge = TestBridge::quiet(&world).await;
        for message in messages {
            bridge.send(message).await;
        }
        assert_eq!(reason(&bridge.next().await.unwrap_err()), expected, "case {index}");
    }
    // The name of the longest length in characters, not in bytes.
    let bridge = TestBridge::new(&world, "b").await;
    bridge.send(named("ü".repeat(64))).await;
    shows(&world, "alice", &[("d", 1)]).await;
}

#[tokio::test]
async fn devices_over_the_limit_are_left_out() {
    let world = World::tuned(|config| config.presence.presence_devices_per_user = 2).await;
    let (first, second) = (TestBridge::new(&world, "b1").await, TestBridge::new(&world, "b2").await);
    first.send(user("alice", vec![device("a", 1), device("b", 2), device("c", 3)], false)).await;
    shows(&world, "alice", &[("a", 1), ("b", 1)]).await;
    second.send(user("alice", vec![device("z", 0)], false)).await;
    shows(&world, "alice", &[("z", 1), ("a", 1)]).await;
}

#[tokio::test]
async fn only_bridges_attend_and_only_admins_and_services_look_at_others() {
    let world = World::new().await;
    for roles in [&[][..], &[Role::Admin], &[Role::Service], &[Role::Worker]] {
        let refused = presence(&world, "alice", roles).attend(tokio_stream::empty()).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "ROLE_REQUIRED"));
    }
    let of = |user: &str| ListDevicesRequest { user: user.into() };
    let mut alice = presence(&world, "alice", &[]);
    for own in ["", "alice"] {
        alice.list_devices(of(own)).await.unwrap();
    }
    assert_eq!(reason(&alice.list_devices(of("bob")).await.unwrap_err()), "ROLE_REQUIRED");
    presence(&world, "root", &[Role::Admin]).list_devices(of("bob")).await.unwrap();
    presence(&world, "mailer", &[Role::Service]).list_devices(of("bob")).await.unwrap();
    let refused = alice.watch_bridges(WatchBridgesRequest::default()).await.unwrap_err();
    assert_eq!(reason(&refused), "ROLE_REQUIRED");
}

#[tokio::test]
async fn admins_follow_the_bridges_and_what_they_count() {
    let world = World::new().await;
    let request =
        || WatchBridgesRequest { min_interval: Some(prost_types::Duration { seconds: 0, nanos: 100_000_000 }) };
    let mut watch = presence(&world, "root", &[Role::Admin]).watch_bridges(request()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap(), WatchBridgesResponse::default());
    let (first, second) = (TestBridge::new(&world, "b1").await, TestBridge::new(&world, "b2").await);
    let topic = |name: &str, subscribers| TopicCount { name: name.into(), subscribers };
    let counts =
        BridgeCounts { connections: 7, topics: 1, kinds: vec![topic("mine", 2)], fullest: vec![topic("mine", 2)] };
    first.send(Message::Counts(counts.clone())).await;
    first.send(user("alice", vec![device("laptop", 5)], false)).await;
    second.send(user("alice", vec![device("laptop", 5), device("phone", 5)], false)).await;
    let received = loop {
        let received = watch.message().await.unwrap().unwrap();
        if (received.users, received.devices) == (1, 2) && received.bridges[0].counts.is_some() {
            break received;
        }
    };
    let bridges: Vec<_> = received.bridges.iter().map(|bridge| (bridge.bridge_id.as_str(), bridge.users)).collect();
    assert_eq!(bridges, [("b1", 1), ("b2", 1)]);
    assert_eq!((&received.bridges[0].counts, received.bridges[0].software.as_str()), (&Some(counts), "test/1"));
    drop((first, second));
    while watch.message().await.unwrap().unwrap() != WatchBridgesResponse::default() {}
}
