//! Nodes that die in the middle of appends.

use std::time::{Duration, Instant};

use courant_joblog::log::{Filter, Log as _};
use courant_joblog::samples;

use crate::harness::{Cluster, Sync, eventually, open};
use crate::writers::{Writers, check, read_all};

/// Waits until so many more appends were acknowledged.
async fn more(writers: &Writers, count: usize) {
    let until = writers.acknowledged() + count;
    eventually("appends go on", async || (writers.acknowledged() >= until).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_and_started_again_has_lost_nothing() {
    let cluster = Cluster::single(Sync::Always);
    let log = open(cluster.options("log")).await;
    let writers = Writers::start(&log, "J", 16);
    for _ in 0..3 {
        more(&writers, 50).await;
        cluster.nodes[0].kill();
        cluster.nodes[0].start();
        let began = Instant::now();
        more(&writers, 1).await;
        assert!(began.elapsed() < Duration::from_secs(10), "it was back after {:?}", began.elapsed());
    }
    more(&writers, 50).await;
    let told = writers.stop().await;
    check(&*log, &told).await;
    drop(log);
    check(&*open(cluster.options("log")).await, &told).await;
}

/// Two servers append meanwhile; both see the same in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_goes_on_without_its_leader() {
    let cluster = Cluster::three(Sync::Always);
    let logs = [open(cluster.options("log")).await, open(cluster.options("log")).await];
    let [one, other] = [Writers::start(&logs[0], "one-", 8), Writers::start(&logs[1], "other-", 8)];
    more(&one, 100).await;
    let leader = cluster.leader("log").await;
    leader.kill();
    // A new leader takes NATS some seconds.
    more(&one, 100).await;
    more(&other, 100).await;
    leader.start();
    more(&other, 100).await;
    let mut told = one.stop().await;
    told.extend(other.stop().await);
    for log in &logs {
        // That is as far as all has been seen.
        log.trimmed(&Filter::All).await.unwrap();
        check(&**log, &told).await;
    }
    assert_eq!(
        read_all(&*logs[0], &Filter::All).await.unwrap(),
        read_all(&*open(cluster.options("log")).await, &Filter::All).await.unwrap()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_opens_while_one_of_three_nodes_is_down() {
    let cluster = Cluster::three(Sync::Always);
    let log = open(cluster.options("log")).await;
    let revision = log.append(samples::create("A", "alice")).await.unwrap();
    drop(log);
    let leader = cluster.leader("log").await;
    leader.kill();
    let log = open(cluster.options("log")).await;
    assert_eq!(log.latest().await.unwrap().revision, revision);
    log.append(samples::create("B", "alice")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_nothing_is_acknowledged_and_with_it_all_goes_on() {
    let cluster = Cluster::three(Sync::Always);
    let log = open(cluster.options("log")).await;
    log.append(samples::create("A", "alice")).await.unwrap();
    let leader = cluster.leader("log").await;
    let others: Vec<_> = cluster.nodes.iter().filter(|node| node.name != leader.name).collect();
    others.iter().for_each(|node| node.kill());
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.append(samples::create("B", "alice")).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!waiting.is_finished(), "two of three nodes are away");
    others.iter().for_each(|node| node.start());
    waiting.await.unwrap().unwrap();
    assert_eq!(log.latest().await.unwrap().all().await.unwrap().len(), 2);
}
