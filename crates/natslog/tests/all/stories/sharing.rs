//! Several servers on one log, as several logs on one stream.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use courant_joblog::ids::{JobId, Owner, Revision};
use courant_joblog::log::{Append, AppendError, Blob, Filter, Key, Log, Record};
use courant_joblog::samples;
use courant_natslog::NatsLog;

use crate::harness::{Cluster, Sync, eventually, open};
use crate::writers::read_all;

/// Beside each other, in the story of a cluster that is behind; each makes so many jobs.
const WRITERS: usize = 8;
const ROUNDS: usize = 100;

async fn two_logs(cluster: &Cluster) -> [Arc<NatsLog>; 2] {
    [open(cluster.lossy("log")).await, open(cluster.lossy("log")).await]
}

/// Waits until both have seen the same.
async fn settled(logs: &[Arc<NatsLog>; 2]) -> Revision {
    let heads = || logs.each_ref().map(|log| *log.head().borrow());
    eventually("both have seen the same", async || {
        let [one, other] = heads();
        (one == other).then_some(one)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_revision_is_known_before_its_entry_has_arrived() {
    let cluster = Cluster::single(Sync::Lazy);
    let logs = two_logs(&cluster).await;
    for number in 0..50 {
        let appended = logs[number % 2].append(samples::create(&format!("A{number}"), "alice")).await.unwrap();
        assert_eq!(logs[1 - number % 2].newest().await.unwrap(), appended);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_servers_that_append_to_one_job_one_wins() {
    let cluster = Cluster::single(Sync::Lazy);
    race(&two_logs(&cluster).await, 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_servers_on_a_cluster_one_wins() {
    let cluster = Cluster::three(Sync::Always);
    race(&two_logs(&cluster).await, 50).await;
}

async fn race(logs: &[Arc<NatsLog>; 2], rounds: u32) {
    let first = samples::create("A", "alice");
    let mut position = logs[0].append(first.clone()).await.unwrap();
    let mut won = HashMap::new();
    for round in 1..=rounds {
        let contenders = (0..8).map(|contender: usize| {
            let log = logs[contender % 2].clone();
            // Each with a number of its own, to be known again.
            let append = samples::update(samples::job_of(&first), position, round * 100 + contender as u32);
            tokio::spawn(async move { log.append(append).await })
        });
        let mut outcomes = Vec::new();
        for contender in contenders.collect::<Vec<_>>() {
            outcomes.push(contender.await.unwrap());
        }
        let winners: Vec<Revision> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok().copied()).collect();
        assert_eq!(winners.len(), 1, "{outcomes:?}");
        for lost in outcomes.iter().filter(|outcome| outcome.is_err()) {
            assert!(matches!(lost, Err(AppendError::Conflict { actual }) if *actual == Some(winners[0])), "{lost:?}");
        }
        position = winners[0];
        won.insert(position, round);
    }
    settled(logs).await;
    let [one, other] =
        [read_all(&*logs[0], &Filter::All).await.unwrap(), read_all(&*logs[1], &Filter::All).await.unwrap()];
    assert_eq!(one, other);
    assert_eq!(one.len() as u32, rounds + 1);
    assert!(one[1..].iter().all(|entry| won.contains_key(&entry.revision)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_server_writes_and_forgets_the_other_sees_in_the_same_order() {
    let cluster = Cluster::single(Sync::Lazy);
    let logs = two_logs(&cluster).await;
    assert_eq!(logs[0].info(), logs[1].info(), "a position of one is one of the other");
    let writers = logs.clone().into_iter().enumerate().map(|(server, log)| {
        tokio::spawn(async move {
            for number in 0..100 {
                let first = samples::create(&format!("J{server}-{number}"), "alice");
                let made = log.append(first.clone()).await.unwrap();
                let next = log.append(samples::update(samples::job_of(&first), made, 1)).await.unwrap();
                if number % 3 == 0 {
                    log.forget(&first.key, next).await.unwrap();
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let head = settled(&logs).await;
    let mut seen = Vec::new();
    for log in &logs {
        let latest = log.latest().await.unwrap();
        assert_eq!(latest.revision, head);
        assert_eq!(latest.all().await.unwrap().len(), 2 * 66);
        seen.push(read_all(&**log, &Filter::All).await.unwrap());
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].iter().filter(|entry| entry.record == Record::Forgotten).count(), 2 * 34);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_behind_still_answers_rightly() {
    let cluster = Cluster::single(Sync::Lazy);
    let [one, other] = two_logs(&cluster).await;
    for round in 0..50 {
        let first = samples::create(&format!("J{round}"), "alice");
        let made = one.append(first.clone()).await.unwrap();
        // At once, whatever the other one has seen.
        let next = other.append(samples::update(samples::job_of(&first), made, 1)).await.unwrap();
        assert!(*other.head().borrow() >= next);
        let blob = Blob { name: "b".into(), bytes: Bytes::from_static(b"x") };
        one.store_blob(&first.key.job, blob).await.unwrap();
        assert_eq!(other.blob(&first.key.job, "b").await.unwrap(), Some(Bytes::from_static(b"x")));
        let forgotten = other.forget(&first.key, next).await.unwrap();
        let outcome = one.append(samples::update(samples::job_of(&first), forgotten, 2)).await;
        assert!(matches!(outcome, Err(AppendError::Conflict { actual: None })), "{outcome:?}");
        assert!(one.append(first.clone()).await.unwrap() > forgotten);
        assert_eq!(other.blob(&first.key.job, "b").await.unwrap(), None, "the new job begins without any");
    }
}

/// The stream's leader may be behind the node that delivers to a server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_what_has_been_heard_of_or_acknowledged_is_there_at_every_server() {
    let cluster = Cluster::three(Sync::Lazy);
    let mut logs = Vec::new();
    for _ in 0..6 {
        logs.push(open(cluster.lossy("log")).await);
    }
    let logs: Arc<[_]> = logs.into();
    let writers = (0..WRITERS).map(|writer| {
        let logs = logs.clone();
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                let [one, other, asked] = [0, 1, 3].map(|step| &logs[(writer + step) % logs.len()]);
                let blob = Blob { name: "document".into(), bytes: Bytes::from_static(b"x") };
                let create = samples::create(&format!("J{writer}-{round}"), "alice");
                let create = Append { blobs: vec![blob.clone()], ..create };
                let heard = async {
                    let mut head = other.head();
                    while other.read(Revision::ZERO, &Filter::Job(create.key.job.clone()), 1).await.unwrap().is_empty()
                    {
                        head.changed().await.unwrap();
                    }
                    assert_eq!(
                        other.blob(&create.key.job, "document").await.unwrap(),
                        Some(blob.bytes.clone()),
                        "heard"
                    );
                };
                let acknowledged = async {
                    let made = one.append(create.clone()).await.unwrap();
                    assert!(asked.newest().await.unwrap() >= made, "acknowledged");
                    assert_eq!(asked.blob(&create.key.job, "document").await.unwrap(), Some(blob.bytes.clone()));
                };
                tokio::join!(heard, acknowledged);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

/// Two servers are given one submit at the same time, and name the document differently.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_submit_meets_its_job_whatever_its_document_is_called() {
    let cluster = Cluster::single(Sync::Lazy);
    let logs = two_logs(&cluster).await;
    for round in 0..20 {
        let submits = logs.clone().into_iter().enumerate().map(|(server, log)| {
            tokio::spawn(async move {
                let mut submission = samples::submission(&format!("J{round}"), "alice");
                submission.document.id = courant_joblog::ids::DocumentId::new(format!("document-{server}"));
                log.append(samples::create_from(submission)).await.is_ok()
            })
        });
        let mut made = 0;
        for submit in submits.collect::<Vec<_>>() {
            made += usize::from(submit.await.unwrap());
        }
        assert_eq!(made, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_ids_are_ids_like_others() {
    let cluster = Cluster::single(Sync::Lazy);
    let log = open(cluster.lossy("log")).await;
    let long = "x".repeat(10_000);
    let hostile = ["*", ">", "a.b", "", " ", "\r\nPUB x 0\r\n", "zoë", "$JS.API.STREAM.DELETE.log", &long, "_2a"];
    let mut made = Vec::new();
    for (number, owner) in hostile.iter().enumerate() {
        let mut submission = samples::submission(&format!("J{number}"), owner);
        submission.document.id = courant_joblog::ids::DocumentId::new(*owner);
        let blob = Blob { name: (*owner).into(), bytes: number.to_string().into() };
        let append = Append { blobs: vec![blob], ..samples::create_from(submission) };
        made.push((log.append(append.clone()).await.unwrap(), append));
    }
    for (number, (owner, (revision, append))) in hostile.iter().zip(&made).enumerate() {
        let found = log.read(Revision::ZERO, &Filter::Owner(Owner::new(*owner)), 100).await.unwrap();
        assert_eq!(found.iter().map(|entry| entry.revision).collect::<Vec<_>>(), [*revision], "{owner:?}");
        let blob = log.blob(&append.key.job, owner).await.unwrap();
        assert_eq!(blob, Some(Bytes::from(number.to_string())));
        log.append(samples::update(samples::job_of(append), *revision, 1)).await.unwrap();
    }
    for name in ["*", ">", "a.b", "", " ", "\0", &long] {
        let first = samples::create(name, "alice");
        let made = log.append(first.clone()).await.unwrap();
        log.forget(&first.key, made).await.unwrap();
        assert_eq!(log.read(made, &Filter::Job(JobId::new(name)), 9).await.unwrap()[0].key, first.key, "{name:?}");
    }
    let absent = Key { job: JobId::new("J?"), ..made[0].1.key.clone() };
    assert!(log.forget(&absent, made[0].0).await.is_err());
    assert_eq!(log.latest().await.unwrap().all().await.unwrap().len(), hostile.len());
}
