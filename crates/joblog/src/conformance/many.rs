//! Appends that are made and answered together: each is as it would be alone (invariant 2), and they keep their order
//! (invariant 1).

use std::collections::{BTreeMap, HashMap};
use std::task::Poll;

use bytes::Bytes;

use super::{Subject, create, number, of_job, read_all, revisions, write};
use crate::codec::MAX_RECORD_BYTES;
use crate::ids::{JobId, Revision};
use crate::job::Job;
use crate::log::{Append, AppendError, Blob, Filter, Log as _, MAX_BLOB_BYTES};
use crate::memory::MemoryLog;
use crate::samples;

type Outcomes = Vec<Result<Revision, AppendError>>;

fn with_blob(append: Append, text: &str) -> Append {
    Append { blobs: vec![Blob { name: "b".into(), bytes: Bytes::copy_from_slice(text.as_bytes()) }], ..append }
}

fn conflict(outcome: &Result<Revision, AppendError>) -> Option<Revision> {
    match outcome {
        Err(AppendError::Conflict { actual }) => *actual,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

/// Invariants 1 and 3: outcomes and revisions are in the order of the appends, and all of it is announced and read.
pub async fn many_at_once_are_in_order_and_visible(log: Subject) {
    assert!(log.append_all(Vec::new()).await.is_empty());
    let (first, made) = create(&log, "A", "alice").await;
    let mut appends = vec![samples::update(samples::job_of(&first), made, 1)];
    appends.extend((0..40).map(|job| with_blob(samples::create(&format!("J{job}"), "bob"), &job.to_string())));
    let given: Vec<Revision> = log.append_all(appends).await.into_iter().map(Result::unwrap).collect();
    assert!(given.is_sorted_by(|a, b| a < b) && given[0] > made, "{given:?}");
    assert!(*log.head().borrow() >= given[40]);
    assert_eq!(revisions(&read_all(&log, &Filter::All).await)[1..], given);
    for job in 0..40 {
        let found = log.blob(&JobId::new(format!("J{job}")), "b").await.unwrap();
        assert_eq!(found, Some(Bytes::from(job.to_string())));
    }
}

/// Invariant 2: what is refused among many leaves no trace, and the others do not notice. A job that is made twice among them is
/// made once, and the conflict names what can be read.
pub async fn a_refusal_among_many_is_its_own(log: Subject) {
    let (first, made) = create(&log, "A", "alice").await;
    let stale = with_blob(samples::update(samples::job_of(&first), Revision(made.0 + 7), 1), "stale");
    let mut large = samples::create("L", "alice");
    let job = Job { warnings: vec!["x".repeat(MAX_RECORD_BYTES)], ..Job::clone(samples::job_of(&large)) };
    large.changes[0].job = job.into();
    let mut large_blob = samples::create("M", "alice");
    large_blob.blobs = vec![Blob { name: "b".into(), bytes: vec![7; MAX_BLOB_BYTES + 1].into() }];
    let outcomes = log
        .append_all(vec![
            large,
            samples::create("B", "bob"),
            stale,
            with_blob(samples::create("C", "bob"), "first"),
            large_blob,
            with_blob(samples::create("C", "bob"), "second"),
            samples::update(samples::job_of(&first), made, 2),
        ])
        .await;
    assert_eq!(outcomes.len(), 7);
    for large in [0, 4] {
        assert!(matches!(outcomes[large], Err(AppendError::TooLarge { .. })), "{outcomes:?}");
    }
    let done = [1, 3, 6].map(|place: usize| *outcomes[place].as_ref().unwrap());
    assert_eq!(conflict(&outcomes[2]), Some(made));
    assert_eq!(conflict(&outcomes[5]), Some(done[1]));
    assert_eq!(revisions(&read_all(&log, &Filter::All).await)[1..], done);
    let blob = |job: &str| JobId::new(job);
    assert_eq!(log.blob(&blob("C"), "b").await.unwrap(), Some(Bytes::from("first")));
    assert_eq!((log.blob(&blob("A"), "b").await.unwrap(), log.blob(&blob("M"), "b").await.unwrap()), (None, None));
    assert_eq!(super::latest(&log).await.len(), 3);
}

/// Invariant 2, many at once: the entries of each append are neighbours, and of several calls for one job one wins.
pub async fn many_calls_of_many_at_once_race_as_single_ones(log: Subject) {
    const JOBS: usize = 12;
    let mut firsts = Vec::new();
    for job in 0..JOBS {
        firsts.push(create(&log, &format!("J{job}"), "alice").await);
    }
    let calls = (1..=6).map(|call: u32| {
        // Each begins with another job.
        let of = |at: usize| {
            let (first, made) = &firsts[(at + call as usize) % JOBS];
            let updates = [call * 2, call * 2 + 1].map(|number| samples::update(samples::job_of(first), *made, number));
            let changes = updates.into_iter().flat_map(|update| update.changes).collect();
            Append { changes, expect: Some(*made), ..first.clone() }
        };
        let (log, appends) = (log.clone(), (0..JOBS).map(of).collect::<Vec<_>>());
        tokio::spawn(async move { log.append_all(appends).await })
    });
    let mut won = 0;
    for call in calls.collect::<Vec<_>>() {
        won += call.await.unwrap().iter().filter(|outcome| outcome.is_ok()).count();
    }
    assert_eq!(won, JOBS);
    for job in 0..JOBS {
        let entries = read_all(&log, &of_job(&format!("J{job}"))).await;
        let numbers: Vec<u32> = entries.iter().filter_map(|entry| number(entry)).collect();
        assert_eq!((entries.len(), numbers[2]), (3, numbers[1] + 1), "{numbers:?}");
        assert_eq!(entries[2].revision.0, entries[1].revision.0 + 1);
    }
}

/// Invariant 8: of a call that was dropped each append happened whole or not at all.
pub async fn many_that_were_dropped_happened_each_or_did_not(log: Subject) {
    for round in 0..20 {
        let appends = (0..5).map(|job| with_blob(samples::create(&format!("J{round}-{job}"), "alice"), "x"));
        {
            let mut dropped = log.append_all(appends.collect());
            // Asked once, then dropped.
            std::future::poll_fn(|context| Poll::Ready(dropped.as_mut().poll(context).is_ready())).await;
        }
        // Whatever is queued is carried out in order: after this append it is decided.
        write(&log, &format!("after-{round}"), "alice", 1).await;
        for job in 0..5 {
            let id = format!("J{round}-{job}");
            let there = !read_all(&log, &of_job(&id)).await.is_empty();
            assert_eq!(log.blob(&JobId::new(id.as_str()), "b").await.unwrap().is_some(), there, "{id}");
        }
    }
}

/// An append, before it is known at which revision its job is.
#[derive(Clone, Copy)]
struct Draft {
    job: usize,
    number: u32,
    /// Whether it expects what is not so.
    wrong: bool,
    entries: u32,
}

/// What a log was told so far: where each job is, as its callers know.
#[derive(Default)]
struct Known {
    newest: HashMap<usize, Revision>,
    /// Which job and number each revision is.
    named: HashMap<Revision, (usize, u32)>,
}

impl Known {
    fn append(&self, draft: Draft) -> Append {
        let first = samples::create(&format!("J{}", draft.job), ["alice", "bob"][draft.job % 2]);
        let newest = self.newest.get(&draft.job).copied();
        let numbers = draft.number..draft.number + draft.entries;
        let updates = numbers.map(|number| samples::update(samples::job_of(&first), Revision::ZERO, number));
        let changes = updates.flat_map(|update| update.changes).collect();
        let expect = if draft.wrong { newest.map_or(Some(Revision(1)), |_| None) } else { newest };
        with_blob(Append { changes, expect, ..first }, &draft.number.to_string())
    }

    /// Takes in outcomes, and says what they were in words that do not depend on revisions.
    fn learn(&mut self, drafts: &[Draft], outcomes: &Outcomes) -> Vec<String> {
        assert_eq!(drafts.len(), outcomes.len());
        let say = |(draft, outcome): (&Draft, &Result<Revision, AppendError>)| match outcome {
            Ok(revision) => {
                self.newest.insert(draft.job, *revision);
                self.named.insert(*revision, (draft.job, draft.number));
                "done".to_owned()
            }
            Err(AppendError::Conflict { actual }) => format!("at {:?}", actual.map(|at| self.named[&at])),
            Err(other) => panic!("{other}"),
        };
        drafts.iter().zip(outcomes).map(say).collect()
    }
}

/// Invariant 2: any appends, cut into calls in any way, come to what they come to one by one in a log in memory.
pub async fn many_at_once_come_to_what_they_come_to_one_by_one(log: Subject) {
    let model = MemoryLog::new();
    let (mut known, mut of_model) = (Known::default(), Known::default());
    // Numbers that look random and are the same in each run.
    let mut seed = 7u64;
    let mut below = |most: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % most
    };
    let mut number = 0;
    for _ in 0..40 {
        let count = 1 + below(12);
        let draft = |_| {
            number += 10;
            let entries = 1 + below(3) as u32;
            Draft { job: below(9) as usize, number, wrong: below(4) == 0, entries }
        };
        let drafts: Vec<Draft> = (0..count).map(draft).collect();
        let outcomes = log.append_all(drafts.iter().map(|draft| known.append(*draft)).collect()).await;
        // All of a call are decided by what is known before it.
        let appends: Vec<Append> = drafts.iter().map(|draft| of_model.append(*draft)).collect();
        let mut expected = Vec::new();
        for append in appends {
            expected.push(model.append(append).await);
        }
        assert_eq!(known.learn(&drafts, &outcomes), of_model.learn(&drafts, &expected));
    }
    let model: Subject = std::sync::Arc::new(model);
    let mut all = [BTreeMap::new(), BTreeMap::new()];
    for (log, found) in [&log, &model].into_iter().zip(&mut all) {
        for (place, entry) in read_all(log, &Filter::All).await.iter().enumerate() {
            let blob = log.blob(&entry.key.job, "b").await.unwrap();
            found.insert(place, (entry.key.clone(), super::number(entry), blob));
        }
    }
    let [found, expected] = all;
    assert_eq!(found, expected);
}
