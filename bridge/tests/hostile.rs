//! Stories of one user who takes all that can be had, and of another who must not notice.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Client, Stage, token};

/// What the second user waits for at most, on a machine with other things to do.
const SOON: Duration = Duration::from_secs(1);

/// The second user lists jobs, opens a WebSocket, and follows a topic: all of it soon. Gives back the slowest.
async fn bob_is_served(stage: &Stage) {
    let begun = Instant::now();
    let jobs = reqwest::Client::new().get(stage.url("/v1/jobs")).bearer_auth(token("bob")).send().await.unwrap();
    assert_eq!(jobs.status(), 200);
    let listed = begun.elapsed();
    let mut bob = stage.client("bob").await;
    let signed_in = begun.elapsed();
    bob.follow("mine", None).await;
    let followed = begun.elapsed();
    assert!(followed < SOON, "listed after {listed:?}, signed in after {signed_in:?}, followed after {followed:?}");
    assert_eq!(reqwest::get(stage.url("/readyz")).await.unwrap().status(), 200);
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

#[tokio::test]
async fn forty_sockets_full_of_invented_topics_leave_the_bridge_to_others() {
    let stage = Stage::with(|config| {
        config.limits.messages_per_second = 10_000;
        config.limits.per_user_per_second = 100_000;
    })
    .await;
    stage.ready(200).await;
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(stage.client("mallory").await);
    }
    let attack = futures::future::join_all(clients.iter_mut().enumerate().map(|(number, client)| async move {
        invent(client, &number.to_string(), 128).await
    }));
    let watch = async {
        for _ in 0..20 {
            bob_is_served(&stage).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (refused, ()) = tokio::join!(attack, watch);
    let refused: Vec<_> = refused.into_iter().flatten().collect();
    // 40 × 128 were asked for, and one user may have 1,000.
    assert_eq!(refused.len(), 40 * 128 - 1000);
    let error = &refused[0];
    assert_eq!((&error["code"], &error["retryable"]), (&json!("TOO_MANY"), &json!(true)));
    assert!(error["message"].as_str().unwrap().contains("1000 topics"), "{error}");
    bob_is_served(&stage).await;
    // The connections stay, and what is given back can be had again.
    assert_eq!(clients[0].ask(json!({"id": 1, "type": "ping"})).await["type"], "pong");
    let full = clients.iter_mut().next_back().unwrap();
    assert_eq!(invent(full, "more", 1).await.len(), 1);
    clients.remove(0).socket.close(None).await.unwrap();
    stage.metrics_show("connections 39").await;
    assert_eq!(invent(clients.last_mut().unwrap(), "more", 1).await, Vec::<Value>::new());
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
    let mut mallory = stage.client("mallory").await;
    let mut refused = 0;
    for topic in 0..60 {
        refused += invent(&mut mallory, &format!("{topic}"), 1).await.len();
        mallory.ask(json!({"id": 99, "type": "unsubscribe", "topic": format!("batch/{topic}-0")})).await;
    }
    assert!(refused >= 40, "{refused}");
    bob_is_served(&stage).await;
}
