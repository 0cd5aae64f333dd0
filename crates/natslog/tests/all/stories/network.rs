//! Connections that break, answers that never come, and a NATS that is away.

use std::time::{Duration, Instant};

use courant_joblog::ids::Revision;
use courant_joblog::log::{AppendError, Filter, Log as _};
use courant_joblog::samples;
use courant_natslog::{NatsLog, OpenError, Options};
use futures::StreamExt as _;

use crate::harness::{Cluster, Sync, eventually, open};
use crate::proxy::Proxy;
use crate::writers::{Writers, check};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_of_an_append_is_found_out_when_its_answer_is_lost() {
    let cluster = Cluster::single(Sync::Lazy);
    let proxy = Proxy::to(cluster.nodes[0].port).await;
    let log = open(Options { servers: vec![proxy.url()], ..cluster.lossy("log") }).await;
    let writers = Writers::start(&log, "J", 16);
    for _ in 0..20 {
        let until = writers.acknowledged() + 30;
        eventually("appends go on", async || (writers.acknowledged() >= until).then_some(())).await;
        proxy.cut();
    }
    let told = writers.stop().await;
    check(&*log, &told).await;
    check(&*open(cluster.lossy("log")).await, &told).await;
}

/// Appends arrive, are stored, and nothing comes back: neither the answer nor the entry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stored_is_found_by_its_id_when_nothing_came_back() {
    let cluster = Cluster::single(Sync::Lazy);
    let proxy = Proxy::to(cluster.nodes[0].port).await;
    let request_timeout = Duration::from_millis(300);
    let log = open(Options { servers: vec![proxy.url()], request_timeout, ..cluster.lossy("log") }).await;
    let stream = cluster.client().await.get_stream("log").await.unwrap();
    let last = async || stream.get_info().await.unwrap().state.last_sequence;
    let writers = Writers::start(&log, "J", 16);
    for _ in 0..5 {
        let until = writers.acknowledged() + 30;
        eventually("appends go on", async || (writers.acknowledged() >= until).then_some(())).await;
        proxy.mute();
        let before = *log.head().borrow();
        eventually("an append that nobody here knows of", async || (last().await > before.0 + 2).then_some(())).await;
        // Long enough for the writers to have asked what became of theirs, and to have sent them again.
        tokio::time::sleep(2 * request_timeout).await;
        proxy.cut();
    }
    let told = writers.stop().await;
    check(&*log, &told).await;
    check(&*open(cluster.lossy("log")).await, &told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nats_is_away_appends_end_as_unknown_and_memory_can_be_read() {
    let cluster = Cluster::single(Sync::Lazy);
    let patience = Duration::from_secs(1);
    let log = open(Options { patience, request_timeout: Duration::from_millis(300), ..cluster.lossy("log") }).await;
    let first = samples::create("A", "alice");
    let made = log.append(first.clone()).await.unwrap();
    let mut following = log.following().unwrap();
    following.wait_for(|following| *following).await.unwrap();
    cluster.nodes[0].kill();
    let began = Instant::now();
    let outcome = log.append(samples::update(samples::job_of(&first), made, 1)).await;
    assert!(matches!(outcome, Err(AppendError::Unknown { .. })), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // A new job need not wait: it is known that nobody gets it.
    let began = Instant::now();
    let refused = log.append(samples::create("B", "alice")).await;
    assert!(matches!(refused, Err(AppendError::Unavailable { .. })), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(log.read(Revision::ZERO, &Filter::All, 10).await.unwrap().len(), 1);
    assert!(log.probe().await.is_err());
    following.wait_for(|following| !following).await.unwrap();

    cluster.nodes[0].start();
    following.wait_for(|following| *following).await.unwrap();
    eventually("NATS is back", async || log.probe().await.ok()).await;
    // What was sent while it was away may have arrived since.
    let newest = eventually("the job can be read", async || {
        log.trimmed(&Filter::All).await.ok()?;
        Some(log.read(Revision::ZERO, &Filter::All, 10).await.unwrap().last()?.revision)
    });
    let newest = newest.await;
    eventually("appends go on", async || log.append(samples::update(samples::job_of(&first), newest, 2)).await.ok())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_whose_consumer_is_gone_goes_on_within_seconds() {
    let cluster = Cluster::single(Sync::Lazy);
    let log = open(cluster.lossy("log")).await;
    log.append(samples::create("A", "alice")).await.unwrap();
    let context = cluster.client().await;
    let stream = context.get_stream("log").await.unwrap();
    let names: Vec<String> = stream.consumer_names().map(Result::unwrap).collect().await;
    assert!(!names.is_empty());
    for name in names {
        stream.delete_consumer(&name).await.unwrap();
    }
    let began = Instant::now();
    log.append(samples::create("B", "alice")).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_that_is_nowhere_is_named() {
    let cluster = Cluster::single(Sync::Lazy);
    cluster.nodes[0].kill();
    let error = NatsLog::open(cluster.lossy("log")).await.unwrap_err();
    assert!(matches!(error, OpenError::Connect { .. }), "{error}");
    assert!(error.to_string().contains(&cluster.nodes[0].url()), "{error}");
}
