//! Invariant 9: blobs, and entries that are appended together with them or with each other (invariant 2).

use bytes::Bytes;

use super::{Subject, create, latest, number, of_job, read_all, revisions, write};
use crate::ids::{JobId, Revision};
use crate::log::{Append, AppendError, Blob, Changed, Filter, MAX_BLOB_BYTES};
use crate::samples;

fn blob(name: &str, text: &str) -> Blob {
    Blob { name: name.into(), bytes: Bytes::copy_from_slice(text.as_bytes()) }
}

async fn found(log: &Subject, job: &str, name: &str) -> Option<Bytes> {
    log.blob(&JobId::new(job), name).await.unwrap()
}

/// Further entries of a job in one append, with these numbers.
fn several(first: &Append, expect: Revision, numbers: std::ops::Range<u32>) -> Append {
    let updates = numbers.map(|number| samples::update(samples::job_of(first), expect, number));
    let changes: Vec<Changed> = updates.flat_map(|update| update.changes).collect();
    Append { changes, expect: Some(expect), ..first.clone() }
}

/// Invariant 2: all entries of one append, in order, and the newest of them is named.
pub async fn entries_of_one_append_are_all_there(log: Subject) {
    let (first, made) = create(&log, "A", "alice").await;
    let newest = log.append(several(&first, made, 1..4)).await.unwrap();
    let entries = read_all(&log, &of_job("A")).await;
    let numbers: Vec<_> = entries.iter().filter_map(|entry| number(entry)).collect();
    assert_eq!((numbers, entries[3].revision), (vec![0, 1, 2, 3], newest));
    assert_eq!(revisions(&entries)[1..], [newest.0 - 2, newest.0 - 1, newest.0].map(Revision));
    assert_eq!(latest(&log).await[0].revision, newest);
    log.append(samples::update(samples::job_of(&first), newest, 9)).await.unwrap();
}

/// Invariant 2: none of what is refused.
pub async fn a_refused_append_leaves_nothing(log: Subject) {
    let (first, made) = create(&log, "A", "alice").await;
    let ahead = Revision(made.0 + 1);
    let refused = Append { blobs: vec![blob("b", "x")], ..several(&first, ahead, 1..4) };
    let outcome = log.append(refused).await;
    assert!(matches!(outcome, Err(AppendError::Conflict { actual }) if actual == Some(made)), "{outcome:?}");
    assert_eq!((read_all(&log, &Filter::All).await.len(), found(&log, "A", "b").await), (1, None));
}

/// Invariant 2, many at once: entries of one append are neighbours among those of their key.
pub async fn entries_of_one_append_stay_together(log: Subject) {
    let tasks = (0..8).map(|job| {
        let log = log.clone();
        tokio::spawn(async move {
            let id = format!("J{job}");
            let (first, mut revision) = create(&log, &id, "alice").await;
            for round in 0..10 {
                revision = log.append(several(&first, revision, 1 + round * 3..4 + round * 3)).await.unwrap();
            }
            let entries = read_all(&log, &of_job(&id)).await;
            let numbers: Vec<_> = entries.iter().filter_map(|entry| number(entry)).collect();
            assert_eq!(numbers, (0..31).collect::<Vec<_>>());
            let together = entries[1..].chunks(3).all(|three| three[2].revision.0 == three[0].revision.0 + 2);
            assert!(together, "{:?}", revisions(&entries));
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

/// Invariant 9: with an append and after it, and replaced by the same name.
pub async fn a_stored_blob_is_found(log: Subject) {
    let append = Append { blobs: vec![blob("a", "one"), blob("b", "")], ..samples::create("A", "alice") };
    log.append(append).await.unwrap();
    log.store_blob(&JobId::new("A"), blob("c/d", "three")).await.unwrap();
    log.store_blob(&JobId::new("A"), blob("a", "four")).await.unwrap();
    for (name, bytes) in [("a", Some("four")), ("b", Some("")), ("c/d", Some("three")), ("c", None), ("A", None)] {
        assert_eq!(found(&log, "A", name).await, bytes.map(Bytes::from), "{name}");
    }
    log.remove_blob(&JobId::new("A"), "b").await.unwrap();
    log.remove_blob(&JobId::new("A"), "b").await.unwrap();
    assert_eq!((found(&log, "A", "b").await, found(&log, "A", "a").await.is_some()), (None, true));
    assert_eq!(found(&log, "B", "a").await, None);
}

/// Invariant 9: blobs go with their job, and only with theirs.
pub async fn blobs_go_with_their_job(log: Subject) {
    let written = write(&log, "A", "alice", 2).await;
    write(&log, "B", "alice", 1).await;
    for job in ["A", "B"] {
        log.store_blob(&JobId::new(job), blob("x", job)).await.unwrap();
    }
    log.forget(&samples::create("A", "alice").key, written[1]).await.unwrap();
    assert_eq!((found(&log, "A", "x").await, found(&log, "B", "x").await), (None, Some(Bytes::from("B"))));
    let outcome = log.store_blob(&JobId::new("A"), blob("x", "late")).await;
    assert!(matches!(outcome, Err(AppendError::Conflict { actual: None })), "{outcome:?}");
    create(&log, "A", "alice").await;
    assert_eq!(found(&log, "A", "x").await, None, "a new job of the same name begins without any");
}

/// Invariant 8: a blob over the limit did not happen, nor what was appended with it.
pub async fn a_blob_that_is_too_large_did_not_happen(log: Subject) {
    let large = Blob { name: "x".into(), bytes: vec![7; MAX_BLOB_BYTES + 1].into() };
    let append = Append { blobs: vec![large.clone()], ..samples::create("A", "alice") };
    assert!(matches!(log.append(append).await, Err(AppendError::TooLarge { .. })));
    assert!(read_all(&log, &Filter::All).await.is_empty());
    create(&log, "A", "alice").await;
    assert!(matches!(log.store_blob(&JobId::new("A"), large).await, Err(AppendError::TooLarge { .. })));
    let largest = Blob { name: "x".into(), bytes: vec![7; MAX_BLOB_BYTES].into() };
    log.store_blob(&JobId::new("A"), largest.clone()).await.unwrap();
    assert_eq!(found(&log, "A", "x").await, Some(largest.bytes));
}
