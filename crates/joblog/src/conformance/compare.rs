//! Invariants 2 and 8: compare and set, and what is reported when it fails.

use std::sync::Arc;
use std::task::Poll;

use super::{Subject, create, number, of_job, read_all, write};
use crate::codec::MAX_RECORD_BYTES;
use crate::ids::Revision;
use crate::job::Job;
use crate::log::{Append, AppendError, Filter};
use crate::samples;

fn conflict(outcome: Result<Revision, AppendError>) -> Option<Revision> {
    match outcome {
        Err(AppendError::Conflict { actual }) => actual,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

/// Invariant 2, one after another.
pub async fn an_append_needs_the_right_expectation(log: Subject) {
    let first = samples::create("A", "alice");
    let early = samples::update(samples::job_of(&first), Revision(1), 1);
    assert_eq!(conflict(log.append(early).await), None, "nothing can follow what is not there");
    let one = log.append(first.clone()).await.unwrap();
    assert_eq!(conflict(log.append(first.clone()).await), Some(one), "a key begins once");
    let two = log.append(samples::update(samples::job_of(&first), one, 1)).await.unwrap();
    assert_eq!(conflict(log.append(samples::update(samples::job_of(&first), one, 2)).await), Some(two));
    let ahead = Revision(two.0 + 1);
    assert_eq!(conflict(log.append(samples::update(samples::job_of(&first), ahead, 2)).await), Some(two));
    assert_eq!(read_all(&log, &Filter::All).await.len(), 2, "what was refused left no trace");
}

/// Invariant 2: many append with the same expectation.
pub async fn a_race_has_one_winner(log: Subject) {
    for round in 0..20 {
        let (first, revision) = create(&log, &format!("J{round}"), "alice").await;
        let contenders = (1..=16).map(|number| samples::update(samples::job_of(&first), revision, number));
        race(&log, contenders.collect()).await;
    }
}

/// Invariant 2: many append to a key that is not there.
pub async fn a_race_to_create_has_one_winner(log: Subject) {
    for round in 0..20 {
        let first = samples::create(&format!("J{round}"), "alice");
        race(&log, vec![first; 16]).await;
    }
}

async fn race(log: &Subject, contenders: Vec<Append>) {
    let racing = contenders.into_iter().map(|append| {
        let log = log.clone();
        tokio::spawn(async move { log.append(append).await })
    });
    let mut outcomes = Vec::new();
    for contender in racing.collect::<Vec<_>>() {
        outcomes.push(contender.await.unwrap());
    }
    let winners: Vec<Revision> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok().copied()).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    for outcome in outcomes.into_iter().filter(Result::is_err) {
        assert_eq!(conflict(outcome), Some(winners[0]));
    }
}

/// Invariant 2 as callers use it: each reads, decides and tries again.
pub async fn concurrent_counters_lose_nothing(log: Subject) {
    const WRITERS: u32 = 8;
    const EACH: u32 = 25;
    let (first, revision) = create(&log, "A", "alice").await;
    let counting = (0..WRITERS).map(|_| {
        let (log, first) = (log.clone(), first.clone());
        tokio::spawn(async move {
            for _ in 0..EACH {
                count(&log, samples::job_of(&first), revision).await;
            }
        })
    });
    for counter in counting.collect::<Vec<_>>() {
        counter.await.unwrap();
    }
    let numbers: Vec<u32> = read_all(&log, &of_job("A")).await.iter().filter_map(|entry| number(entry)).collect();
    assert_eq!(numbers, (0..=WRITERS * EACH).collect::<Vec<_>>());
}

async fn count(log: &Subject, job: &Job, mut position: Revision) {
    loop {
        let newest = super::read_on(log, &of_job("A"), Revision(position.0 - 1), 100).await.pop().unwrap();
        let next = number(&newest).unwrap() + 1;
        match log.append(samples::update(job, newest.revision, next)).await {
            Ok(_) => return,
            Err(AppendError::Conflict { actual }) => position = actual.unwrap(),
            Err(other) => panic!("{other}"),
        }
    }
}

/// Invariant 3: the revision named in a conflict is visible already.
pub async fn a_conflict_names_what_can_be_read(log: Subject) {
    let (first, revision) = create(&log, "A", "alice").await;
    let racing = (1..=8).map(|number| {
        let (log, append) = (log.clone(), samples::update(samples::job_of(&first), revision, number));
        tokio::spawn(async move {
            if let Err(error) = log.append(append).await {
                let actual = conflict(Err(error)).unwrap();
                assert!(*log.head().borrow() >= actual);
                let found = log.read(Revision(actual.0 - 1), &of_job("A"), 1).await.unwrap();
                assert_eq!(found[0].revision, actual);
            }
        })
    });
    for contender in racing.collect::<Vec<_>>() {
        contender.await.unwrap();
    }
}

/// Invariant 8: a call that was dropped leaves the log whole, and its outcome can be read.
pub async fn a_dropped_append_happened_or_did_not(log: Subject) {
    let (first, mut position) = create(&log, "A", "alice").await;
    for number in 1..=20 {
        {
            let mut append = log.append(samples::update(samples::job_of(&first), position, number));
            // Asked once, then dropped.
            std::future::poll_fn(|context| Poll::Ready(append.as_mut().poll(context).is_ready())).await;
        }
        // Whatever is queued is carried out in order: after this append it is decided.
        let (_, _) = create(&log, &format!("after-{number}"), "alice").await;
        let newest = read_all(&log, &of_job("A")).await.pop().unwrap();
        if newest.revision > position {
            assert_eq!(super::number(&newest), Some(number));
        }
        position = newest.revision;
    }
    log.append(samples::update(samples::job_of(&first), position, 99)).await.unwrap();
}

/// Invariant 8: an error that is not Unknown means that nothing happened.
pub async fn too_large_did_not_happen(log: Subject) {
    let revisions = write(&log, "A", "alice", 1).await;
    let large = samples::create("A", "alice");
    let job = Arc::new(Job { warnings: vec!["x".repeat(MAX_RECORD_BYTES)], ..(**samples::job_of(&large)).clone() });
    let large = Append::one(Some(revisions[0]), large.changes[0].event.clone(), job);
    let error = log.append(large.clone()).await.unwrap_err();
    assert!(matches!(error, AppendError::TooLarge { bytes, limit } if bytes > limit), "{error}");
    assert_eq!(read_all(&log, &Filter::All).await.len(), 1);
    log.append(samples::update(samples::job_of(&large), revisions[0], 1)).await.unwrap_err();
    let small = samples::create("A", "alice");
    log.append(samples::update(samples::job_of(&small), revisions[0], 1)).await.unwrap();
}
