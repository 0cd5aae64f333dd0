//! Stories of two bridges before one server: a client may leave one and go on at the other.

use crate::support::client::types;
use crate::support::{Client, Stage, token};
use serde_json::{Value, json};

fn cursor(messages: &[Value]) -> String {
    messages.iter().rev().find_map(|message| message["cursor"].as_str()).unwrap().to_owned()
}

#[tokio::test]
async fn what_happened_between_two_bridges_is_told_once_and_in_order() {
    let first = Stage::new().await;
    let second = first.beside().await;
    first.server.submit("A", "alice", "doc").await;
    let mut client = first.client("alice").await;
    let mut last = cursor(&client.follow("mine", None).await);
    first.server.started("A");
    last = cursor(&client.until("job-started").await).max(last);
    // The bridge is killed, not stopped: nobody is told.
    first.bridge.abort();
    drop(client);
    first.server.page("A", 1);
    first.server.succeeded("A");
    let missed = second.client("alice").await.follow("mine", Some(&last)).await;
    let expected = ["subscribed", "zone-completed", "zone-completed", "page-completed", "job-completed", "live"];
    assert_eq!((types(&missed), &missed[0]["mode"]), (expected.to_vec(), &json!("resumed")));
}

#[tokio::test]
async fn a_client_of_a_stopping_bridge_goes_on_elsewhere_without_a_snapshot() {
    let first = Stage::new().await;
    let second = first.beside().await;
    first.server.submit("A", "alice", "doc").await;
    let mut client = first.client("alice").await;
    let last = cursor(&client.follow("job/A", None).await);
    first.shutdown.drain();
    let (told, code) = client.read_to_end().await;
    assert_eq!((types(&told), code), (vec!["draining", "closing"], 4503));
    let resumed = second.client("alice").await.follow("job/A", Some(&last)).await;
    assert_eq!((types(&resumed), &resumed[0]["mode"]), (vec!["subscribed", "live"], &json!("resumed")));
}

#[tokio::test]
async fn a_state_that_one_bridge_has_told_the_other_does_not_tell_again() {
    let first = Stage::new().await;
    let second = first.beside().await;
    let last = cursor(&first.client("alice").await.follow("queue", None).await);
    let known = second.client("alice").await.follow("queue", Some(&last)).await;
    assert_eq!((types(&known), &known[0]["mode"]), (vec!["subscribed", "live"], &json!("resumed")));
    for job in 1..=9 {
        first.server.submit(&format!("J{job}"), "bob", "doc").await;
    }
    // Whichever of the two is asked, and however far it has heard: in the end the new state is there.
    let mut client = second.client("alice").await;
    let begin = client.follow("queue", Some(&last)).await;
    let mut told = begin.into_iter().rev().find(|message| message["type"] == "queue-status");
    while told.as_ref().is_none_or(|told| told["queue"]["lanes"][0]["waiting"] != 9) {
        told = client.until("queue-status").await.pop();
    }
    let told = told.unwrap();
    let again = first.client("alice").await.follow("queue", told["cursor"].as_str()).await;
    assert!(again.iter().all(|message| message["type"] != "gap"), "{again:?}");
}

fn at_once(config: &mut courant_bridge::Config) {
    config.times.presence_grace = std::time::Duration::from_millis(100);
}

async fn on(stage: &Stage, device: &str) -> Client {
    let mut client = Client::connect(stage.address).await;
    client.ask(json!({"id": 0, "type": "auth", "token": token("alice"), "device": {"id": device}})).await;
    client.send(json!({"type": "subscribe", "topic": "devices", "minIntervalMs": 0})).await;
    client
}

/// Reads until these devices are shown, and whether they are all.
async fn until_shown(client: &mut Client, expected: &[&str], complete: bool) {
    loop {
        let told = client.until("devices").await.pop().unwrap();
        let mut ids: Vec<_> =
            told["devices"].as_array().unwrap().iter().map(|device| device["deviceId"].as_str().unwrap()).collect();
        ids.sort_unstable();
        if ids == expected && told["complete"] == complete {
            return;
        }
    }
}

#[tokio::test]
async fn devices_are_shown_over_all_bridges_and_a_killed_bridge_leaves_with_its_own() {
    let first = Stage::with(at_once).await;
    let second = Stage::before(first.server.clone(), at_once).await;
    let mut laptop = on(&first, "laptop").await;
    let mut phone = on(&second, "phone").await;
    for device in [&mut laptop, &mut phone] {
        until_shown(device, &["laptop", "phone"], true).await;
    }
    first.server.knows_devices("alice", &[("laptop", 1), ("phone", 1)]).await;
    // One device at both is one device.
    let roaming = on(&second, "laptop").await;
    loop {
        let told = laptop.until("devices").await.pop().unwrap();
        if told["devices"][0]["connections"] == 2 {
            break;
        }
    }
    drop(roaming);
    second.bridge.abort();
    until_shown(&mut laptop, &["laptop"], true).await;
    first.server.knows_devices("alice", &[("laptop", 1)]).await;
}

#[tokio::test]
async fn while_the_server_is_away_each_bridge_shows_its_own_and_then_all_again() {
    let first = Stage::with(at_once).await;
    let second = Stage::before(first.server.clone(), at_once).await;
    let mut laptop = on(&first, "laptop").await;
    let mut phone = on(&second, "phone").await;
    until_shown(&mut laptop, &["laptop", "phone"], true).await;
    first.server.go_away();
    until_shown(&mut laptop, &["laptop"], false).await;
    until_shown(&mut phone, &["phone"], false).await;
    // What comes and goes here is told all the time, also to whoever only comes now.
    let tablet = on(&first, "tablet").await;
    until_shown(&mut laptop, &["laptop", "tablet"], false).await;
    first.server.come_back();
    until_shown(&mut phone, &["laptop", "phone", "tablet"], true).await;
    until_shown(&mut laptop, &["laptop", "phone", "tablet"], true).await;
    drop(tablet);
    until_shown(&mut phone, &["laptop", "phone"], true).await;
}

#[tokio::test]
async fn a_stream_that_only_broke_is_not_noticed() {
    let first = Stage::with(|config| config.times.presence_grace = std::time::Duration::from_secs(3600)).await;
    let second = Stage::before(first.server.clone(), at_once).await;
    let mut laptop = on(&first, "laptop").await;
    let mut phone = on(&second, "phone").await;
    until_shown(&mut laptop, &["laptop", "phone"], true).await;
    until_shown(&mut phone, &["laptop", "phone"], true).await;
    first.server.cut();
    first.server.knows_devices("alice", &[("laptop", 1), ("phone", 1)]).await;
    let _tablet = on(&first, "tablet").await;
    let next = laptop.until("devices").await.pop().unwrap();
    assert_eq!((next["devices"].as_array().unwrap().len(), &next["complete"]), (3, &json!(true)));
}

#[tokio::test]
async fn admins_see_all_bridges_and_the_topics_over_all() {
    let first = Stage::new().await;
    let second = first.beside().await;
    let mut laptop = first.client("alice").await;
    laptop.follow("mine", None).await;
    let mut phone = second.client("alice").await;
    phone.follow("mine", None).await;
    let mut admin = first.admin().await;
    admin.send(json!({"id": 1, "type": "subscribe-admin", "minIntervalMs": 0})).await;
    loop {
        let told = admin.until("connections").await.pop().unwrap();
        let all_bridges = &told["connections"]["allBridges"];
        if all_bridges["byKind"] == json!({"admin": 1, "mine": 2}) && all_bridges["total"] == 3 {
            let bridges = all_bridges["bridges"].as_array().unwrap();
            let own: Vec<_> =
                bridges.iter().filter(|bridge| bridge["bridge"] == told["connections"]["bridge"]).collect();
            assert_eq!((bridges.len(), own.len(), &own[0]["connections"]), (2, 1, &json!(2)));
            assert_eq!(all_bridges["topics"][0], json!({"name": "mine", "connections": 2}));
            break;
        }
    }
    second.bridge.abort();
    loop {
        let told = admin.until("connections").await.pop().unwrap();
        if told["connections"]["allBridges"]["bridges"].as_array().unwrap().len() == 1 {
            break;
        }
    }
}
