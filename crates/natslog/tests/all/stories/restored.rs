//! Streams that were put back with the means of NATS, and end before where they once were.

use bytes::Bytes;
use courant_joblog::ids::Revision;
use courant_joblog::log::Log as _;
use courant_joblog::samples;
use courant_natslog::{NatsLog, OpenError, Options};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::harness::{Cluster, Sync, eventually, open};

/// What `nats stream backup` keeps.
struct Backup {
    /// Settings and state.
    about: Value,
    chunks: Vec<Bytes>,
}

impl Backup {
    async fn make(client: &async_nats::Client, stream: &str) -> Self {
        let inbox = client.new_inbox();
        let mut chunks = client.subscribe(inbox.clone()).await.unwrap();
        let request = json!({"deliver_subject": inbox, "no_consumers": true}).to_string();
        let answer = client.request(format!("$JS.API.STREAM.SNAPSHOT.{stream}"), request.into()).await.unwrap();
        let about: Value = serde_json::from_slice(&answer.payload).unwrap();
        assert!(about["error"].is_null(), "{about}");
        let mut backup = Self { about, chunks: Vec::new() };
        loop {
            let chunk = chunks.next().await.unwrap();
            if chunk.payload.is_empty() {
                return backup;
            }
            backup.chunks.push(chunk.payload);
            if let Some(reply) = chunk.reply {
                client.publish(reply, Bytes::new()).await.unwrap();
            }
        }
    }

    async fn put_back(&self, client: &async_nats::Client, stream: &str) {
        let request = json!({"config": self.about["config"], "state": self.about["state"]}).to_string();
        let answer = client.request(format!("$JS.API.STREAM.RESTORE.{stream}"), request.into()).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
        let to = answer["deliver_subject"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        for chunk in &self.chunks {
            client.request(to.clone(), chunk.clone()).await.unwrap();
        }
        let done = client.request(to, Bytes::new()).await.unwrap();
        let done: Value = serde_json::from_slice(&done.payload).unwrap();
        assert!(done["error"].is_null(), "{done}");
    }
}

async fn append(log: &NatsLog, names: std::ops::Range<u32>) -> Vec<Revision> {
    let mut made = Vec::new();
    for number in names {
        made.push(log.append(samples::create(&format!("J{number}"), "alice")).await.unwrap());
    }
    made
}

/// Appends, waits until it is noted how far the stream reaches, and closes the log. Its epoch.
async fn reach(options: &Options, names: std::ops::Range<u32>) -> (u64, Vec<Revision>) {
    let log = open(options.clone()).await;
    let made = append(&log, names).await;
    let epoch = log.info().current().id;
    let noted = format!("{epoch:016x} {}\n", made[made.len() - 1]);
    let reached = options.reached.clone().unwrap();
    eventually("it is noted", async || (std::fs::read_to_string(&reached).ok()? == noted).then_some(())).await;
    (epoch, made)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_put_back_is_noticed_and_voids_positions_beyond_its_end() {
    let (cluster, data) = (Cluster::single(Sync::Lazy), tempfile::tempdir().unwrap());
    let options = Options { reached: Some(data.path().join("log.reached")), ..cluster.lossy("log") };
    let (context, (epoch, saved)) = (cluster.client().await, reach(&options, 0..6).await);
    let backup = Backup::make(&context.client(), "log").await;
    let (_, lost) = reach(&options, 6..10).await;
    context.delete_stream("log").await.unwrap();
    backup.put_back(&context.client(), "log").await;

    let refused = NatsLog::open(options.clone()).await;
    let Err(OpenError::Truncated { have, expected, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!((have, expected), (saved[5], lost[3]));
    let log = open(Options { accept_loss: true, ..options.clone() }).await;
    let again = append(&log, 20..21).await[0];
    assert_eq!(again, lost[0], "the same numbers mean other entries now");
    assert!(log.info().covers(epoch, saved[5]) && !log.info().covers(epoch, again));
    assert!(log.info().covers(log.info().current().id, again));
    drop(log);
    let log = open(options).await;
    assert!(!log.info().covers(epoch, again), "a loss is accepted once and for all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_that_is_begun_by_hand_is_taken_for_what_it_is() {
    let (cluster, data) = (Cluster::single(Sync::Lazy), tempfile::tempdir().unwrap());
    let options = Options { reached: Some(data.path().join("log.reached")), ..cluster.lossy("log") };
    let (context, (epoch, saved)) = (cluster.client().await, reach(&options, 0..3).await);
    let backup = Backup::make(&context.client(), "log").await;
    let (_, lost) = reach(&options, 3..5).await;
    context.delete_stream("log").await.unwrap();
    backup.put_back(&context.client(), "log").await;
    NatsLog::begin_epoch(&cluster.lossy("log")).await.unwrap();
    let log = open(options).await;
    assert!(log.info().covers(epoch, saved[2]) && !log.info().covers(epoch, lost[1]));
}

/// As servers find it that run while somebody puts a backup back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_open_meanwhile_stops() {
    let cluster = Cluster::single(Sync::Lazy);
    let log = open(cluster.lossy("log")).await;
    append(&log, 0..3).await;
    let context = cluster.client().await;
    let backup = Backup::make(&context.client(), "log").await;
    append(&log, 3..6).await;
    context.delete_stream("log").await.unwrap();
    backup.put_back(&context.client(), "log").await;
    let head = log.head();
    eventually("the log stops", async || head.has_changed().is_err().then_some(())).await;
}
