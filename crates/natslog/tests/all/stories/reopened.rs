//! What a server knows that opens a log which others have written.

use async_nats::HeaderMap;
use bytes::Bytes;
use courant_joblog::ids::{JobId, Owner, Revision};
use courant_joblog::log::{Append, AppendError, Blob, Filter, Log as _, ReadError};
use courant_joblog::samples;
use courant_natslog::{NatsLog, Options};

use crate::harness::{Cluster, Sync, eventually, open};
use crate::writers::read_all;

fn of_job(id: &str) -> Filter {
    Filter::Job(JobId::new(id))
}

/// Appends so many entries of a job. Their revisions.
async fn write(log: &NatsLog, id: &str, owner: &str, entries: u32) -> Vec<Revision> {
    let first = samples::create(id, owner);
    let mut revisions = vec![log.append(first.clone()).await.unwrap()];
    for number in 1..entries {
        let newest = revisions[revisions.len() - 1];
        revisions.push(log.append(samples::update(samples::job_of(&first), newest, number)).await.unwrap());
    }
    revisions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_is_still_reported() {
    let cluster = Cluster::single(Sync::Lazy);
    let options = Options { history_per_job: 5, ..cluster.lossy("log") };
    let log = open(options.clone()).await;
    let kept = write(&log, "kept", "kim", 3).await;
    let long = write(&log, "long", "lea", 20).await;
    let gone = write(&log, "gone", "gus", 3).await;
    let tombstone = log.forget(&samples::create("gone", "gus").key, gone[2]).await.unwrap();
    let anew = write(&log, "anew", "ann", 2).await;
    log.forget(&samples::create("anew", "ann").key, anew[1]).await.unwrap();
    let anew = [anew, write(&log, "anew", "ann", 2).await].concat();
    drop(log);

    let log = open(options).await;
    let left: Vec<Revision> = read_all(&*log, &Filter::All).await.unwrap().iter().map(|entry| entry.revision).collect();
    let again = Revision(anew[2].0 - 1);
    assert_eq!(left, [&kept[..], &long[15..], &[tombstone, again], &anew[2..]].concat());
    let trimmed = async |filter| log.trimmed(&filter).await.unwrap();
    let of_owner = |name: &str| Filter::Owner(Owner::new(name));
    assert_eq!((trimmed(of_job("kept")).await, trimmed(of_owner("kim")).await), (Revision::ZERO, Revision::ZERO));
    assert_eq!((trimmed(of_job("long")).await, trimmed(of_owner("lea")).await), (long[14], long[14]));
    assert_eq!((trimmed(of_job("gone")).await, trimmed(of_owner("gus")).await), (gone[2], gone[2]));
    assert!(trimmed(of_job("anew")).await >= anew[1] && trimmed(of_job("anew")).await < anew[2]);
    assert!(trimmed(of_owner("ann")).await >= anew[1]);
    assert!(trimmed(Filter::All).await >= anew[1]);
    let heads = log.latest().await.unwrap().all().await.unwrap();
    assert_eq!(heads.iter().map(|entry| entry.revision).collect::<Vec<_>>(), [kept[2], long[19], anew[3]]);
    let late = samples::update(samples::job_of(&samples::create("gone", "gus")), tombstone, 9);
    assert!(matches!(log.append(late).await, Err(AppendError::Conflict { actual: None })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_are_there_and_not_those_of_a_forgotten_job() {
    let cluster = Cluster::single(Sync::Lazy);
    let log = open(cluster.lossy("log")).await;
    let blob = |text: &'static str| Blob { name: "b".into(), bytes: Bytes::from_static(text.as_bytes()) };
    let first = Append { blobs: vec![blob("old"), blob("new")], ..samples::create("A", "alice") };
    let made = log.append(first.clone()).await.unwrap();
    drop(log);
    let log = open(cluster.lossy("log")).await;
    assert_eq!(log.blob(&JobId::new("A"), "b").await.unwrap(), Some(Bytes::from_static(b"new")));
    log.forget(&first.key, made).await.unwrap();
    log.append(samples::create("A", "alice")).await.unwrap();
    drop(log);
    let log = open(cluster.lossy("log")).await;
    assert_eq!(log.blob(&JobId::new("A"), "b").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_tombstones_go_and_it_is_reported() {
    let cluster = Cluster::single(Sync::Lazy);
    let options = Options { forgotten_kept: 4, ..cluster.lossy("log") };
    let log = open(options.clone()).await;
    let mut tombstones = Vec::new();
    for number in 0..20 {
        let id = format!("J{number}");
        let made = write(&log, &id, "alice", 1).await[0];
        tombstones.push(log.forget(&samples::create(&id, "alice").key, made).await.unwrap());
    }
    let stream = cluster.client().await.get_stream("log").await.unwrap();
    eventually("tombstones go", async || {
        // The kept ones, and the announcement.
        (stream.get_info().await.unwrap().state.messages <= 4 + 1).then_some(())
    })
    .await;
    let reopened = open(options).await;
    for log in [log, reopened] {
        let trimmed = log.trimmed(&of_job("J0")).await.unwrap();
        assert!(trimmed >= tombstones[15] && trimmed < tombstones[16], "{trimmed} of {tombstones:?}");
        assert!(log.trimmed(&Filter::Owner(Owner::new("bob"))).await.unwrap() >= tombstones[15]);
        assert!(log.trimmed(&Filter::All).await.unwrap() >= tombstones[15]);
        assert_eq!(log.trimmed(&of_job("J19")).await.unwrap().0, tombstones[19].0 - 1);
        let late = samples::update(samples::job_of(&samples::create("J0", "alice")), tombstones[0], 9);
        assert!(matches!(log.append(late).await, Err(AppendError::Conflict { actual: None })));
    }
    let log = open(cluster.lossy("log")).await;
    write(&log, "J0", "alice", 2).await;
    write(&log, "J19", "alice", 2).await;
}

/// Two versions of this program on one log: the older one says what it cannot read, and goes on with the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_of_a_newer_version_is_named() {
    let cluster = Cluster::single(Sync::Lazy);
    let log = open(cluster.lossy("log")).await;
    let made = write(&log, "A", "alice", 1).await[0];
    let context = cluster.client().await;
    let subject = context.get_stream("log").await.unwrap().get_raw_message(made.0).await.unwrap().subject;
    let mut headers = HeaderMap::new();
    headers.insert("Courant-Entry", "1 00000000000000ff 2 0 0 0");
    headers.insert("Nats-Expected-Last-Subject-Sequence", made.0.to_string().as_str());
    let newer = context.publish_with_headers(subject, headers, Bytes::from_static(b"\x09 something new"));
    let newer = Revision(newer.await.unwrap().await.unwrap().sequence);
    // And nonsense by somebody who should not be there.
    context.publish("log.job.nonsense", "x".into()).await.unwrap().await.unwrap();

    let late = write(&log, "B", "bob", 2).await;
    let reopened = open(cluster.lossy("log")).await;
    for log in [log, reopened] {
        let error = log.read(made, &Filter::All, 10).await.unwrap_err();
        assert!(matches!(error, ReadError::Version { revision, version: 9 } if revision == newer), "{error}");
        let after = log.read(newer, &Filter::All, 10).await.unwrap();
        assert_eq!(after.iter().map(|entry| entry.revision).collect::<Vec<_>>(), late);
        let stale = samples::update(samples::job_of(&samples::create("A", "alice")), made, 1);
        let outcome = log.append(stale).await;
        assert!(matches!(outcome, Err(AppendError::Conflict { actual }) if actual == Some(newer)), "{outcome:?}");
    }
}
