//! Stories of topics over plain HTTP: event streams and polls say what a WebSocket says, and cursors fit all of them.

use std::pin::Pin;
use std::time::Duration;

use crate::support::client::types;
use crate::support::{PATIENCE, RealServer, Stage, token, token_for};
use eventsource_stream::{Event, Eventsource};
use futures::{Stream, StreamExt};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

/// An event stream, read by a parser that is not ours.
struct Events(Pin<Box<dyn Stream<Item = Event> + Send>>);

impl Events {
    async fn open(stage: &Stage, query: &str, last: Option<&str>) -> Self {
        let answer = ask(stage, &format!("/v1/events?{query}"), last).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
        assert_eq!(answer.headers()["x-accel-buffering"], "no");
        let mut events = Self(Box::pin(answer.bytes_stream().eventsource().map(|event| event.unwrap())));
        let (greeting, id) = events.next().await;
        assert_eq!((&greeting["type"], &greeting["user"], id.as_str()), (&json!("connected"), &json!("alice"), ""));
        events
    }

    async fn event(&mut self) -> Option<Event> {
        tokio::time::timeout(PATIENCE, self.0.next()).await.expect("nothing came")
    }

    /// The next message and the cursor a browser would remember.
    async fn next(&mut self) -> (Value, String) {
        let event = self.event().await.expect("the stream is over");
        assert_eq!(event.event, "message");
        (serde_json::from_str(&event.data).unwrap(), event.id)
    }

    async fn until(&mut self, kind: &str) -> Vec<(Value, String)> {
        let mut all = vec![self.next().await];
        while all.last().unwrap().0["type"] != kind {
            all.push(self.next().await);
        }
        all
    }
}

async fn ask(stage: &Stage, path: &str, last: Option<&str>) -> Response {
    let mut request = reqwest::Client::new().get(stage.url(path)).bearer_auth(token("alice"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    request.send().await.unwrap()
}

async fn poll(stage: &Stage, query: &str) -> (Vec<Value>, String) {
    let answer = tokio::time::timeout(PATIENCE, ask(stage, &format!("/v1/events:poll?{query}"), None)).await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut body: Value = answer.json().await.unwrap();
    let cursor = body["cursors"].as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
    let Value::Array(mut messages) = body["messages"].take() else { panic!("no messages in {body}") };
    assert_eq!(messages.remove(0)["type"], "connected");
    (messages, cursor)
}

fn kinds(messages: &[(Value, String)]) -> Vec<&str> {
    messages.iter().map(|(message, _)| message["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_event_stream_says_what_a_socket_says_and_names_the_place_to_go_on() {
    let stage = Stage::new().await;
    stage.server.submit("A", "alice", "doc").await;
    let mut socket = stage.client("alice").await;
    let mut events = Events::open(&stage, "topic=job/A&minIntervalMs=0", None).await;
    let begin = events.until("live").await;
    assert_eq!(kinds(&begin), ["subscribed", "snapshot", "live"]);
    assert_eq!((begin[1].1.as_str(), begin[2].0["cursor"].as_str()), ("", Some(begin[2].1.as_str())));
    socket.send(json!({"id": 1, "type": "subscribe", "topic": "job/A", "minIntervalMs": 0})).await;
    socket.until("live").await;

    stage.server.started("A");
    stage.server.page("A", 1);
    let told = events.until("page-completed").await;
    assert_eq!(kinds(&told), ["job-started", "zone-completed", "zone-completed", "page-completed"]);
    let same = socket.until("page-completed").await;
    assert!(told.iter().zip(&same).all(|((event, _), message)| event == message));
    // Who is cut within the group gets the whole group again.
    assert_eq!((&told[1].1, &told[2].1), (&told[0].1, &told[0].1));
    assert_eq!(told[3].0["cursor"], told[3].1.as_str());
}

#[tokio::test]
async fn a_browser_that_comes_back_by_itself_misses_nothing() {
    let stage = Stage::new().await;
    let before = stage.server.submit("A", "alice", "doc").await;
    let mut events = Events::open(&stage, &format!("topic=mine&after={before}"), None).await;
    let begin = events.until("live").await;
    assert_eq!((&begin[0].0["mode"], kinds(&begin)), (&json!("resumed"), vec!["subscribed", "job-queued", "live"]));
    let last = begin.last().unwrap().1.clone();
    drop(events);
    stage.metrics_show("connections 0").await;
    stage.server.started("A");
    // The browser repeats the old URL and adds the header.
    let mut events = Events::open(&stage, &format!("topic=mine&after={before}"), Some(&last)).await;
    assert_eq!(kinds(&events.until("live").await), ["subscribed", "job-started", "live"]);
}

#[tokio::test]
async fn one_cursor_leads_from_transport_to_transport() {
    let stage = Stage::new().await;
    stage.server.submit("A", "alice", "doc").await;
    let (messages, cursor) = poll(&stage, "topic=job/A&wait=0").await;
    assert_eq!(types(&messages), ["subscribed", "snapshot", "live"]);
    stage.server.started("A");
    let mut events = Events::open(&stage, "topic=job/A", Some(&cursor)).await;
    let told = events.until("live").await;
    assert_eq!(kinds(&told), ["subscribed", "job-started", "live"]);
    stage.server.page("A", 1);
    let mut socket = stage.client("alice").await;
    let told = socket.follow("job/A", Some(&told[2].1)).await;
    assert_eq!(types(&told), ["subscribed", "zone-completed", "zone-completed", "page-completed", "live"]);
    let cursor = told.last().unwrap()["cursor"].as_str().unwrap();
    stage.server.succeeded("A");
    let (messages, _) = poll(&stage, &format!("topic=job/A&after={cursor}")).await;
    assert_eq!(types(&messages), ["subscribed", "job-completed", "live"]);
}

#[tokio::test]
async fn a_poll_waits_for_news_and_no_longer_than_asked() {
    let stage = Stage::new().await;
    stage.server.submit("A", "alice", "doc").await;
    let (_, cursor) = poll(&stage, "topic=mine&wait=0").await;
    let (messages, again) = poll(&stage, &format!("topic=mine&wait=0&after={cursor}")).await;
    assert_eq!((types(&messages), &again), (vec!["subscribed", "live"], &cursor));
    let query = format!("topic=mine&after={cursor}");
    let waiting = poll(&stage, &query);
    let happens = async {
        stage.server.open_watches(1).await;
        stage.metrics_show("subscriptions 1").await;
        stage.server.started("A");
    };
    let ((messages, next), ()) = tokio::join!(waiting, happens);
    assert!(types(&messages).contains(&"job-started"), "{messages:?}");
    assert_ne!(next, cursor);
    stage.metrics_show("connections 0").await;
}

#[tokio::test]
async fn a_cursor_that_is_too_old_gets_snapshots_and_says_why() {
    let stage = Stage::before(RealServer::without_history().await, |_| {}).await;
    let old = stage.server.submit("A", "alice", "doc").await;
    stage.server.started("A");
    stage.server.settled().await;
    let (messages, cursor) = poll(&stage, &format!("topic=mine&after={old}")).await;
    assert_eq!(types(&messages), ["subscribed", "snapshot", "live"]);
    assert_eq!(messages[0]["reason"], "HISTORY_TRIMMED");
    assert_eq!(messages[2]["cursor"], cursor.as_str());
}

#[tokio::test]
async fn what_cannot_be_followed_is_a_plain_error() {
    let stage = Stage::new().await;
    stage.server.submit("SECRET", "bob", "doc").await;
    for transport in ["/v1/events", "/v1/events:poll"] {
        let mut answers = Vec::new();
        for id in ["SECRET", "NOTHIN"] {
            let answer = ask(&stage, &format!("{transport}?topic=job/{id}"), None).await;
            answers.push((answer.status().as_u16(), answer.text().await.unwrap()));
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0].0, 404);
        for (query, status, code) in [
            ("topic=jobs", 400, "INVALID_FIELD"),
            ("topic=mine&since=1", 400, "INVALID_FIELD"),
            ("topic=mine&after=nonsense", 400, "CURSOR_INVALID"),
        ] {
            let answer = ask(&stage, &format!("{transport}?{query}"), None).await;
            let body = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
            assert_eq!((body.0, body.1["code"].as_str()), (status, Some(code)), "{query}");
        }
        let stranger = reqwest::get(stage.url(&format!("{transport}?topic=mine"))).await.unwrap();
        assert_eq!(stranger.status(), 401);
    }
    stage.metrics_show("connections 0").await;
}

#[tokio::test]
async fn one_request_follows_many_topics_each_from_its_place() {
    let stage = Stage::new().await;
    stage.server.submit("A", "alice", "doc").await;
    stage.server.submit("SECRET", "bob", "doc").await;
    let after = stage.server.head();
    stage.server.submit("B", "alice", "doc").await;
    let query = format!("topic=job/A&topic=mine&after={after}&topic=job/SECRET");
    let mut events = Events::open(&stage, &query, None).await;
    let mut begin = Vec::new();
    for _ in 0..7 {
        let (message, id) = events.next().await;
        assert_eq!(id, "", "with several topics there is no one place");
        begin.push(message);
    }
    let of = |topic: &str| {
        types(&begin.iter().filter(|message| message["topic"] == topic).cloned().collect::<Vec<_>>()).join(" ")
    };
    assert_eq!(of("job/A"), "subscribed snapshot live");
    assert_eq!(of("mine"), "subscribed job-queued live");
    assert_eq!(of("job/SECRET"), "error");

    let answer = ask(&stage, &format!("/v1/events:poll?{query}"), None).await.json::<Value>().await.unwrap();
    assert_eq!(answer["messages"].as_array().unwrap().len(), 8);
    let cursors = &answer["cursors"];
    assert_eq!(cursors["job/SECRET"], Value::Null);
    let query = format!(
        "topic=job/A&after={}&topic=mine&after={}",
        cursors["job/A"].as_str().unwrap(),
        cursors["mine"].as_str().unwrap()
    );
    stage.server.started("A");
    let answer = ask(&stage, &format!("/v1/events:poll?{query}"), None).await.json::<Value>().await.unwrap();
    let started = |message: &&Value| message["type"] == "job-started";
    assert_eq!(answer["messages"].as_array().unwrap().iter().filter(started).count(), 2);
}

#[tokio::test]
async fn who_follows_nothing_yet_is_greeted() {
    let stage = Stage::new().await;
    let answer = ask(&stage, "/v1/events:poll", None).await.json::<Value>().await.unwrap();
    assert_eq!((&answer["messages"][0]["user"], &answer["cursors"]), (&json!("alice"), &json!({})));
    Events::open(&stage, "", None).await;
}

#[tokio::test]
async fn silence_is_broken_by_a_ping_that_a_script_can_see() {
    let stage = Stage::with(|config| config.times.client_ping = Duration::from_millis(20)).await;
    let mut events = Events::open(&stage, "topic=mine", None).await;
    events.until("live").await;
    let ping = events.event().await.unwrap();
    assert_eq!((ping.event.as_str(), ping.data.as_str()), ("ping", "{}"));
}

#[tokio::test]
async fn the_stream_ends_with_the_token_and_with_the_bridge_and_says_so() {
    let stage = Stage::new().await;
    let short = token_for("alice", &[], Duration::from_secs(2));
    let answer = reqwest::Client::new().get(stage.url("/v1/events?topic=mine")).bearer_auth(short).send();
    let events = answer.await.unwrap().bytes_stream().eventsource();
    let said: Vec<Value> = events.map(|event| serde_json::from_str(&event.unwrap().data).unwrap()).collect().await;
    assert_eq!(types(&said), ["connected", "subscribed", "live", "auth-expiring", "auth-error", "closing"]);
    assert_eq!(said[5]["code"], 4401);

    let mut events = Events::open(&stage, "topic=mine", None).await;
    events.until("live").await;
    stage.shutdown.drain();
    assert_eq!(kinds(&events.until("closing").await), ["draining", "closing"]);
    assert!(events.event().await.is_none());
    stage.bridge.await.unwrap().unwrap();
}

/// With a small buffer in the kernel.
async fn reader_that_does_not_read(stage: &Stage) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut socket = socket.connect(stage.address).await.unwrap();
    let head =
        format!("GET /v1/events?topic=job/A HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", token("alice"));
    socket.write_all(head.as_bytes()).await.unwrap();
    socket
}

#[tokio::test]
async fn a_reader_that_stops_reading_is_let_go_and_costs_the_others_nothing() {
    let stage = Stage::with(|config| config.limits.outbox_bytes = 64 << 10).await;
    stage.server.submit("A", "alice", "doc").await;
    let stuck = reader_that_does_not_read(&stage).await;
    stage.metrics_show("subscriptions 1").await;
    let mut reader = Events::open(&stage, "topic=job/A", None).await;
    reader.until("live").await;
    stage.server.started("A");
    while !stage.metrics().await.contains("courant_bridge_too_slow_total 1\n") {
        for _ in 0..20 {
            (0..10).for_each(|_| {
                stage.server.page("A", 1);
            });
            for _ in 0..10 {
                reader.until("page-completed").await;
            }
        }
    }
    drop(stuck);
    stage.server.succeeded("A");
    assert_eq!(kinds(&reader.until("job-completed").await), ["job-completed"]);
}
