//! Stories of devices that come and go, in whatever way a connection can end.

use std::time::Duration;

use crate::support::client::types;
use crate::support::{Client, PATIENCE, Stage, token, token_for};
use courant_auth::Role;
use courant_bridge::Config;
use serde_json::{Value, json};

/// No grace: what is told is what is connected.
fn at_once(config: &mut Config) {
    config.times.presence_grace = Duration::ZERO;
}

async fn on(stage: &Stage, user: &str, device: &str) -> Client {
    let mut client = Client::connect(stage.address).await;
    let auth = json!({"id": 0, "type": "auth", "token": token(user), "device": {"id": device, "name": format!("The {device}")}});
    let connected = client.ask(auth).await;
    assert_eq!((&connected["type"], &connected["deviceId"]), (&json!("connected"), &json!(device)));
    client
}

fn ids(message: &Value) -> Vec<String> {
    let devices = message["devices"].as_array().unwrap();
    let mut ids: Vec<_> = devices.iter().map(|device| device["deviceId"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

/// Reads until these devices are connected, and all bridges are heard.
async fn until_shown(client: &mut Client, expected: &[&str]) -> Value {
    loop {
        let told = client.until("devices").await.pop().unwrap();
        if ids(&told) == expected && told["complete"] == true {
            return told;
        }
    }
}

/// A watcher of alice's devices, itself on the device `here`.
async fn watcher(stage: &Stage) -> Client {
    let mut client = on(stage, "alice", "here").await;
    client.send(json!({"type": "subscribe", "topic": "devices", "minIntervalMs": 0})).await;
    until_shown(&mut client, &["here"]).await;
    client
}

async fn get(stage: &Stage, path: &str) -> reqwest::Response {
    reqwest::Client::new().get(stage.url(path)).bearer_auth(token("alice")).send().await.unwrap()
}

#[tokio::test]
async fn ones_own_devices_are_told_as_a_state_and_nobody_elses() {
    let stage = Stage::with(at_once).await;
    let mut watcher = watcher(&stage).await;
    let _stranger = on(&stage, "bob", "elsewhere").await;
    let first_tab = on(&stage, "alice", "laptop").await;
    let told = until_shown(&mut watcher, &["here", "laptop"]).await;
    let laptop = &told["devices"][1];
    assert_eq!((&laptop["name"], &laptop["transports"]), (&json!("The laptop"), &json!(["websocket"])));
    assert!(laptop["connectTime"].as_str().unwrap().ends_with('Z'));
    let second_tab = on(&stage, "alice", "laptop").await;
    let both = until_shown(&mut watcher, &["here", "laptop"]).await;
    assert_eq!(
        (&both["devices"][1]["connections"], &both["devices"][1]["connectTime"]),
        (&json!(2), &laptop["connectTime"])
    );
    // Whoever knows the state is not told it again, on any transport.
    let path = format!("/v1/events:poll?topic=devices&after={}&wait=0&deviceId=here", both["cursor"].as_str().unwrap());
    let poll: Value = get(&stage, &path).await.json().await.unwrap();
    assert_eq!(poll["messages"][0]["deviceId"], "here");
    let mut stranger = stage.client("bob").await;
    let begin = stranger.follow("devices", None).await;
    assert_eq!(types(&begin), ["subscribed", "devices", "live"]);
    assert_eq!(ids(&begin[1]).len(), 2, "bob's two");
    drop((first_tab, second_tab));
    until_shown(&mut watcher, &["here"]).await;
}

#[tokio::test]
async fn a_connection_without_a_device_is_one_of_its_own_and_may_be_named_later() {
    let stage = Stage::with(at_once).await;
    let mut watcher = watcher(&stage).await;
    let mut client = Client::connect(stage.address).await;
    let connected = client.ask(json!({"id": 1, "type": "auth", "token": token("alice")})).await;
    let own = connected["deviceId"].as_str().unwrap();
    assert_eq!(own, connected["connectionId"]);
    let told = until_shown(&mut watcher, &[own, "here"]).await;
    let shown = told["devices"].as_array().unwrap().iter().find(|device| device["deviceId"] == own).unwrap();
    assert_eq!(shown["name"], Value::Null);
    let auth = |device: Value| json!({"id": 2, "type": "auth", "token": token("alice"), "device": device});
    for (device, field) in [
        (json!({"id": ""}), "device.id"),
        (json!({"id": "a b"}), "device.id"),
        (json!({"id": "x".repeat(65)}), "device.id"),
        (json!({"id": "x", "name": "y".repeat(65)}), "device.name"),
        (json!({"id": "x", "name": "a\nb"}), "device.name"),
    ] {
        let refused = client.ask(auth(device)).await;
        assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!("INVALID_FIELD")));
        assert!(refused["message"].as_str().unwrap().contains(field), "{refused}");
    }
    for broken in [json!("x"), json!({"name": "x"}), json!({"id": 5})] {
        assert_eq!(client.ask(auth(broken)).await["code"], "BAD_MESSAGE");
    }
    assert_eq!(client.ask(auth(json!({"id": "tablet"}))).await["deviceId"], "tablet");
    until_shown(&mut watcher, &["here", "tablet"]).await;
    // A renewal says nothing of it, and it stays.
    let renewed = client.ask(json!({"id": 3, "type": "auth", "token": token("alice")})).await;
    assert_eq!(renewed["deviceId"], "tablet");
    drop(client);
    until_shown(&mut watcher, &["here"]).await;
}

#[tokio::test]
async fn a_clean_close_and_a_reset_are_told_at_once() {
    let stage = Stage::with(at_once).await;
    let mut watcher = watcher(&stage).await;
    let mut closing = on(&stage, "alice", "laptop").await;
    let resetting = on(&stage, "alice", "phone").await;
    until_shown(&mut watcher, &["here", "laptop", "phone"]).await;
    closing.socket.close(None).await.unwrap();
    until_shown(&mut watcher, &["here", "phone"]).await;
    let socket = resetting.socket.into_inner();
    socket.set_zero_linger().unwrap();
    drop(socket);
    until_shown(&mut watcher, &["here"]).await;
}

#[tokio::test]
async fn a_peer_that_answers_no_pings_is_gone() {
    let stage = Stage::with(|config| {
        at_once(config);
        config.times.ping = Duration::from_millis(50);
    })
    .await;
    let mut watcher = watcher(&stage).await;
    // It does not read, so it does not answer; its socket stays open.
    let _silent = on(&stage, "alice", "laptop").await;
    until_shown(&mut watcher, &["here", "laptop"]).await;
    until_shown(&mut watcher, &["here"]).await;
}

#[tokio::test]
async fn a_token_that_runs_out_and_one_that_never_comes_leave_nobody() {
    let stage = Stage::with(|config| {
        at_once(config);
        config.times.auth = Duration::from_millis(200);
    })
    .await;
    let mut watcher = watcher(&stage).await;
    let mut short = Client::connect(stage.address).await;
    let brief = token_for("alice", &[], Duration::from_secs(1));
    short.ask(json!({"id": 1, "type": "auth", "token": brief, "device": {"id": "laptop"}})).await;
    let mut nobody = Client::connect(stage.address).await;
    until_shown(&mut watcher, &["here", "laptop"]).await;
    until_shown(&mut watcher, &["here"]).await;
    assert_eq!(short.read_to_end().await.1, 4401);
    assert_eq!(nobody.read_to_end().await.1, 4408);
}

#[tokio::test]
async fn a_client_that_is_too_slow_is_gone() {
    let stage = Stage::with(|config| {
        at_once(config);
        config.limits.outbox_bytes = 4 << 10;
    })
    .await;
    let mut watcher = watcher(&stage).await;
    let mut slow = stage.client_that_buffers_little("alice").await;
    slow.ask(json!({"id": 1, "type": "auth", "token": token("alice"), "device": {"id": "laptop"}})).await;
    stage.server.submit("A", "alice", "doc").await;
    slow.follow("mine", None).await;
    until_shown(&mut watcher, &["here", "laptop"]).await;
    let flood = async {
        for page in 0.. {
            stage.server.page("A", page);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = flood => {}
        told = tokio::time::timeout(PATIENCE, until_shown(&mut watcher, &["here"])) => drop(told.unwrap()),
    }
    stage.metrics_show("too_slow_total 1").await;
}

#[tokio::test]
async fn an_event_stream_that_is_dropped_is_gone() {
    let stage = Stage::with(at_once).await;
    let mut watcher = watcher(&stage).await;
    let stream = get(&stage, "/v1/events?topic=mine&deviceId=laptop&deviceName=Kiosk").await;
    let told = until_shown(&mut watcher, &["here", "laptop"]).await;
    let laptop = &told["devices"][1];
    assert_eq!((&laptop["name"], &laptop["transports"]), (&json!("Kiosk"), &json!(["sse"])));
    drop(stream);
    until_shown(&mut watcher, &["here"]).await;
}

#[tokio::test]
async fn a_client_that_polls_is_there_until_its_next_poll_is_overdue() {
    let stage = Stage::with(|config| {
        at_once(config);
        config.times.poll_overdue = Duration::from_millis(300);
    })
    .await;
    let mut watcher = watcher(&stage).await;
    for _ in 0..3 {
        get(&stage, "/v1/events:poll?topic=mine&wait=0&deviceId=laptop").await.bytes().await.unwrap();
        get(&stage, "/v1/events:poll?topic=mine&wait=0").await.bytes().await.unwrap();
    }
    let told = until_shown(&mut watcher, &["here", "laptop", "polls"]).await;
    let polling =
        |id: &str| told["devices"].as_array().unwrap().iter().find(|device| device["deviceId"] == id).unwrap().clone();
    for id in ["laptop", "polls"] {
        assert_eq!((&polling(id)["transports"], &polling(id)["connections"]), (&json!(["polling"]), &json!(1)), "{id}");
    }
    until_shown(&mut watcher, &["here"]).await;
}

#[tokio::test]
async fn bad_devices_of_streams_and_polls_are_refused_with_the_field() {
    let stage = Stage::new().await;
    for (query, field) in [("deviceId=a%20b", "deviceId"), ("deviceName=x", "deviceName")] {
        for path in ["/v1/events", "/v1/events:poll"] {
            let answer = get(&stage, &format!("{path}?topic=mine&{query}")).await;
            assert_eq!(answer.status(), 400);
            let problem: Value = answer.json().await.unwrap();
            assert_eq!((&problem["code"], &problem["errors"][0]["field"]), (&json!("INVALID_FIELD"), &json!(field)));
        }
    }
}

#[tokio::test]
async fn a_page_that_is_loaded_anew_has_not_left() {
    let stage = Stage::with(|config| config.times.presence_grace = Duration::from_secs(3600)).await;
    let mut watcher = watcher(&stage).await;
    let laptop = on(&stage, "alice", "laptop").await;
    let before = until_shown(&mut watcher, &["here", "laptop"]).await;
    drop(laptop);
    stage.server.knows_devices("alice", &[("here", 1)]).await;
    let laptop = on(&stage, "alice", "laptop").await;
    stage.server.knows_devices("alice", &[("here", 1), ("laptop", 1)]).await;
    // Were anything of it told, it would come before this.
    let _phone = on(&stage, "alice", "phone").await;
    let next = watcher.until("devices").await.pop().unwrap();
    assert_eq!(ids(&next), ["here", "laptop", "phone"]);
    assert_eq!(next["devices"][1], before["devices"][1]);
    drop(laptop);
}

#[tokio::test]
async fn too_many_devices_are_let_in_counted_and_not_shown() {
    let stage = Stage::with(|config| {
        at_once(config);
        config.limits.devices_per_user = 1;
    })
    .await;
    let mut here = watcher(&stage).await;
    let mut surplus = on(&stage, "alice", "laptop").await;
    stage.metrics_show(r#"refused_total{limit="DevicesPerUser"} 1"#).await;
    assert_eq!(ids(&surplus.follow("devices", None).await[1]), ["here"]);
    let _tab = on(&stage, "alice", "here").await;
    assert_eq!(until_shown(&mut here, &["here"]).await["devices"][0]["connections"], 2);
}

#[tokio::test]
async fn devices_can_be_read_once() {
    let stage = Stage::new().await;
    let _laptop = on(&stage, "alice", "laptop").await;
    let _other = on(&stage, "bob", "phone").await;
    stage.server.knows_devices("alice", &[("laptop", 1)]).await;
    stage.server.knows_devices("bob", &[("phone", 1)]).await;
    let root = token_for("root", &[Role::Admin], Duration::from_secs(60));
    for (path, token, device) in [("/v1/devices", token("alice"), "laptop"), ("/v1/devices?user=bob", root, "phone")] {
        let answer = reqwest::Client::new().get(stage.url(path)).bearer_auth(token).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(ids(&answer), [device], "{answer}");
    }
    assert_eq!(get(&stage, "/v1/devices?user=bob").await.status(), 403);
    assert_eq!(get(&stage, "/v1/devices?owner=bob").await.status(), 400);
}
