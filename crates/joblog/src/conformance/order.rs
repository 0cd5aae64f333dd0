//! Invariants 1, 3, 4 and 9: order, durable before visible, prefix, epochs.

use std::collections::{BTreeSet, HashMap};

use super::{Subject, create, number, read_all, revisions, write};
use crate::ids::Revision;
use crate::log::Filter;

/// Invariant 1, one after another, over several keys, a forget among them.
pub async fn revisions_only_grow(log: Subject) {
    let mut given = write(&log, "A", "alice", 3).await;
    given.extend(write(&log, "B", "bob", 2).await);
    let (first, made) = create(&log, "C", "alice").await;
    given.push(made);
    given.push(log.forget(&first.key, made).await.unwrap());
    given.push(log.append(first).await.unwrap());
    assert!(given[0] > Revision::ZERO);
    assert!(given.is_sorted_by(|a, b| a < b), "{given:?}");
}

/// Invariant 1, from many sides at once.
pub async fn revisions_of_concurrent_appends_are_unique(log: Subject) {
    let writers = (0..16).map(|writer| {
        let log = log.clone();
        tokio::spawn(async move { write(&log, &format!("J{writer}"), "alice", 20).await })
    });
    let mut all = BTreeSet::new();
    for writer in writers.collect::<Vec<_>>() {
        for revision in writer.await.unwrap() {
            assert!(all.insert(revision), "{revision} was given twice");
        }
    }
    assert_eq!(revisions(&read_all(&log, &Filter::All).await), all.into_iter().collect::<Vec<_>>());
}

/// Invariants 3 and 4: what was acknowledged is announced, read and latest.
pub async fn an_acknowledged_append_is_visible(log: Subject) {
    let head = log.head();
    for id in ["A", "B", "C"] {
        let (append, revision) = create(&log, id, "alice").await;
        assert!(*head.borrow() >= revision);
        let read = log.read(Revision(revision.0 - 1), &Filter::All, 10).await.unwrap();
        assert_eq!((read[0].revision, &read[0].key), (revision, &append.key));
        let latest = log.latest().await.unwrap();
        assert!(latest.revision >= revision);
        assert_eq!(latest.all().await.unwrap().last().map(|entry| entry.revision), Some(revision));
    }
}

/// Invariant 4: the follower's loop, while many write.
pub async fn a_follower_sees_everything_once_and_in_order(log: Subject) {
    const WRITERS: usize = 8;
    const EACH: u32 = 100;
    let following = (0..3).map(|limit| tokio::spawn(follow(log.clone(), WRITERS * EACH as usize, 1 + limit * 50)));
    let following: Vec<_> = following.collect();
    let writing = (0..WRITERS).map(|writer| {
        let log = log.clone();
        tokio::spawn(async move { write(&log, &format!("J{writer}"), "alice", EACH).await })
    });
    let mut written: Vec<Revision> = Vec::new();
    for writer in writing.collect::<Vec<_>>() {
        written.extend(writer.await.unwrap());
    }
    written.sort_unstable();
    for follower in following {
        assert_eq!(follower.await.unwrap(), written);
    }
}

async fn follow(log: Subject, until: usize, limit: usize) -> Vec<Revision> {
    let (mut head, mut after, mut seen, mut numbers) = (log.head(), Revision::ZERO, Vec::new(), HashMap::new());
    while seen.len() < until {
        while *head.borrow_and_update() <= after {
            head.changed().await.unwrap();
        }
        let announced = *head.borrow();
        let page = log.read(after, &Filter::All, limit).await.unwrap();
        assert!(page.len() <= limit);
        assert!(!page.is_empty(), "{announced} was announced, and there is nothing after {after}");
        for entry in page {
            assert!(entry.revision > after);
            after = entry.revision;
            seen.push(after);
            let next = numbers.entry(entry.key.job.clone()).or_insert(0);
            assert_eq!(number(&entry), Some(*next), "entries of {} out of order", entry.key.job);
            *next += 1;
        }
    }
    seen
}

/// Invariant 4: whoever waits for the head is woken, and finds at least what was announced.
pub async fn the_head_wakes_who_waits(log: Subject) {
    let mut head = log.head();
    let waiting = tokio::spawn(async move {
        head.changed().await.unwrap();
        *head.borrow_and_update()
    });
    let (_, revision) = create(&log, "A", "alice").await;
    assert_eq!(waiting.await.unwrap(), revision);
}

/// Invariant 9, within one opening.
pub async fn positions_of_this_opening_are_covered(log: Subject) {
    let (_, revision) = create(&log, "A", "alice").await;
    let info = log.info();
    let current = info.current();
    assert_eq!(info.epochs.last(), Some(&current));
    assert!(current.start < revision);
    assert!(info.covers(current.id, revision));
    assert!(!info.covers(!current.id, revision), "an epoch nobody knows covers nothing");
}
