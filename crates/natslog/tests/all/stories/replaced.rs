//! A stream that is not the one any more.

use courant_joblog::ids::Revision;
use courant_joblog::log::{AppendError, Filter, Log as _};
use courant_joblog::samples;
use courant_natslog::NatsLog;

use crate::harness::{Cluster, Sync, eventually, open};

/// The log ends, and whoever uses it learns of it.
async fn stopped(log: &NatsLog, why: &str) {
    let mut head = log.head();
    head.mark_unchanged();
    eventually("the log stops", async || head.has_changed().is_err().then_some(())).await;
    let outcome = log.append(samples::create("late", "alice")).await;
    assert!(matches!(&outcome, Err(AppendError::Unknown { reason }) if reason.contains(why)), "{outcome:?}");
    let read = log.read(Revision::ZERO, &Filter::All, 1).await.unwrap_err();
    assert!(read.to_string().contains(why), "{read}");
    assert!(log.latest().await.is_err() && log.probe().await.is_err());
    let mut following = log.following().unwrap();
    eventually("nothing is followed", async || following.changed().await.is_err().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_stream_stops_the_log_and_the_next_one_is_another_epoch() {
    let cluster = Cluster::single(Sync::Lazy);
    let log = open(cluster.lossy("log")).await;
    let made = log.append(samples::create("A", "alice")).await.unwrap();
    let epoch = log.info().current();
    cluster.client().await.delete_stream("log").await.unwrap();
    stopped(&log, "deleted").await;

    let again = open(cluster.lossy("log")).await;
    assert!(!again.info().covers(epoch.id, made), "its revisions begin again");
    assert_eq!(again.append(samples::create("B", "alice")).await.unwrap(), made);
    assert!(again.info().covers(again.info().current().id, made));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_replaced_stops_the_log() {
    let cluster = Cluster::single(Sync::Lazy);
    let log = open(cluster.lossy("log")).await;
    log.append(samples::create("A", "alice")).await.unwrap();
    let context = cluster.client().await;
    let config = context.get_stream("log").await.unwrap().cached_info().config.clone();
    context.delete_stream("log").await.unwrap();
    // With the same settings, the epoch among them: as if a backup had been put back.
    context.create_stream(config).await.unwrap();
    stopped(&log, "replaced").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_opened_again_is_the_same_epoch() {
    let cluster = Cluster::single(Sync::Lazy);
    let info = open(cluster.lossy("log")).await.info().clone();
    cluster.nodes[0].kill();
    cluster.nodes[0].start();
    assert_eq!(*open(cluster.lossy("log")).await.info(), info);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_that_was_begun_stops_the_log_and_covers_what_was_before_it() {
    let cluster = Cluster::single(Sync::Lazy);
    let log = open(cluster.lossy("log")).await;
    let made = log.append(samples::create("A", "alice")).await.unwrap();
    let before = log.info().current();
    NatsLog::begin_epoch(&cluster.lossy("log")).await.unwrap();
    stopped(&log, "new epoch").await;

    let again = open(cluster.lossy("log")).await;
    let later = again.append(samples::create("B", "alice")).await.unwrap();
    assert!(again.info().covers(before.id, made) && !again.info().covers(before.id, later));
    assert!(again.info().covers(again.info().current().id, later));
}
