//! Stories of a bridge that stops: in order, at once, or because it cannot go on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::program::Program;
use crate::support::{PATIENCE, RealServer, Stage, token};
use rustix::process::{Signal, kill_process};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn it_serves_on_while_it_says_that_it_is_not_ready() {
    let stage = Stage::with(|config| config.times.lame_duck = Duration::from_secs(3600)).await;
    let mut old = stage.client("alice").await;
    stage.shutdown.drain();
    stage.ready(503).await;
    // Those who are there are told nothing yet, and who still comes is served.
    assert_eq!(old.ask(json!({"id": 1, "type": "ping"})).await["type"], "pong");
    stage.client("bob").await.follow("mine", None).await;
    let listed = reqwest::Client::new().get(stage.url("/v1/jobs")).bearer_auth(token("bob")).send().await.unwrap();
    assert_eq!(listed.status(), 200);
    // The second level ends it in the middle of all this.
    stage.shutdown.end();
    tokio::time::timeout(Duration::from_secs(10), stage.bridge).await.expect("it hangs").unwrap().unwrap();
}

#[tokio::test]
async fn a_person_who_stops_it_does_not_wait_for_load_balancers() {
    let stage = Stage::with(|config| config.times.lame_duck = Duration::from_secs(3600)).await;
    stage.shutdown.drain_at_once();
    tokio::time::timeout(PATIENCE, stage.bridge).await.expect("it serves on as a lame duck").unwrap().unwrap();
}

#[tokio::test]
async fn what_is_under_way_finishes_after_nothing_new_is_taken() {
    let stage = Stage::with(|config| config.times.drain = PATIENCE).await;
    let mut upload = TcpStream::connect(stage.address).await.unwrap();
    let head = format!(
        "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 10\r\n\r\n01234",
        token("alice")
    );
    upload.write_all(head.as_bytes()).await.unwrap();
    let mut client = stage.client("alice").await;
    stage.shutdown.drain();
    assert_eq!(client.read_to_end().await.1, 4503);
    let closed = async { while TcpStream::connect(stage.address).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, closed).await.expect("it still listens");
    upload.write_all(b"56789").await.unwrap();
    let mut answer = String::new();
    upload.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    drop(client);
    tokio::time::timeout(PATIENCE, stage.bridge).await.expect("it hangs").unwrap().unwrap();
}

#[tokio::test]
async fn a_background_task_that_breaks_ends_the_bridge_with_the_reason() {
    let stage = Stage::not_ready(RealServer::start().await, |config| {
        config.server_token = Arc::new(|| panic!("no key"));
    })
    .await;
    let ended = tokio::time::timeout(PATIENCE, stage.bridge).await.expect("it goes on").unwrap();
    let reason = ended.unwrap_err().to_string();
    assert!(reason.contains("presence panicked: no key"), "{reason}");
}

#[tokio::test]
async fn the_program_drains_at_the_first_signal_and_ends_at_the_second() {
    let server = RealServer::start().await;
    let flags = ["--lame-duck", "1h", "--log", "info,courant_bridge=debug"];
    let mut bridge = Program::start(&server, "", &flags);
    let address = bridge.address().await;
    bridge.says("server available").await;
    kill_process(bridge.pid(), Signal::TERM).unwrap();
    bridge.says("not ready, still serving").await;
    let probe = |path: &str| reqwest::get(format!("http://{address}{path}"));
    assert_eq!(probe("/readyz").await.unwrap().status(), 503);
    assert_eq!(probe("/livez").await.unwrap().status(), 200);
    // Both may be stopped together: nobody is warned of that.
    server.go_away();
    let line = bridge.says(" server unavailable").await;
    assert!(line.contains("DEBUG"), "{line}");
    let begun = Instant::now();
    kill_process(bridge.pid(), Signal::TERM).unwrap();
    let status = bridge.ended().await;
    assert!(status.success() && begun.elapsed() < Duration::from_secs(10), "{status}");
}
