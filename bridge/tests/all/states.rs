//! Stories of `queue` and `admin`: what is pushed, to whom, and by which cursor one goes on.

use std::time::Duration;

use crate::support::client::types;
use crate::support::{Client, PATIENCE, RealServer, Stage, token, token_for};
use courant_auth::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

fn root() -> String {
    token_for("root", &[Role::Admin], Duration::from_secs(3600))
}

/// The version of all programs.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Reads up to the state of the queue in which so many jobs wait.
async fn waiting(client: &mut Client, jobs: u64) -> Value {
    loop {
        let state = client.until("queue-status").await.pop().unwrap();
        if state["queue"]["lanes"][0]["waiting"] == jobs {
            return state;
        }
    }
}

async fn call(stage: &Stage, method: Method, path: &str, token: &str) -> (StatusCode, Value) {
    let request = reqwest::Client::new().request(method, stage.url(path)).bearer_auth(token);
    let answer = request.send().await.unwrap();
    let status = answer.status();
    (status, answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn the_queue_is_pushed_to_everybody_from_one_watch() {
    let stage = Stage::new().await;
    stage.server.submit("A", "alice", "doc").await;
    let (mut alice, mut bob) = (stage.client("alice").await, stage.client("bob").await);
    for client in [&mut alice, &mut bob] {
        let begin = client.follow("queue", None).await;
        assert_eq!(types(&begin), ["subscribed", "queue-status", "live"]);
        assert_eq!(begin[1]["queue"]["lanes"][0]["waiting"], 1);
        assert_eq!(begin[1]["queue"]["lanes"][0]["lane"], "normal");
        assert_eq!(begin[1]["cursor"], begin[2]["cursor"]);
    }
    stage.server.submit("B", "alice", "doc").await;
    assert_eq!(waiting(&mut alice, 2).await, waiting(&mut bob, 2).await);
    stage.metrics_show("topics 1").await;
    alice.send(json!({"type": "unsubscribe", "topic": "queue"})).await;
    drop((alice, bob));
    stage.metrics_show("subscriptions 0").await;
}

#[tokio::test]
async fn a_known_state_is_not_told_again_on_any_transport_and_another_one_is_told_whole() {
    let stage = Stage::new().await;
    let begin = stage.client("alice").await.follow("queue", None).await;
    let known = begin[2]["cursor"].as_str().unwrap().to_owned();

    let again = stage.client("alice").await.follow("queue", Some(&known)).await;
    assert_eq!((types(&again), &again[0]["mode"]), (vec!["subscribed", "live"], &json!("resumed")));
    let path = format!("/v1/events:poll?topic=queue&after={known}&wait=0");
    let (_, poll) = call(&stage, Method::GET, &path, &token("alice")).await;
    assert_eq!(types(poll["messages"].as_array().unwrap()), ["connected", "subscribed", "live"]);
    assert_eq!(poll["cursors"]["queue"], known);

    // A poll that waits is answered by the change.
    let path = format!("/v1/events:poll?topic=queue&after={known}&minIntervalMs=0");
    let token = token("alice");
    let waiting = call(&stage, Method::GET, &path, &token);
    let change = async {
        stage.metrics_show("subscriptions 1").await;
        stage.server.submit("A", "alice", "doc").await;
    };
    let ((_, poll), ()) = tokio::time::timeout(PATIENCE, async { tokio::join!(waiting, change) }).await.unwrap();
    let told = poll["messages"].as_array().unwrap();
    assert_eq!(told.last().unwrap()["queue"]["lanes"][0]["waiting"], 1);
    assert_eq!(poll["cursors"]["queue"], told.last().unwrap()["cursor"]);

    let other = stage.client("alice").await.follow("queue", Some(&known)).await;
    assert_eq!((types(&other), &other[0]["mode"]), (vec!["subscribed", "queue-status", "live"], &json!("snapshot")));
    let odd = stage.client("alice").await.follow("queue", Some("at-100")).await;
    assert_eq!(types(&odd), ["subscribed", "queue-status", "live"]);
}

#[tokio::test]
async fn waiting_longer_is_no_change_but_is_told() {
    // States that did not change are sent as often as bookmarks.
    let stage = Stage::before(RealServer::with_bookmarks().await, |_| {}).await;
    stage.server.submit("A", "alice", "doc").await;
    let mut client = stage.client("alice").await;
    let begin = client.follow("queue", None).await;
    let waited = |message: &Value| message["queue"]["lanes"][0]["oldestWait"].as_f64().unwrap();
    let next = client.next().await;
    assert!(waited(&next) > waited(&begin[1]), "{begin:?} {next}");
    assert_eq!(next["cursor"], begin[1]["cursor"]);
}

#[tokio::test]
async fn only_admins_follow_admin_and_it_ends_with_the_role_alone() {
    let stage = Stage::new().await;
    let mut alice = stage.client("alice").await;
    for command in [json!({"type": "subscribe", "topic": "admin"}), json!({"type": "subscribe-admin"})] {
        let mut command = command;
        command["id"] = 5.into();
        assert_eq!(alice.ask(command).await["code"], "ROLE_REQUIRED");
    }
    let refused = alice.ask(json!({"id": 6, "type": "request-system-metrics"})).await;
    assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!("ROLE_REQUIRED")));
    let (status, _) = call(&stage, Method::GET, "/v1/events?topic=admin", &token("alice")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);

    let mut admin = stage.admin().await;
    admin.send(json!({"id": 1, "type": "subscribe-admin", "minIntervalMs": 0})).await;
    let begin = admin.until("live").await;
    let mut kinds = types(&begin);
    kinds.sort_unstable();
    assert_eq!(kinds, ["audit", "connections", "live", "subscribed", "system-metrics", "workers"]);
    assert!(begin.iter().any(|message| message["metrics"]["version"] == VERSION));
    admin.follow("queue", None).await;
    let figures = admin.ask(json!({"id": 9, "type": "request-system-metrics"})).await;
    assert_eq!((&figures["type"], &figures["metrics"]["version"]), (&json!("system-metrics"), &json!(VERSION)));

    admin.send(json!({"id": 2, "type": "auth", "token": token("root")})).await;
    let ended = admin.until("unsubscribed").await;
    let last = ended.last().unwrap();
    assert_eq!((&last["topic"], &last["code"]), (&json!("admin"), &json!("ROLE_REQUIRED")));
    stage.server.submit("A", "alice", "doc").await;
    waiting(&mut admin, 1).await;
}

#[tokio::test]
async fn admins_see_connections_by_topic_and_what_is_done() {
    let stage = Stage::new().await;
    stage.server.submit("A", "alice", "doc").await;
    let mut alice = stage.client("alice").await;
    alice.follow("mine", None).await;
    let mut admin = stage.admin().await;
    admin.follow("admin", None).await;
    let (status, _) = call(&stage, Method::POST, "/v1/jobs/A:cancel", &token("alice")).await;
    assert_eq!(status, StatusCode::OK);
    let audit = loop {
        let message = admin.until("audit").await.pop().unwrap();
        if message["entries"].as_array().unwrap().iter().any(|entry| entry["action"] == "cancelled") {
            break message;
        }
    };
    let entries = audit["entries"].as_array().unwrap();
    let cancelled = entries.iter().find(|entry| entry["action"] == "cancelled").unwrap();
    assert_eq!((&cancelled["user"], &cancelled["target"]), (&json!("alice"), &json!("A")));
    assert!(!audit.to_string().contains(&token("alice")));
    drop(alice);
    let left = async {
        loop {
            let message = admin.until("connections").await.pop().unwrap();
            let connections = &message["connections"];
            if connections["total"] == 1 && connections["byKind"] == json!({"admin": 1}) {
                return connections["byUser"].clone();
            }
        }
    };
    let users = tokio::time::timeout(PATIENCE, left).await.unwrap();
    assert_eq!(users, json!([{"name": "root", "connections": 1}]));
}

#[tokio::test]
async fn a_lost_feed_is_told_and_taken_up_again() {
    let stage = Stage::with(|config| config.times.backoff = Duration::from_millis(20)).await;
    let mut client = stage.client("alice").await;
    client.follow("queue", None).await;
    stage.server.cut();
    // The server sends the state at once when it is asked again: the subscriber sees only that.
    assert_eq!(client.next().await["type"], "queue-status");
}

#[tokio::test]
async fn while_the_server_is_away_nobody_waits_for_ever() {
    let stage = Stage::not_ready(RealServer::start().await, |config| {
        config.server = "http://127.0.0.1:9".into();
        config.times.backoff = Duration::from_millis(20);
    })
    .await;
    let refused = stage.client("alice").await.ask(json!({"id": 1, "type": "subscribe", "topic": "queue"})).await;
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("SERVER_UNAVAILABLE"), &json!(true)));
}

#[tokio::test]
async fn operators_calls_go_through_and_are_theirs_alone() {
    let stage = Stage::new().await;
    stage.server.submit("A", "alice", "doc").await;
    let _worker = stage.server.worker().await;
    let (status, body) = call(&stage, Method::POST, "/v1/workers/w-1:drain", &root()).await;
    assert_eq!((status, &body["worker"]["draining"]), (StatusCode::OK, &json!(true)));
    let (_, body) = call(&stage, Method::POST, "/v1/workers/w-1:resume", &root()).await;
    assert_eq!(body["worker"]["draining"], false);
    let (_, body) = call(&stage, Method::GET, "/v1/workers", &root()).await;
    assert_eq!(body["workers"][0]["workerId"], "w-1");
    let (_, body) = call(&stage, Method::GET, "/v1/system", &root()).await;
    assert_eq!(body["metrics"]["version"], VERSION);
    for (method, path) in [
        (Method::POST, "/v1/workers/w-1:drain"),
        (Method::POST, "/v1/workers/w-1:resume"),
        (Method::GET, "/v1/workers"),
        (Method::GET, "/v1/system"),
    ] {
        let (status, body) = call(&stage, method, path, &token("alice")).await;
        assert_eq!((status, &body["code"]), (StatusCode::FORBIDDEN, &json!("ROLE_REQUIRED")), "{path}");
    }
    let (status, _) = call(&stage, Method::POST, "/v1/workers/w-1:dance", &root()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn batches_quotas_the_queue_and_deletion_are_plain_http() {
    let stage = Stage::new().await;
    stage.server.submit("A", "alice", "doc").await;
    for _ in 0..2 {
        let submit = reqwest::Client::new().post(stage.url("/v1/jobs?batchId=b%2F1")).bearer_auth(token("alice"));
        assert_eq!(submit.body("%PDF-1.7").send().await.unwrap().status(), StatusCode::CREATED);
    }
    let (status, body) = call(&stage, Method::GET, "/v1/batches/b%2F1", &token("alice")).await;
    assert_eq!((status, &body["batch"]["batchId"]), (StatusCode::OK, &json!("b/1")));
    let (_, body) = call(&stage, Method::POST, "/v1/batches/b%2F1:cancel", &token("alice")).await;
    assert_eq!(body["jobsCancelled"], 2);
    let (_, body) = call(&stage, Method::GET, "/v1/queue", &token("alice")).await;
    assert_eq!((&body["queue"]["workersTotal"], &body["queue"]["lanes"][0]["waiting"]), (&json!(0), &json!(1)));
    let (_, body) = call(&stage, Method::GET, "/v1/quota", &token("alice")).await;
    let waiting = &body["quotas"][0];
    assert_eq!((&waiting["name"], &waiting["used"]), (&json!("jobs-waiting"), &json!(1)), "{body}");
    let (status, _) = call(&stage, Method::DELETE, "/v1/jobs/A", &token("bob")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    call(&stage, Method::POST, "/v1/jobs/A:cancel", &token("alice")).await;
    let (status, _) = call(&stage, Method::DELETE, "/v1/jobs/A", &token("alice")).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, _) = call(&stage, Method::GET, "/v1/jobs/A", &token("alice")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
