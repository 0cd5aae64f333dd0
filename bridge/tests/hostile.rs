//! Stories of one user who takes all that can be had, and of another who must not notice.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

#[path = "all/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Client, PATIENCE, Stage, token};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// What the second user waits for, in the middle of some tries: other stories share the machine with this one.
const SOON: Duration = Duration::from_secs(1);
/// What it waits for at most, also while attackers and bridge share two busy processors.
const ALIVE: Duration = Duration::from_secs(20);

/// The second user lists jobs, opens a WebSocket, and follows a topic. Gives back how long that took.
async fn bob_is_served(stage: &Stage) -> Duration {
    let begun = Instant::now();
    let served = async {
        let jobs = reqwest::Client::new().get(stage.url("/v1/jobs")).bearer_auth(token("bob")).send().await.unwrap();
        assert_eq!(jobs.status(), 200);
        let mut bob = stage.client("bob").await;
        bob.follow("mine", None).await;
        let took = begun.elapsed();
        assert_eq!(reqwest::get(stage.url("/readyz")).await.unwrap().status(), 200);
        took
    };
    tokio::time::timeout(ALIVE, served).await.expect("the second user is shut out")
}

/// Some tries of the second user. The times are printed: compare "quiet" with the attack.
async fn bob_is_served_soon(stage: &Stage, when: &str) {
    let mut times = Vec::new();
    for _ in 0..5 {
        times.push(bob_is_served(stage).await);
    }
    soon(when, times);
}

fn soon(when: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let (middle, longest) = (times[times.len() / 2], times[times.len() - 1]);
    println!("the second user, {when}: {middle:?}, at most {longest:?}, of {}", times.len());
    assert!(middle < SOON, "the second user waits {middle:?}, {when}");
}

/// Subscribes to that many invented topics, each on its own; gives back what was refused.
async fn invent(client: &mut Client, name: &str, count: usize) -> Vec<Value> {
    for topic in 0..count {
        client.send(json!({"id": topic, "type": "subscribe", "topic": format!("batch/{name}-{topic}")})).await;
    }
    let (mut answered, mut refused) = (0, Vec::new());
    while answered < count {
        let message = client.next().await;
        match message["type"].as_str().unwrap() {
            "subscribed" => answered += 1,
            "error" => {
                answered += 1;
                refused.push(message);
            }
            _ => {}
        }
    }
    refused
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn forty_sockets_full_of_invented_topics_leave_the_bridge_to_others() {
    let stage = Stage::with(|config| {
        config.limits.messages_per_second = 10_000;
        config.limits.per_user_per_second = 100_000;
        config.limits.bounds.topics_per_user = 300;
    })
    .await;
    bob_is_served_soon(&stage, "quiet").await;
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(stage.client("mallory").await);
    }
    let over = tokio_util::sync::CancellationToken::new();
    let attack = async {
        let all = clients.iter_mut().enumerate();
        let all = all.map(|(number, client)| async move { invent(client, &number.to_string(), 128).await });
        let refused = futures::future::join_all(all).await;
        over.cancel();
        refused
    };
    let watch = async {
        let mut times = Vec::new();
        while !over.is_cancelled() {
            times.push(bob_is_served(&stage).await);
        }
        soon("while topics are invented", times);
    };
    let (refused, ()) = tokio::join!(attack, watch);
    let refused: Vec<_> = refused.into_iter().flatten().collect();
    assert_eq!(refused.len(), 40 * 128 - 300);
    let error = &refused[0];
    assert_eq!((&error["code"], &error["retryable"]), (&json!("TOO_MANY"), &json!(true)));
    assert!(error["message"].as_str().unwrap().contains("300 topics"), "{error}");
    bob_is_served_soon(&stage, "while all topics are held").await;
    // The connections stay, and what is given back can be had again.
    assert_eq!(clients[0].ask(json!({"id": 1, "type": "ping"})).await["type"], "pong");
    let mut other = stage.client("mallory").await;
    assert_eq!(invent(&mut other, "more", 1).await.len(), 1);
    drop(clients);
    stage.metrics_show("connections 1").await;
    assert_eq!(invent(&mut other, "more", 1).await, Vec::<Value>::new());
}

#[tokio::test]
async fn topics_are_counted_over_event_streams_and_polls_as_well() {
    let stage = Stage::with(|config| config.limits.bounds.topics_per_user = 3).await;
    let mut alice = stage.client("alice").await;
    assert!(invent(&mut alice, "a", 3).await.is_empty());
    let ask = |path: &str| reqwest::Client::new().get(stage.url(path)).bearer_auth(token("alice")).send();
    for path in ["/v1/events?topic=batch/b", "/v1/events:poll?topic=batch/b&wait=0"] {
        let answer = ask(path).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers().contains_key("retry-after")), (429, true), "{path}");
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], "TOO_MANY");
    }
    // A topic one has already costs nothing more.
    assert_eq!(ask("/v1/events:poll?topic=batch/a-0&wait=0").await.unwrap().status(), 200);
    alice.ask(json!({"id": 9, "type": "unsubscribe", "topic": "batch/a-0"})).await;
    assert_eq!(ask("/v1/events:poll?topic=batch/b&wait=0").await.unwrap().status(), 200);
}

#[tokio::test]
async fn who_comes_and_goes_gets_no_more_streams_than_who_stays() {
    let stage = Stage::with(|config| {
        config.limits.bounds.streams.per_user = 20;
        config.limits.messages_per_second = 10_000;
    })
    .await;
    bob_is_served_soon(&stage, "quiet").await;
    let mut mallory = stage.client("mallory").await;
    let mut refused = 0;
    for topic in 0..60 {
        refused += invent(&mut mallory, &format!("{topic}"), 1).await.len();
        mallory.ask(json!({"id": 99, "type": "unsubscribe", "topic": format!("batch/{topic}-0")})).await;
    }
    assert!(refused >= 40, "{refused}");
    bob_is_served_soon(&stage, "after streams came and went").await;
}

/// A socket from another address than everybody else's.
async fn from_elsewhere(stage: &Stage) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    socket.connect(stage.address).await.unwrap()
}

fn upload_head(user: &str, length: usize) -> String {
    let bearer = token(user);
    format!(
        "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\nContent-Length: {length}\r\n\r\n%PDF"
    )
}

/// The status of an answer and all of it, read to the end.
async fn answer(socket: &mut TcpStream) -> (u16, String) {
    let mut text = String::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_string(&mut text)).await.expect("no answer");
    assert!(read.is_ok() || !text.is_empty(), "{read:?}");
    (text.split(' ').nth(1).unwrap_or_default().parse().unwrap_or_default(), text)
}

#[tokio::test]
async fn stalled_uploads_of_one_user_and_one_address_leave_sockets_to_others() {
    let stage = Stage::with(|config| {
        config.limits.sockets = 120;
        config.limits.sockets_per_address = 40;
        config.limits.bounds.uploads.per_user = 8;
    })
    .await;
    bob_is_served_soon(&stage, "quiet").await;
    let mut stalled = Vec::new();
    let mut refused = 0;
    // Idle sockets first, then uploads: as many as one can get.
    for number in 0..80 {
        let mut socket = from_elsewhere(&stage).await;
        if number >= 30 {
            let _ = socket.write_all(upload_head("mallory", 1_000_000).as_bytes()).await;
        }
        stalled.push(socket);
        if number % 16 == 0 {
            bob_is_served_soon(&stage, "among stalled sockets").await;
        }
    }
    bob_is_served_soon(&stage, "among stalled sockets").await;
    for socket in stalled.iter_mut().skip(40) {
        let (status, text) = answer(socket).await;
        assert!(status == 429 && text.contains("retry-after: 1"), "{text}");
        refused += 1;
    }
    assert_eq!(refused, 40);
    // Of the ten that got a socket, eight are uploads and two were told that these are enough.
    let mut told = 0;
    for socket in &mut stalled[30..40] {
        let mut first = [0; 12];
        if tokio::time::timeout(Duration::from_millis(300), socket.read_exact(&mut first)).await.is_ok() {
            told += usize::from(&first == b"HTTP/1.1 429");
        }
    }
    assert!(told <= 2, "{told}");
    bob_is_served_soon(&stage, "while uploads stall").await;
}

/// Connections that one address may hold, held by idle ones.
async fn hold_all_places_of_elsewhere(stage: &Stage, count: usize) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for _ in 0..count {
        let mut socket = from_elsewhere(stage).await;
        socket.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        socket.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        held.push(socket);
    }
    held
}

fn few_places(config: &mut courant_bridge::Config) {
    config.limits.sockets = 60;
    config.limits.sockets_per_address = 20;
    config.times.header = Duration::from_secs(3600);
}

#[tokio::test]
async fn everybody_in_a_storm_who_finds_no_place_is_told_so() {
    let stage = Stage::with(few_places).await;
    bob_is_served_soon(&stage, "quiet").await;
    let _held = hold_all_places_of_elsewhere(&stage, 20).await;
    let storm = (0..300).map(|_| async {
        let mut socket = from_elsewhere(&stage).await;
        socket.write_all(b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        answer(&mut socket).await
    });
    let (answers, ()) =
        tokio::join!(futures::future::join_all(storm), bob_is_served_soon(&stage, "while a storm is refused"));
    for (status, text) in answers {
        assert!(status == 429 && text.contains("retry-after: 1") && text.ends_with("\"retryable\":true}"), "{text}");
    }
    // A client that takes an answer before its request for a fault gets one after it.
    let http = reqwest::Client::builder().local_address(std::net::IpAddr::from([127, 0, 0, 2])).build().unwrap();
    for _ in 0..20 {
        let refused = http.post(stage.url("/v1/jobs")).body(vec![b'x'; 200_000]).send().await.unwrap();
        assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    }
    // One that asks nothing is told as well.
    assert_eq!(answer(&mut from_elsewhere(&stage).await).await.0, 429);
}

#[tokio::test]
async fn a_full_bridge_says_so_and_drains_at_once() {
    let stage = Stage::with(|config| {
        config.limits.sockets = 3;
        config.limits.sockets_per_address = 3;
        config.times.drain = Duration::from_millis(200);
    })
    .await;
    let mut held = Vec::new();
    loop {
        let mut socket = TcpStream::connect(stage.address).await.unwrap();
        let mut first = [0; 12];
        let told = tokio::time::timeout(Duration::from_millis(200), socket.read_exact(&mut first)).await;
        if told.is_ok() {
            assert_eq!(&first, b"HTTP/1.1 503");
            break;
        }
        held.push(socket);
        assert!(held.len() <= 3);
    }
    // Nothing in the bridge waits for a place: it can stop though it is full.
    stage.shutdown.drain();
    tokio::time::timeout(Duration::from_secs(5), stage.bridge).await.expect("it hangs").unwrap().unwrap();
}

#[tokio::test]
async fn event_streams_and_polls_are_no_http_connections_among_others() {
    let stage = Stage::with(|config| {
        config.limits.sockets = 4;
        config.limits.sockets_per_address = 4;
    })
    .await;
    bob_is_served_soon(&stage, "quiet").await;
    let mut streams = Vec::new();
    for number in 0..20 {
        let path = if number % 2 == 0 { "/v1/events?topic=mine" } else { "/v1/events:poll?topic=mine" };
        let mut socket = TcpStream::connect(stage.address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", token("mallory"));
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut first = [0; 12];
        socket.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200", "{number}");
        streams.push(socket);
    }
    bob_is_served_soon(&stage, "beside event streams and polls").await;
    // They are counted by user, as WebSockets are.
    stage.metrics_show("connections 20").await;
}

#[tokio::test]
async fn polls_that_come_back_at_once_take_no_places_that_others_need() {
    let stage = Stage::with(|config| {
        config.limits.sockets = 16;
        config.limits.sockets_per_address = 8;
        // Who has a place keeps it for the whole story.
        config.times.header = Duration::from_secs(3600);
        config.times.poll = Duration::from_secs(3600);
    })
    .await;
    let mut polls = Vec::new();
    for _ in 0..40 {
        let mut socket = from_elsewhere(&stage).await;
        let path = "/v1/events:poll?topic=mine";
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", token("mallory"));
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut first = [0; 12];
        socket.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        polls.push(socket);
    }
    stage.server.submit("A", "mallory", "doc").await;
    stage.metrics_show("connections 0").await;
    bob_is_served_soon(&stage, "after polls have come back").await;
    // Each has its whole answer; those that found no place are closed after it.
    let mut closed = 0;
    for socket in &mut polls {
        let mut text = Vec::new();
        let whole = async {
            while !text.ends_with(b"\r\n0\r\n\r\n") {
                assert!(socket.read_buf(&mut text).await.unwrap() > 0, "cut: {}", String::from_utf8_lossy(&text));
            }
        };
        tokio::time::timeout(PATIENCE, whole).await.expect("no answer");
        let end = tokio::time::timeout(Duration::from_millis(50), socket.read(&mut [0])).await;
        closed += usize::from(matches!(end, Ok(Ok(0))));
    }
    assert!((32..40).contains(&closed), "{closed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn joins_whose_connection_is_gone_leave_nothing_behind() {
    let stage = Stage::with(|config| {
        config.limits.messages_per_second = 10_000;
        config.limits.per_user_per_second = 100_000;
        config.limits.bounds.streams.per_user = 60;
        config.times.topic_grace = Duration::from_millis(20);
    })
    .await;
    let cursor = stage.server.submit("A", "mallory", "doc").await;
    let topics: Vec<_> = (0..50).map(|topic| format!("batch/own-{topic}")).collect();
    let join = json!({"id": 1, "type": "subscribe", "topics": topics.iter().map(|topic| json!({"topic": topic, "after": cursor})).collect::<Vec<_>>()});
    for answers in [0, 1, 3, 7, 12, 20, 30, 40] {
        let mut client = stage.client("mallory").await;
        client.send(join.clone()).await;
        // Gone at once, or after some answers.
        for _ in 0..answers {
            client.next().await;
        }
        drop(client);
    }
    stage.metrics_show("subscriptions 0").await;
    stage.metrics_show("topics 0").await;
    let mut back = stage.client("mallory").await;
    // All that the user may have, but for the two that joins need meanwhile.
    assert!(invent(&mut back, "back", 50).await.is_empty());
    for topic in 0..8 {
        back.follow(&format!("batch/more-{topic}"), None).await;
    }
    bob_is_served_soon(&stage, "after joins that nobody waited for").await;
}

#[tokio::test]
async fn a_trickle_holds_an_upload_only_for_a_while() {
    let stage = Stage::with(|config| {
        config.times.body = Duration::from_millis(200);
        config.limits.upload_bytes_per_second = 1000;
    })
    .await;
    let mut socket = TcpStream::connect(stage.address).await.unwrap();
    socket.write_all(upload_head("mallory", 1_000_000).as_bytes()).await.unwrap();
    let (mut reader, mut writer) = socket.split();
    let trickle = async {
        // Never silent for as long as the pause.
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut first = [0; 12];
    tokio::select! {
        () = trickle => {}
        read = tokio::time::timeout(PATIENCE, reader.read_exact(&mut first)) => drop(read.expect("still open").unwrap()),
    }
    assert_eq!(&first, b"HTTP/1.1 400");
    assert!(stage.server.jobs().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn floods_of_messages_pings_and_empty_fragments_leave_the_bridge_to_others() {
    let stage = Stage::new().await;
    bob_is_served_soon(&stage, "quiet").await;
    let over = tokio_util::sync::CancellationToken::new();
    let mut floods = tokio::task::JoinSet::new();
    // A masked frame: a fragment of text without an end, a ping, a command.
    let begin = [0x01, 0x80, 0, 0, 0, 0].to_vec();
    let fragment = [0x00, 0x80, 0, 0, 0, 0].repeat(1000);
    let pings = [0x89, 0x80, 0, 0, 0, 0].repeat(1000);
    let command = [&[0x81, 0x80 | 15, 0, 0, 0, 0][..], br#"{"type":"ping"}"#].concat().repeat(300);
    for number in 0..12 {
        let mut client = stage.client("mallory").await;
        let (first, rest) = match number % 3 {
            0 => (begin.clone(), fragment.clone()),
            1 => (Vec::new(), pings.clone()),
            _ => (Vec::new(), command.clone()),
        };
        let over = over.clone();
        floods.spawn(over.run_until_cancelled_owned(async move {
            let socket = client.socket.get_mut();
            let _ = socket.write_all(&first).await;
            // Reads nothing, and writes for as long as it may.
            while socket.write_all(&rest).await.is_ok() {}
        }));
    }
    let mut times = Vec::new();
    for _ in 0..8 {
        times.push(bob_is_served(&stage).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    soon("in the flood", times);
    over.cancel();
    while floods.join_next().await.is_some() {}
    bob_is_served_soon(&stage, "after the flood").await;
}

#[tokio::test]
async fn bad_tokens_hide_nothing_that_others_did() {
    let stage = Stage::new().await;
    stage.server.submit("A", "alice", "doc").await;
    let http = reqwest::Client::new();
    let cancel = http.post(stage.url("/v1/jobs/A:cancel")).bearer_auth(token("alice")).send().await.unwrap();
    assert_eq!(cancel.status(), 200);
    for number in 0..500 {
        let answer = http.get(stage.url("/v1/jobs")).bearer_auth(format!("bad.{number}.token")).send().await.unwrap();
        assert!(matches!(answer.status().as_u16(), 401 | 429), "{}", answer.status());
    }
    let mut admin = stage.admin().await;
    admin.send(json!({"id": 1, "type": "subscribe-admin"})).await;
    let audit = admin.until("audit").await.pop().unwrap();
    let entries = audit["entries"].as_array().unwrap();
    let of = |action: &str| entries.iter().filter(|entry| entry["action"] == action).collect::<Vec<_>>();
    assert_eq!((of("cancelled").len(), of("cancelled")[0]["user"].as_str()), (1, Some("alice")));
    assert_eq!((of("token-refused").len(), of("token-refused")[0]["count"].as_u64()), (1, Some(500)));
}
