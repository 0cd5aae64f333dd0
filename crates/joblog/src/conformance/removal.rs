//! Invariants 6 and 7: forget, and what is reported of entries that are gone.

use super::{Subject, create, latest, of_job, read_all, revisions, write};
use crate::ids::{Owner, Revision};
use crate::log::{AppendError, Filter, Key, Record};
use crate::samples;

/// Invariants 6 and 7.
pub async fn forget_removes_and_reports(log: Subject) {
    let written = write(&log, "A", "alice", 3).await;
    let key = samples::create("A", "alice").key;
    let mut head = log.head();
    head.mark_unchanged();
    let forgotten = log.forget(&key, written[2]).await.unwrap();
    assert!(forgotten > written[2]);
    assert_eq!(*head.borrow_and_update(), forgotten);
    for filter in [Filter::All, Filter::Owner(Owner::new("alice")), of_job("A")] {
        let left = log.read(Revision::ZERO, &filter, 10).await.unwrap();
        assert_eq!(revisions(&left), [forgotten]);
        assert_eq!((&left[0].record, &left[0].key), (&Record::Forgotten, &key));
        assert!(log.trimmed(&filter).await.unwrap() >= written[2], "{filter:?}");
    }
    assert!(latest(&log).await.is_empty());
}

/// Invariant 6: as if it never was, also for compare and set.
pub async fn a_forgotten_key_begins_anew(log: Subject) {
    let (first, made) = create(&log, "A", "alice").await;
    let forgotten = log.forget(&first.key, made).await.unwrap();
    let outcome = log.append(samples::update(samples::job_of(&first), made, 1)).await;
    assert!(matches!(outcome, Err(AppendError::Conflict { actual: None })), "{outcome:?}");
    let outcome = log.append(samples::update(samples::job_of(&first), forgotten, 1)).await;
    assert!(matches!(outcome, Err(AppendError::Conflict { actual: None })), "{outcome:?}");
    let again = log.append(first.clone()).await.unwrap();
    assert!(again > forgotten);
    assert_eq!(revisions(&latest(&log).await), [again]);
    let next = log.append(samples::update(samples::job_of(&first), again, 1)).await.unwrap();
    assert_eq!(revisions(&read_all(&log, &of_job("A")).await), [forgotten, again, next]);
}

/// Invariant 6: forget compares too.
pub async fn forget_needs_the_right_expectation(log: Subject) {
    let absent = Key { ..samples::create("X", "alice").key };
    let outcome = log.forget(&absent, Revision(1)).await;
    assert!(matches!(outcome, Err(AppendError::Conflict { actual: None })), "{outcome:?}");
    let written = write(&log, "A", "alice", 2).await;
    let key = samples::create("A", "alice").key;
    let outcome = log.forget(&key, written[0]).await;
    assert!(matches!(outcome, Err(AppendError::Conflict { actual }) if actual == Some(written[1])), "{outcome:?}");
    assert_eq!(read_all(&log, &Filter::All).await.len(), 2);
    log.forget(&key, written[1]).await.unwrap();
    let outcome = log.forget(&key, written[1]).await;
    assert!(matches!(outcome, Err(AppendError::Conflict { actual: None })), "twice: {outcome:?}");
}

/// Invariant 6: nobody else loses anything.
pub async fn forget_leaves_others_alone(log: Subject) {
    let a = write(&log, "A", "alice", 2).await;
    let b = write(&log, "B", "alice", 2).await;
    let c = write(&log, "C", "carol", 2).await;
    log.forget(&samples::create("A", "alice").key, a[1]).await.unwrap();
    assert_eq!(revisions(&read_all(&log, &of_job("B")).await), b);
    assert_eq!(revisions(&read_all(&log, &Filter::Owner(Owner::new("carol"))).await), c);
    assert_eq!(latest(&log).await.len(), 2);
}

/// Invariant 6, many at once, each written, forgotten and written again.
pub async fn forgetting_many_at_once(log: Subject) {
    let tasks = (0..16).map(|number| {
        let log = log.clone();
        tokio::spawn(async move {
            let id = format!("J{number}");
            let written = write(&log, &id, "alice", 3).await;
            log.forget(&samples::create(&id, "alice").key, written[2]).await.unwrap();
            if number % 2 == 0 { write(&log, &id, "alice", 2).await } else { Vec::new() }
        })
    });
    let mut alive = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        alive.extend(task.await.unwrap().last().copied());
    }
    alive.sort_unstable();
    assert_eq!(revisions(&latest(&log).await), alive);
    assert_eq!(read_all(&log, &Filter::All).await.len(), 16 + 2 * 8);
}

/// Invariant 7: whatever is gone, `trimmed` covers it; the newest entry never goes.
pub async fn a_short_history_says_what_it_lost(log: Subject) {
    let other = write(&log, "B", "bob", 2).await;
    let written = write(&log, "A", "alice", 60).await;
    for filter in [of_job("A"), Filter::Owner(Owner::new("alice")), Filter::All] {
        let left = revisions(&read_all(&log, &filter).await);
        let trimmed = log.trimmed(&filter).await.unwrap();
        assert_eq!(left.last(), written.last());
        assert!(trimmed > written[0], "60 entries are more than this log may keep");
        for gone in written.iter().filter(|revision| !left.contains(revision)) {
            assert!(trimmed >= *gone, "{gone} is gone, but trimmed says {trimmed} for {filter:?}");
        }
    }
    assert_eq!(revisions(&read_all(&log, &of_job("B")).await), other);
    assert_eq!(latest(&log).await.len(), 2);
}

/// Invariant 7 as a follower uses it: it sees everything, or `trimmed` tells it that it may not have.
pub async fn a_slow_follower_learns_of_its_loss(log: Subject) {
    let mut written = write(&log, "A", "alice", 2).await;
    let position = written[0];
    let first = samples::create("A", "alice");
    for number in 2..60 {
        let newest = *written.last().expect("it has two");
        written.push(log.append(samples::update(samples::job_of(&first), newest, number)).await.unwrap());
        let seen = revisions(&super::read_on(&log, &of_job("A"), position, 3).await);
        let whole = seen == written[1..];
        let reported = log.trimmed(&of_job("A")).await.unwrap() > position;
        assert!(whole || reported, "after {number} entries: {seen:?}");
    }
    assert!(log.trimmed(&of_job("A")).await.unwrap() > position, "by now something must be gone");
}
