//! Stories of single connections: who gets in, what is refused, how they end.

use std::time::Duration;

use crate::support::client::types;
use crate::support::{Client, Stage, token, token_for};
use courant_auth::Role;
use futures::SinkExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::{Error, Message};

fn auth(token: &str) -> serde_json::Value {
    json!({"id": 9, "type": "auth", "token": token})
}

#[tokio::test]
async fn a_good_token_opens_the_door() {
    let stage = Stage::new().await;
    let mut client =
        Client::connect_with(stage.address, &[("sec-websocket-protocol", "courant.v1.json")]).await.unwrap();
    assert_eq!(client.subprotocol.as_deref(), Some("courant.v1.json"));
    assert_eq!(client.ask(json!({"id": 1, "type": "ping"})).await, json!({"id": 1, "type": "pong"}));
    let early = client.ask(json!({"id": 2, "type": "subscribe", "topic": "mine"})).await;
    assert_eq!((&early["type"], &early["code"]), (&json!("error"), &json!("TOKEN_MISSING")));
    let connected = client.ask(auth(&token_for("alice", &[Role::Admin], Duration::from_secs(60)))).await;
    assert_eq!((&connected["user"], &connected["roles"]), (&json!("alice"), &json!(["admin"])));
    assert_eq!(connected["limits"]["maxSubscriptions"], 128);
}

#[tokio::test]
async fn bad_tokens_are_told_and_closed() {
    let stage = Stage::new().await;
    let old = token_for("alice", &[], Duration::ZERO);
    for (token, code) in
        [("nonsense", "TOKEN_INVALID"), (&format!("{}x", token("alice")), "TOKEN_INVALID"), ("", "TOKEN_INVALID")]
    {
        let mut client = Client::connect(stage.address).await;
        client.send(auth(token)).await;
        let (messages, close) = client.read_to_end().await;
        assert_eq!((types(&messages), close), (vec!["auth-error", "closing"], 4401));
        assert_eq!((&messages[0]["id"], &messages[0]["code"]), (&json!(9), &json!(code)));
        assert_eq!(messages[1]["code"], 4401);
    }
    // Within the leeway for clocks the token is still read, but the connection has no time left.
    let mut client = Client::connect(stage.address).await;
    client.send(auth(&old)).await;
    let (messages, close) = client.read_to_end().await;
    assert_eq!((types(&messages), close), (vec!["connected", "auth-error", "closing"], 4401));
    assert_eq!(messages[1]["code"], "TOKEN_EXPIRED");
}

#[tokio::test]
async fn a_token_may_come_as_a_subprotocol_and_is_never_echoed() {
    let stage = Stage::new().await;
    let offer = format!("courant.v1.json, courant.token.{}", token("alice"));
    let mut client = Client::connect_with(stage.address, &[("sec-websocket-protocol", &offer)]).await.unwrap();
    assert_eq!(client.subprotocol.as_deref(), Some("courant.v1.json"));
    let connected = client.next().await;
    assert_eq!((&connected["type"], connected.get("id")), (&json!("connected"), None));
}

/// What the bridge answers to a raw handshake, up to the end of the connection.
async fn raw(stage: &Stage, more: &str) -> String {
    let mut socket = tokio::net::TcpStream::connect(stage.address).await.unwrap();
    let head = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n",
        stage.address
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    tokio::time::timeout(crate::support::PATIENCE, socket.read_to_end(&mut all)).await.unwrap().unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn only_unknown_subprotocols_are_closed_with_4406() {
    let stage = Stage::with(|config| config.times.close = Duration::from_millis(50)).await;
    let answer = raw(&stage, "Sec-WebSocket-Protocol: soap\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101") && answer.contains("\"code\":4406"), "{answer}");
    assert!(answer.contains("SUBPROTOCOL_UNKNOWN") && !answer.contains("soap"), "{answer}");
}

#[tokio::test]
async fn a_page_of_another_site_is_kept_out_before_anything_is_said() {
    let stage = Stage::new().await;
    let Err(Error::Http(response)) = Client::connect_with(stage.address, &[("origin", "https://evil.example")]).await
    else {
        panic!("the page came in");
    };
    assert_eq!(response.status(), 403);
    let own = format!("http://{}", stage.address);
    assert!(Client::connect_with(stage.address, &[("origin", &own)]).await.is_ok());
}

#[tokio::test]
async fn who_sends_no_token_in_time_is_closed_with_4408() {
    let stage = Stage::with(|config| config.times.auth = Duration::from_millis(50)).await;
    let (messages, close) = Client::connect(stage.address).await.read_to_end().await;
    assert_eq!((messages[0]["reason"].as_str(), close), (Some("AUTH_TIMEOUT"), 4408));
}

#[tokio::test]
async fn a_token_that_runs_out_ends_the_connection_unless_renewed() {
    let stage = Stage::new().await;
    let short = || token_for("alice", &[], Duration::from_secs(2));
    let (mut left, mut renewed) = (Client::connect(stage.address).await, Client::connect(stage.address).await);
    left.ask(auth(&short())).await;
    let first = renewed.ask(auth(&short())).await;
    let second = renewed.ask(auth(&token("alice"))).await;
    assert_eq!(first["connectionId"], second["connectionId"]);
    let (messages, close) = left.read_to_end().await;
    assert_eq!(types(&messages), ["auth-expiring", "auth-error", "closing"]);
    assert!(messages[0]["expiresInMs"].as_u64().unwrap() <= 1000);
    assert_eq!((messages[1]["code"].as_str(), close), (Some("TOKEN_EXPIRED"), 4401));
    assert_eq!(renewed.ask(json!({"id": 5, "type": "ping"})).await["type"], "pong");
}

#[tokio::test]
async fn a_connection_does_not_change_its_user() {
    let stage = Stage::new().await;
    let mut client = stage.client("alice").await;
    client.send(auth(&token("bob"))).await;
    let (messages, close) = client.read_to_end().await;
    assert_eq!((messages[0]["code"].as_str(), close), (Some("SUBJECT_CHANGED"), 4403));
}

#[tokio::test]
async fn nonsense_is_answered_and_the_connection_stays() {
    let stage = Stage::new().await;
    let mut client = stage.client("alice").await;
    for (text, code) in [
        ("not json", "BAD_MESSAGE"),
        ("[1,2]", "BAD_MESSAGE"),
        (r#"{"id":4,"type":"dance"}"#, "UNKNOWN_COMMAND"),
        (r#"{"id":4,"type":"subscribe"}"#, "INVALID_FIELD"),
        (r#"{"id":4,"type":"subscribe","topic":"nowhere"}"#, "INVALID_FIELD"),
        (r#"{"id":4,"type":"subscribe","topic":"mine","after":"nonsense"}"#, "CURSOR_INVALID"),
    ] {
        client.send_text(text).await;
        let error = client.next().await;
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{text}");
    }
    let ok = client.ask(json!({"id": 1, "type": "unsubscribe", "topic": "mine", "colour": "blue"})).await;
    assert_eq!(ok, json!({"id": 1, "type": "ok"}));
}

#[tokio::test]
async fn what_is_no_text_or_too_long_ends_the_connection() {
    let stage = Stage::new().await;
    let long = Message::text("x".repeat((64 << 10) + 1));
    for (message, close) in [(long, 1009), (Message::binary(vec![1, 2, 3]), 4400)] {
        let mut client = stage.client("alice").await;
        client.socket.send(message).await.unwrap();
        let (messages, found) = client.read_to_end().await;
        assert_eq!((found, messages[0]["code"].as_u64()), (close, Some(u64::from(close))));
    }
    let mut client = stage.client("alice").await;
    // A masked text frame of one byte that is not UTF-8.
    client.socket.get_mut().write_all(&[0x81, 0x81, 0, 0, 0, 0, 0xff]).await.unwrap();
    assert_eq!(client.read_to_end().await.1, 1007);
}

#[tokio::test]
async fn limits_are_told_with_4429() {
    let stage = Stage::with(|config| {
        config.limits.connections = 3;
        config.limits.connections_per_user = 1;
        config.limits.messages_per_second = 4;
        config.limits.subscriptions = 1;
    })
    .await;
    let mut first = stage.client("alice").await;
    first.follow("mine", None).await;
    let refused = first.ask(json!({"id": 2, "type": "subscribe", "topic": "batch/b"})).await;
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("TOO_MANY"), &json!(true)));

    let _bob = stage.client("bob").await;
    let mut second = Client::connect(stage.address).await;
    assert_eq!(Client::connect(stage.address).await.read_to_end().await.1, 4429);
    second.send(auth(&token("alice"))).await;
    let (messages, close) = second.read_to_end().await;
    assert_eq!((messages[0]["reason"].as_str(), close), (Some("TOO_MANY"), 4429));
    assert!(messages[0]["retryAfterMs"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn who_is_a_little_too_fast_is_told_and_stays_and_a_flood_is_closed() {
    let stage = Stage::with(|config| config.limits.messages_per_second = 4).await;
    let mut client = stage.client("alice").await;
    // All topics one by one, in a burst: the limits fit each other.
    for topic in 0..128 {
        client.send(json!({"id": topic, "type": "subscribe", "topic": format!("batch/{topic}")})).await;
    }
    let mut subscribed = 0;
    while subscribed < 128 {
        let message = client.next().await;
        assert_ne!(message["type"], "error", "{message}");
        subscribed += usize::from(message["type"] == "subscribed");
    }
    // At most 160 are allowed at once, however long the subscribing took.
    for id in 1000..1250 {
        client.send(json!({"id": id, "type": "ping"})).await;
    }
    let mut answers = Vec::new();
    while answers.len() < 250 {
        let message = client.next().await;
        answers.extend(message["id"].is_number().then_some(message));
    }
    let refused: Vec<_> = answers.iter().filter(|answer| answer["type"] == "error").collect();
    assert!(refused.len() >= 50, "{answers:?}");
    let first = refused[0];
    assert_eq!((&first["code"], &first["retryable"]), (&json!("RATE_LIMITED"), &json!(true)));
    let wait = first["retryAfterMs"].as_u64().unwrap();
    assert!((1..=250).contains(&wait), "{first}");
    // What was refused can be sent again on the same connection, when the last refusal said.
    let wait = refused[refused.len() - 1]["retryAfterMs"].as_u64().unwrap();
    tokio::time::sleep(Duration::from_millis(wait)).await;
    assert_eq!(client.ask(json!({"id": 1, "type": "ping"})).await["type"], "pong");

    for _ in 0..1000 {
        // Closed in the middle of it.
        if client.socket.send(Message::text(r#"{"type":"ping"}"#)).await.is_err() {
            break;
        }
    }
    let (messages, close) = client.read_to_end().await;
    assert_eq!((close, messages.last().unwrap()["reason"].as_str()), (4429, Some("TOO_MANY")));
}

#[tokio::test]
async fn a_flood_of_protocol_pings_is_closed() {
    let stage = Stage::new().await;
    let mut client = stage.client("alice").await;
    for _ in 0..50 {
        client.socket.send(Message::Ping("x".into())).await.unwrap();
    }
    assert_eq!(client.ask(json!({"id": 1, "type": "ping"})).await["type"], "pong");
    for _ in 0..200 {
        if client.socket.send(Message::Ping("x".into())).await.is_err() {
            break;
        }
    }
    assert_eq!(client.read_to_end().await.1, 4429);
}

#[tokio::test]
async fn several_topics_are_subscribed_at_once_and_each_is_answered() {
    let stage = Stage::with(|config| config.limits.subscriptions = 4).await;
    stage.server.submit("A", "alice", "doc").await;
    stage.server.submit("SECRET", "bob", "doc").await;
    let mut client = stage.client("alice").await;
    let topics = json!([{"topic": "job/A", "minIntervalMs": 0}, {"topic": "job/SECRET"}, {"topic": "nowhere"}, {"topic": "mine"}]);
    client.send(json!({"id": 2, "type": "subscribe", "topics": topics})).await;
    let mut answers = std::collections::BTreeMap::new();
    while answers.len() < 4 {
        let message = client.next().await;
        if message["id"] == 2 {
            let said = message["code"].as_str().or(message["mode"].as_str()).unwrap().to_owned();
            answers.insert(message["topic"].as_str().unwrap().to_owned(), said);
        }
    }
    let answers: Vec<_> = answers.iter().map(|(topic, said)| format!("{topic} {said}")).collect();
    assert_eq!(answers, ["job/A snapshot", "job/SECRET JOB_NOT_FOUND", "mine snapshot", "nowhere INVALID_FIELD"]);
    stage.server.open_watches(2).await;
    let refused = client.ask(json!({"id": 3, "type": "unsubscribe", "topics": ["job/A", "nowhere"]})).await;
    assert_eq!(refused["code"], "INVALID_FIELD");
    assert_eq!(client.ask(json!({"id": 4, "type": "unsubscribe", "topics": ["job/A", "mine"]})).await["type"], "ok");
    for bad in [json!([]), json!([{"topic": "mine"}, {"topic": "mine"}])] {
        let refused = client.ask(json!({"id": 5, "type": "subscribe", "topics": bad})).await;
        assert_eq!(refused["code"], "INVALID_FIELD", "{refused}");
    }
    stage.metrics_show("subscriptions 0").await;
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_dropped() {
    let stage = Stage::with(|config| config.times.ping = Duration::from_millis(50)).await;
    // A raw socket answers nothing: the connection must end by itself.
    let answer = raw(&stage, "").await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
}

#[tokio::test]
async fn a_stopping_bridge_tells_everybody_and_ends() {
    let stage = Stage::new().await;
    let mut client = stage.client("alice").await;
    client.follow("mine", None).await;
    stage.shutdown.drain();
    let (messages, close) = client.read_to_end().await;
    assert_eq!((types(&messages), close), (vec!["draining", "closing"], 4503));
    drop(client);
    tokio::time::timeout(crate::support::PATIENCE, stage.bridge).await.unwrap().unwrap().unwrap();
}
