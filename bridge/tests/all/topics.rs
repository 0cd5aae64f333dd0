//! Stories of topics: what is sent, to whom, in which order, and what happens when something breaks.

use std::time::Duration;

use crate::support::client::types;
use crate::support::{Client, RealServer, Stage, token, token_for};
use courant_auth::Role;
use serde_json::{Value, json};

fn revisions(messages: &[Value]) -> Vec<i64> {
    let durable = messages.iter().filter(|message| message.get("cursor").is_some() && message.get("jobId").is_some());
    durable.map(|message| message["revision"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_job_is_followed_from_snapshot_to_end_and_beyond() {
    let stage = Stage::new().await;
    stage.server.submit("A", "alice", "doc").await;
    let mut client = stage.client("alice").await;
    let begin = client.follow("job/A", None).await;
    assert_eq!(types(&begin), ["subscribed", "snapshot", "live"]);
    assert_eq!((&begin[0]["mode"], &begin[0]["cursor"]), (&json!("snapshot"), &Value::Null));
    assert_eq!(begin[1]["job"]["jobId"], "A");
    stage.server.open_watches(1).await;

    let mut worker = stage.server.worker().await;
    stage.server.submit("B", "alice", "doc").await;
    worker.plan(3).await;
    worker.page(1).await;
    worker.progress(41.66).await;
    worker.fail().await;
    assert_eq!(types(&client.until("job-planned").await), ["job-started", "job-planned"]);
    let story = client.until("job-failed").await;
    let expected = ["zone-completed", "zone-completed", "page-completed", "job-progress", "job-failed"];
    assert_eq!(types(&story), expected);
    assert_eq!((story[0].get("cursor"), &story[1]["zone"]["zoneId"]), (None, &json!("p1z2")));
    // What changes without an event, of the job as the event before left it.
    let [page, update] = &story[2..4] else { unreachable!() };
    assert_eq!((&update["progress"], update.get("cursor"), update.get("coalesced")), (&json!(41.7), None, None));
    assert_eq!((&update["revision"], &update["attempt"]), (&page["revision"], &page["attempt"]));
    assert!(update["elapsed"].as_f64().unwrap() >= page["elapsed"].as_f64().unwrap(), "{update} {page}");
    assert_eq!(
        (update.get("filename"), update.get("state"), &page["filename"]),
        (None, None, &begin[1]["job"]["filename"])
    );

    // Somebody retries it over gRPC: the subscription is still there.
    stage.server.retry("A").await;
    assert_eq!(client.next().await["type"], "job-retrying");
}

#[tokio::test]
async fn a_strangers_job_reads_like_one_that_never_was() {
    let stage = Stage::new().await;
    stage.server.submit("SECRET", "bob", "doc").await;
    let mut client = stage.client("alice").await;
    let mut answers = Vec::new();
    for id in ["SECRET", "NOTHIN"] {
        client.send(json!({"id": 1, "type": "subscribe", "topic": format!("job/{id}")})).await;
        answers.push(client.receive().await.unwrap().replace(id, "?"));
    }
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].contains("JOB_NOT_FOUND"));
    let http = reqwest::Client::new();
    let mut answers = Vec::new();
    for path in [
        "/v1/jobs/SECRET",
        "/v1/jobs/NOTHIN",
        "/v1/jobs/SECRET/results/md",
        "/v1/jobs/NOTHIN/results/md",
        "/v1/jobs/SECRET/pages/1",
        "/v1/jobs/NOTHIN/pages/1",
    ] {
        let answer = http.get(stage.url(path)).bearer_auth(token("alice")).send().await.unwrap();
        answers.push((answer.status(), answer.text().await.unwrap()));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.0 == 404), "{answers:?}");
}

#[tokio::test]
async fn mine_is_ones_own_and_an_admin_sees_a_strangers_job() {
    let stage = Stage::new().await;
    stage.server.submit("A", "alice", "doc").await;
    stage.server.submit("B", "bob", "doc").await;
    let mut alice = stage.client("alice").await;
    let begin = alice.follow("mine", None).await;
    assert_eq!((types(&begin), &begin[1]["job"]["jobId"]), (vec!["subscribed", "snapshot", "live"], &json!("A")));
    stage.server.started("B");
    stage.server.started("A");
    assert_eq!(alice.next().await["jobId"], "A");

    let mut admin = Client::connect(stage.address).await;
    let token = token_for("root", &[Role::Admin], Duration::from_secs(60));
    admin.ask(json!({"id": 1, "type": "auth", "token": token})).await;
    assert_eq!(types(&admin.follow("job/B", None).await), ["subscribed", "snapshot", "live"]);
    assert_eq!(admin.follow("document/doc", None).await.len(), 4);
    assert_eq!(admin.follow("mine", None).await.len(), 2);
    // No longer an admin: what is not the user's own ends.
    admin.send(json!({"id": 1, "type": "auth", "token": crate::support::token("root")})).await;
    let ended = [admin.next().await, admin.next().await, admin.next().await];
    let mut topics: Vec<_> = ended
        .iter()
        .filter(|message| message["type"] == "unsubscribed")
        .map(|message| message["topic"].as_str().unwrap())
        .collect();
    topics.sort_unstable();
    assert_eq!(topics, ["document/doc", "job/B"]);
    assert_eq!(ended[1]["code"], "ROLE_REQUIRED");
}

#[tokio::test]
async fn many_subscribers_share_one_watch_and_the_same_bytes() {
    let stage = Stage::with(|config| config.times.topic_grace = Duration::from_millis(10)).await;
    stage.server.submit("A", "alice", "doc").await;
    let mut subscribers = Vec::new();
    for _ in 0..20 {
        let mut client = stage.client("alice").await;
        client.follow("job/A", None).await;
        subscribers.push(client);
    }
    stage.server.open_watches(1).await;
    stage.server.started("A");
    let mut said = Vec::new();
    for subscriber in &mut subscribers {
        // Who came early has seen the job wait.
        let mut text = subscriber.receive().await.unwrap();
        while text.contains(r#""type":"queue-position""#) {
            text = subscriber.receive().await.unwrap();
        }
        said.push(text);
    }
    assert!(said.iter().all(|text| *text == said[0]));
    // The topic outlives its subscribers for a moment, and then ends; nothing of them is left.
    drop(subscribers);
    stage.server.open_watches(0).await;
    for gone in ["connections 0", "subscriptions 0", "topics 0"] {
        stage.metrics_show(gone).await;
    }
}

#[tokio::test]
async fn throttle_tiers_are_topics_of_their_own() {
    let stage = Stage::new().await;
    let mut client = stage.client("alice").await;
    for (asked, given) in [(0, 0), (100, 250), (900, 1000), (60_000, 5000)] {
        let reply = client.ask(json!({"id": 7, "type": "subscribe", "topic": "mine", "minIntervalMs": asked})).await;
        assert_eq!(reply["minIntervalMs"], given);
        client.until("live").await;
    }
    let default = client.ask(json!({"id": 7, "type": "subscribe", "topic": "mine"})).await;
    assert_eq!(default["minIntervalMs"], 1000);
}

#[tokio::test]
async fn a_resume_misses_nothing_and_doubles_nothing_whoever_was_cut_off() {
    let stage = Stage::new().await;
    let before = stage.server.submit("A", "alice", "doc").await;
    let mut all: Vec<i64> = (1..=5).map(|page| stage.server.page("A", page)).collect();
    let mut client = stage.client("alice").await;
    let first = client.follow("job/A", Some(&before)).await;
    assert_eq!((&first[0]["mode"], &first[0]["cursor"]), (&json!("resumed"), &json!(before)));
    assert_eq!(revisions(&first)[1..], all);

    // The way to the server breaks, again and again, while things happen.
    let mut seen = Vec::new();
    for page in 6..=40 {
        all.push(stage.server.page("A", page));
        if page % 5 == 0 {
            stage.server.cut();
        }
        seen.extend(client.until("page-completed").await);
    }
    assert_eq!(revisions(&seen), all[5..]);

    // The client goes, things happen, it comes back with the last cursor it saw.
    let cursor = seen.last().unwrap()["cursor"].as_str().unwrap().to_owned();
    drop(client);
    let missed: Vec<i64> = (41..=50).map(|page| stage.server.page("A", page)).collect();
    let mut client = stage.client("alice").await;
    let again = client.follow("job/A", Some(&cursor)).await;
    assert_eq!(revisions(&again), missed);
    let next = stage.server.page("A", 51);
    assert_eq!(revisions(&client.until("page-completed").await), [next]);
}

#[tokio::test]
async fn joins_in_the_middle_of_a_storm_get_every_event_once() {
    let stage = Stage::new().await;
    stage.server.submit("A", "alice", "doc").await;
    let mut worker = stage.server.worker().await;
    let before = stage.server.head();
    let storm = tokio::spawn(async move {
        worker.plan(400).await;
        for page in 1..=400 {
            worker.page(page).await;
            worker.progress(f64::from(page) / 4.0).await;
        }
        worker.succeed().await;
        worker
    });
    let mut readers = tokio::task::JoinSet::new();
    for number in 0..12 {
        let (mut client, before) = (stage.client("alice").await, before.clone());
        readers.spawn(async move {
            let topic = if number % 2 == 0 { "job/A" } else { "mine" };
            client
                .send(json!({"id": 1, "type": "subscribe", "topic": topic, "after": before, "minIntervalMs": 0}))
                .await;
            client.until("job-completed").await
        });
    }
    storm.await.unwrap();
    while let Some(messages) = readers.join_next().await {
        let found = revisions(&messages.unwrap());
        assert_eq!(found.len(), 402);
        assert!(found.is_sorted_by(|a, b| a < b), "out of order or twice");
    }
}

#[tokio::test]
async fn what_cannot_be_resumed_is_said_and_starts_anew() {
    let stage = Stage::before(RealServer::without_history().await, |_| {}).await;
    let before = stage.server.submit("A", "alice", "doc").await;
    stage.server.page("A", 1);
    stage.server.settled().await;
    let mut client = stage.client("alice").await;
    for topic in ["job/A", "mine"] {
        let begin = client.follow(topic, Some(&before)).await;
        assert_eq!(types(&begin), ["subscribed", "snapshot", "live"], "{topic}");
        assert_eq!((&begin[0]["mode"], &begin[0]["reason"]), (&json!("snapshot"), &json!("HISTORY_TRIMMED")));
    }
}

#[tokio::test]
async fn a_topic_that_cannot_continue_tells_its_subscribers_of_the_gap() {
    let stage = Stage::before(RealServer::without_history().await, |_| {}).await;
    stage.server.submit("A", "alice", "doc").await;
    let mut client = stage.client("alice").await;
    client.follow("job/A", None).await;
    stage.server.open_watches(1).await;
    stage.server.go_away();
    client.until("stalled").await;
    stage.ready(503).await;
    // Of two the first makes room for the second.
    stage.server.page("A", 1);
    stage.server.page("A", 2);
    stage.server.come_back();
    let back = client.until("live").await;
    let back = types(&back);
    assert_eq!((back[0], back[back.len() - 1]), ("gap", "live"));
    assert!(back.contains(&"snapshot"), "{back:?}");
    stage.ready(200).await;
}

#[tokio::test]
async fn while_the_server_is_unavailable_subscribers_are_told_and_nothing_is_lost() {
    let stage = Stage::new().await;
    stage.server.submit("A", "alice", "doc").await;
    let mut client = stage.client("alice").await;
    client.follow("mine", None).await;
    stage.server.open_watches(1).await;
    stage.server.go_away();
    assert_eq!(types(&client.until("stalled").await), ["stalled"]);
    let refused = client.ask(json!({"id": 3, "type": "subscribe", "topic": "job/A"})).await;
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("SERVER_UNAVAILABLE"), &json!(true)));
    stage.server.started("A");
    stage.server.come_back();
    assert_eq!(types(&client.until("live").await), ["job-started", "live"]);
}

#[tokio::test]
async fn a_slow_client_is_closed_and_the_others_do_not_notice() {
    let stage = Stage::with(|config| {
        config.limits.outbox_bytes = 64 << 10;
        config.times.close = Duration::from_secs(30);
    })
    .await;
    stage.server.submit("A", "alice", "doc").await;
    let mut quick = stage.client("alice").await;
    quick.follow("job/A", None).await;
    let mut slow = stage.client_that_buffers_little("alice").await;
    slow.follow("job/A", None).await;
    // More than all buffers on the way hold; the slow one reads nothing.
    let mut told = Vec::new();
    while !stage.metrics().await.contains("courant_bridge_too_slow_total 1") {
        for _ in 0..20 {
            told.extend((0..10).map(|_| stage.server.page("A", 1)));
            for _ in 0..10 {
                quick.until("page-completed").await;
            }
        }
    }
    let (messages, close) = slow.read_to_end().await;
    let last = messages.last().unwrap();
    assert_eq!((&last["type"], &last["reason"], close), (&json!("closing"), &json!("TOO_SLOW"), 4508));
    // What it did see has no hole: it can resume from there.
    let seen = revisions(&messages);
    assert_eq!(seen, told[..seen.len()]);
    let cursor = messages.iter().rev().find_map(|message| message["cursor"].as_str()).unwrap().to_owned();
    let mut back = stage.client("alice").await;
    let rest = back.follow("job/A", Some(&cursor)).await;
    assert_eq!(revisions(&rest), told[seen.len()..]);
}

#[tokio::test]
async fn after_unsubscribing_nothing_more_comes() {
    let stage = Stage::new().await;
    stage.server.submit("A", "alice", "doc").await;
    let mut client = stage.client("alice").await;
    client.follow("job/A", None).await;
    client.ask(json!({"id": 2, "type": "unsubscribe", "topic": "job/A"})).await;
    stage.server.page("A", 1);
    let mut other = stage.client("alice").await;
    other.follow("mine", None).await;
    stage.server.page("A", 2);
    other.until("page-completed").await;
    client.send(json!({"id": 3, "type": "ping"})).await;
    assert_eq!(client.next().await["type"], "pong");
}

#[tokio::test]
async fn a_long_replay_goes_at_the_clients_pace_and_is_not_too_slow() {
    let stage = Stage::with(|config| config.limits.outbox_bytes = 8 << 10).await;
    let before = stage.server.submit("A", "alice", "doc").await;
    let told: Vec<i64> = (1..=2000).map(|page| stage.server.page("A", page)).collect();
    let mut client = stage.client_that_buffers_little("alice").await;
    client.send(json!({"id": 1, "type": "subscribe", "topic": "job/A", "after": before})).await;
    // While the client does not read, others join, are served and see what happens.
    let mut other = stage.client("alice").await;
    other.follow("job/A", None).await;
    let live = stage.server.page("A", 2001);
    other.until("page-completed").await;
    let replayed = revisions(&client.until("live").await);
    let rest = revisions(&client.until("page-completed").await);
    assert_eq!(replayed[1..], told);
    assert_eq!(rest, [live]);
}

#[tokio::test]
async fn a_bookmark_moves_the_cursor() {
    let stage = Stage::before(RealServer::with_bookmarks().await, |_| {}).await;
    stage.server.submit("A", "alice", "doc").await;
    let mut client = stage.client("alice").await;
    client.follow("mine", None).await;
    stage.server.open_watches(1).await;
    stage.server.page("A", 1);
    client.until("page-completed").await;
    let bookmark = client.until("bookmark").await.pop().unwrap();
    assert_eq!(bookmark, json!({"type": "bookmark", "topic": "mine", "cursor": stage.server.head()}));
}

#[tokio::test]
async fn when_the_server_stays_away_connections_are_sent_to_look_elsewhere() {
    let stage = Stage::with(|config| config.times.server_grace = Duration::from_millis(50)).await;
    let mut client = stage.client("alice").await;
    stage.server.go_away();
    let (messages, close) = client.read_to_end().await;
    assert_eq!((messages[0]["reason"].as_str(), close), (Some("SERVER_UNAVAILABLE"), 4504));
}
