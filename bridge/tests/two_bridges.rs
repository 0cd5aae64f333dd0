//! Stories of two bridges before one core: a client may leave one and go on at the other.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

mod support;

use courant_proto::v1::job_event::Change;
use courant_proto::v1::{JobStarted, JobState, JobSucceeded};
use serde_json::{Value, json};
use support::Stage;
use support::client::types;

fn cursor(messages: &[Value]) -> String {
    messages.iter().rev().find_map(|message| message["cursor"].as_str()).unwrap().to_owned()
}

#[tokio::test]
async fn what_happened_between_two_bridges_is_told_once_and_in_order() {
    let first = Stage::new().await;
    let second = first.beside().await;
    first.core.submit("A", "alice", "doc");
    let mut client = first.client("alice").await;
    let mut last = cursor(&client.follow("mine", None).await);
    first.core.happens("A", JobState::Running, Change::Started(JobStarted::default()));
    last = cursor(&client.until("job-started").await).max(last);
    // The bridge is killed, not stopped: nobody is told.
    first.bridge.abort();
    drop(client);
    first.core.page("A", 1);
    first.core.happens("A", JobState::Succeeded, Change::Succeeded(JobSucceeded::default()));
    let missed = second.client("alice").await.follow("mine", Some(&last)).await;
    let expected = ["subscribed", "zone-completed", "zone-completed", "page-completed", "job-completed", "live"];
    assert_eq!((types(&missed), &missed[0]["mode"]), (expected.to_vec(), &json!("resumed")));
}

#[tokio::test]
async fn a_client_of_a_stopping_bridge_goes_on_elsewhere_without_a_snapshot() {
    let first = Stage::new().await;
    let second = first.beside().await;
    first.core.submit("A", "alice", "doc");
    let mut client = first.client("alice").await;
    let last = cursor(&client.follow("job/A", None).await);
    first.shutdown.cancel();
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
    first.core.service().waiting(9);
    // Whichever of the two is asked, and however far it has heard: in the end the new state is there.
    let mut client = second.client("alice").await;
    let begin = client.follow("queue", Some(&last)).await;
    let told = match begin.iter().find(|message| message["type"] == "queue-status") {
        Some(told) => told.clone(),
        None => client.until("queue-status").await.pop().unwrap(),
    };
    assert_eq!(told["queue"]["lanes"][0]["waiting"], 9);
    let again = first.client("alice").await.follow("queue", told["cursor"].as_str()).await;
    assert!(again.iter().all(|message| message["type"] != "gap"), "{again:?}");
}
