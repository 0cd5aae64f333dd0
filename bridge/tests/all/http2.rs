//! Stories of browsers that speak HTTP/2: many event streams on one connection, and what is bounded on it.

use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use courant_auth::Role;
use courant_bridge::Config;
use eventsource_stream::{Event, Eventsource};
use futures::{Stream, StreamExt};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use crate::support::tls::{Certificate, HTTP_1_1, HTTP_2, agreed};
use crate::support::{PATIENCE, RealServer, Stage, token, token_for};

/// A bridge under TLS.
struct SecureStage {
    stage: Stage,
    certificate: Certificate,
}

impl SecureStage {
    async fn with(adjust: impl FnOnce(&mut Config)) -> Self {
        let certificate = Certificate::new();
        let tls = certificate.server();
        let stage = Stage::not_ready(RealServer::start().await, |config| {
            config.tls = Some(tls);
            adjust(config);
        })
        .await;
        let stage = Self { stage, certificate };
        let ready = async {
            let mut browser = stage.browser().await;
            while browser.get("/readyz", None).await.status() != StatusCode::OK {}
        };
        tokio::time::timeout(PATIENCE, ready).await.expect("never ready");
        stage
    }

    async fn browser(&self) -> Browser {
        Browser::over(self.certificate.connect(self.stage.address, &[HTTP_2, HTTP_1_1]).await).await
    }

    async fn browser_elsewhere(&self) -> Browser {
        Browser::over(self.certificate.connect_from_elsewhere(self.stage.address, &[HTTP_2, HTTP_1_1]).await).await
    }

    /// Another user on a connection and from an address of its own lists jobs and follows a topic.
    async fn bob_is_served(&self) {
        let served = async {
            let mut bob = self.browser_elsewhere().await;
            assert_eq!(bob.get("/v1/jobs", Some("bob")).await.status(), StatusCode::OK);
            bob.follow("mine", "bob").await.until("live").await;
        };
        tokio::time::timeout(PATIENCE, served).await.expect("the second user is shut out");
    }
}

/// One HTTP/2 connection.
struct Browser {
    requests: SendRequest<Body>,
    connection: JoinHandle<hyper::Result<()>>,
}

impl Browser {
    async fn over(socket: tokio_rustls::client::TlsStream<tokio::net::TcpStream>) -> Self {
        assert_eq!(agreed(&socket), Some(HTTP_2));
        let (requests, connection) = handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
        Self { requests, connection: tokio::spawn(connection) }
    }

    async fn send(&mut self, request: http::request::Builder) -> Response<Incoming> {
        self.requests.ready().await.unwrap();
        let answer = self.requests.send_request(request.body(Body::empty()).unwrap());
        tokio::time::timeout(PATIENCE, answer).await.expect("no answer").unwrap()
    }

    async fn get(&mut self, path: &str, user: Option<&str>) -> Response<Incoming> {
        self.send(get(path, user)).await
    }

    async fn follow(&mut self, topic: &str, user: &str) -> Events {
        let answer = self.get(&format!("/v1/events?topic={topic}"), Some(user)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let bytes = answer.into_body().into_data_stream();
        Events(Box::pin(bytes.eventsource().map(|event| event.unwrap())))
    }

    /// Waits until the bridge has ended the connection.
    async fn ended(self) -> hyper::Result<()> {
        tokio::time::timeout(PATIENCE, self.connection).await.expect("the connection stays").unwrap()
    }
}

fn get(path: &str, user: Option<&str>) -> http::request::Builder {
    let request = Request::get(format!("https://localhost{path}"));
    user.into_iter().fold(request, |request, user| request.header("authorization", format!("Bearer {}", token(user))))
}

async fn json_of(answer: Response<Incoming>) -> Value {
    serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

/// An event stream.
struct Events(Pin<Box<dyn Stream<Item = Event> + Send>>);

impl Events {
    async fn next(&mut self) -> Option<Value> {
        let event = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("nothing came")?;
        Some(serde_json::from_str(&event.data).unwrap())
    }

    async fn until(&mut self, kind: &str) -> Value {
        let found = async {
            loop {
                let message = self.next().await.expect("the stream is over");
                if message["type"] == kind {
                    return message;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("no {kind} came"))
    }
}

#[tokio::test]
async fn twenty_event_streams_share_a_connection_and_end_in_order_when_the_bridge_drains() {
    let stage = SecureStage::with(|config| {
        config.limits.sockets = 3;
        config.times.drain = PATIENCE;
    })
    .await;
    let mut alice = stage.browser().await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut events = alice.follow("mine", "alice").await;
        events.until("live").await;
        streams.push(events);
    }
    stage.stage.server.submit("A", "alice", "doc").await;
    for events in &mut streams {
        assert_eq!(events.until("job-queued").await["jobId"], "A");
    }
    // Other requests go on beside them, and each stream counts as the connection it would be with HTTP/1.1.
    let metrics = async |browser: &mut Browser| {
        let admin = token_for("root", &[Role::Admin], Duration::from_secs(60));
        let request = get("/metrics", None).header("authorization", format!("Bearer {admin}"));
        String::from_utf8(browser.send(request).await.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
    };
    assert!(metrics(&mut alice).await.contains("courant_bridge_connections 20\n"));
    stage.bob_is_served().await;
    streams.truncate(5);
    let fewer = async { while !metrics(&mut alice).await.contains("courant_bridge_connections 5\n") {} };
    tokio::time::timeout(PATIENCE, fewer).await.expect("streams that ended still count");

    stage.stage.shutdown.drain();
    for events in &mut streams {
        events.until("draining").await;
        events.until("closing").await;
        assert_eq!(events.next().await, None);
    }
    // GOAWAY without an error.
    alice.ended().await.unwrap();
    tokio::time::timeout(PATIENCE, stage.stage.bridge).await.expect("it hangs").unwrap().unwrap();
}

#[tokio::test]
async fn limits_of_a_user_count_each_stream_and_not_the_connection() {
    let stage = SecureStage::with(|config| config.limits.connections_per_user = 3).await;
    let mut alice = stage.browser().await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(alice.follow("mine", "alice").await);
    }
    let refused = alice.get("/v1/events?topic=mine", Some("alice")).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(json_of(refused).await["code"], "TOO_MANY");
    // What is refused ends nothing else on the connection.
    assert_eq!(alice.get("/v1/jobs", Some("alice")).await.status(), StatusCode::OK);
    stage.bob_is_served().await;
    for events in &mut streams {
        events.until("live").await;
    }
}

#[tokio::test]
async fn more_requests_at_once_than_a_connection_may_have_wait_for_the_others() {
    let stage = SecureStage::with(|config| config.limits.http2_streams = 4).await;
    let mut alice = stage.browser().await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut events = alice.follow("mine", "alice").await;
        events.until("live").await;
        streams.push(events);
    }
    let (mut requests, waits) = (alice.requests.clone(), get("/v1/jobs", Some("alice")).body(Body::empty()).unwrap());
    let mut waits = tokio::spawn(async move {
        requests.ready().await?;
        requests.send_request(waits).await
    });
    stage.bob_is_served().await;
    assert!(futures::poll!(&mut waits).is_pending());
    streams.pop();
    let answer = tokio::time::timeout(PATIENCE, waits).await.expect("it waits for ever").unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn pages_and_cookies_are_judged_as_with_http1() {
    let stage = SecureStage::with(|_| {}).await;
    let mut browser = stage.browser().await;
    // Browsers send each cookie by itself (RFC 9113, section 8.2.3).
    let session = format!("__Host-courant={}", token("alice"));
    let ask = |origin| {
        let request = get("/v1/session", None).header("cookie", "theme=dark").header("cookie", &session);
        request.header("origin", origin)
    };
    let answer = browser.send(ask("https://localhost")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(json_of(answer).await["user"], "alice");
    // The authority is the host that was asked for, whatever a header says.
    let forged = ask("https://evil.example").header("host", "evil.example");
    assert_eq!(browser.send(forged).await.status(), StatusCode::FORBIDDEN);
    let large = get("/livez", None).header("x-large", "x".repeat(60_000));
    assert_eq!(browser.send(large).await.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(browser.get("/livez", None).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn websockets_come_by_http1_beside_it() {
    let stage = SecureStage::with(|_| {}).await;
    let mut browser = stage.browser().await;
    let refused = browser.get("/ws", None).await;
    assert_eq!(refused.status(), StatusCode::UPGRADE_REQUIRED);
    assert_eq!(json_of(refused).await["code"], "UPGRADE_REQUIRED");
    // As browsers do where HTTP/2 has no way for a WebSocket (RFC 8441).
    for protocols in [&[HTTP_1_1][..], &[]] {
        let socket = stage.certificate.connect(stage.stage.address, protocols).await;
        assert_ne!(agreed(&socket), Some(HTTP_2));
        let (mut socket, _) = tokio_tungstenite::client_async("wss://localhost/ws", socket).await.unwrap();
        let auth = json!({"id": 1, "type": "auth", "token": token("alice")}).to_string();
        futures::SinkExt::send(&mut socket, tokio_tungstenite::tungstenite::Message::text(auth)).await.unwrap();
        let answer = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
        assert!(answer.to_text().unwrap().contains("\"connected\""), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_without_requests_is_ended_and_one_with_an_event_stream_stays() {
    let stage = SecureStage::with(|config| {
        config.times.header = Duration::from_millis(200);
        config.times.close = Duration::from_millis(100);
        config.times.client_ping = Duration::from_millis(300);
    })
    .await;
    let (mut follows, mut idle) = (stage.browser().await, stage.browser().await);
    let mut events = follows.follow("queue", "alice").await;
    assert_eq!(idle.get("/livez", None).await.status(), StatusCode::OK);
    idle.ended().await.unwrap();
    // Somebody who says nothing at all is let go as well.
    let mut silent = stage.certificate.connect(stage.stage.address, &[HTTP_2]).await;
    let closed = async { while silent.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {} };
    tokio::time::timeout(PATIENCE, closed).await.expect("it stays open");
    for _ in 0..5 {
        let ping = tokio::time::timeout(PATIENCE, events.0.next()).await.expect("nothing came");
        assert!(ping.is_some(), "the stream is over");
    }
    assert_eq!(follows.get("/livez", None).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_flood_of_requests_that_are_taken_back_ends_its_connection_alone() {
    let stage = SecureStage::with(|_| {}).await;
    let mut bob = stage.browser().await;
    let mut events = bob.follow("mine", "bob").await;
    events.until("live").await;
    let mut mallory = stage.certificate.connect_from_elsewhere(stage.stage.address, &[HTTP_2]).await;
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    flood.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    for number in 0..500_u32 {
        let stream = (2 * number + 1).to_be_bytes();
        // HEADERS: GET https://x/; then RST_STREAM: CANCEL.
        flood.extend([0, 0, 6, 1, 5]);
        flood.extend(stream);
        flood.extend([0x82, 0x87, 0x84, 0x41, 1, b'x']);
        flood.extend([0, 0, 4, 3, 0]);
        flood.extend(stream);
        flood.extend([0, 0, 0, 8]);
    }
    mallory.write_all(&flood).await.unwrap();
    let mut said = Vec::new();
    let read = tokio::time::timeout(PATIENCE, mallory.read_to_end(&mut said)).await;
    read.expect("the connection stays").ok();
    // GOAWAY: ENHANCE_YOUR_CALM.
    let goaway = said.windows(9).any(|frame| frame[3] == 7 && frame[4..9] == [0; 5]);
    assert!(goaway && said.windows(4).any(|code| code == [0, 0, 0, 11]), "{said:?}");
    stage.stage.server.submit("B", "bob", "doc").await;
    events.until("job-queued").await;
    assert_eq!(bob.get("/livez", None).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn everybody_in_a_storm_under_tls_who_finds_no_place_is_told_so() {
    let stage = SecureStage::with(|config| {
        config.limits.sockets = 60;
        config.limits.sockets_per_address = 20;
        config.times.header = Duration::from_secs(3600);
    })
    .await;
    let elsewhere = |protocols| stage.certificate.connect_from_elsewhere(stage.stage.address, protocols);
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(elsewhere(&[HTTP_2]).await);
    }
    let storm = (0..100).map(|_| async {
        let mut socket = elsewhere(&[HTTP_2, HTTP_1_1]).await;
        assert_eq!(agreed(&socket), Some(HTTP_1_1));
        socket.write_all(b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut text = String::new();
        let read = tokio::time::timeout(PATIENCE, socket.read_to_string(&mut text)).await.expect("no answer");
        (read.is_ok(), text)
    });
    let bob = async {
        let mut bob = stage.browser().await;
        assert_eq!(bob.get("/v1/jobs", Some("bob")).await.status(), StatusCode::OK);
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(storm), bob);
    for (whole, text) in answers {
        assert!(whole && text.starts_with("HTTP/1.1 429") && text.contains("retry-after: 1"), "{text}");
    }
}
