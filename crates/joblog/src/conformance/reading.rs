//! Invariants 4 and 5: reading, filters, limits, latest.

use super::{Subject, create, latest, number, of_job, read_all, read_on, revisions, write};
use crate::ids::{JobId, Owner, Revision};
use crate::latest::LATEST_PAGE;
use crate::log::{Entry, Filter, Record};
use crate::samples;

/// Nothing is there at first.
pub async fn an_empty_log_is_empty(log: Subject) {
    assert_eq!(*log.head().borrow(), Revision::ZERO);
    assert!(log.read(Revision::ZERO, &Filter::All, 10).await.unwrap().is_empty());
    let mut latest = log.latest().await.unwrap();
    assert_eq!((latest.next().await.unwrap(), latest.revision), (None, Revision::ZERO));
    for filter in [Filter::All, Filter::Owner(Owner::new("alice")), of_job("A")] {
        assert_eq!(log.trimmed(&filter).await.unwrap(), Revision::ZERO);
    }
}

/// An entry comes back as it was, by every way of reading.
pub async fn what_was_appended_is_read(log: Subject) {
    let append = samples::create("A", "zoë / \u{1F4C4} 'quoted' *.>");
    let revision = log.append(append.clone()).await.unwrap();
    let record = Record::from(append.changes[0].clone());
    let expected = Entry { revision, key: append.key.clone(), record };
    for filter in [Filter::All, Filter::Owner(append.key.owner), Filter::Job(append.key.job)] {
        let read = log.read(Revision::ZERO, &filter, 10).await.unwrap();
        assert_eq!((read.len(), &*read[0]), (1, &expected));
    }
    assert_eq!(*latest(&log).await[0], expected);
}

/// Owners and jobs are told apart, exactly.
pub async fn filters_select(log: Subject) {
    let a = write(&log, "A", "alice", 3).await;
    let b = write(&log, "B", "bob", 2).await;
    let c = write(&log, "C", "alice", 1).await;
    let owner = |name: &str| Filter::Owner(Owner::new(name));
    let all = [a.clone(), b.clone(), c.clone()].concat();
    assert_eq!(revisions(&read_all(&log, &Filter::All).await), all);
    assert_eq!(revisions(&read_all(&log, &owner("alice")).await), [a.clone(), c].concat());
    assert_eq!(revisions(&read_all(&log, &owner("bob")).await), b);
    assert_eq!(revisions(&read_all(&log, &of_job("A")).await), a);
    for other in ["", "Alice", "alic", "alice ", "A"] {
        assert!(read_all(&log, &owner(other)).await.is_empty(), "{other:?}");
    }
    assert!(read_all(&log, &of_job("alice")).await.is_empty());
    let later = log.read(a[1], &of_job("A"), 10).await.unwrap();
    assert_eq!(revisions(&later), [a[2]], "`after` is exclusive");
}

/// Pages of any size join without a gap or a double.
pub async fn limits_cut_and_pages_join(log: Subject) {
    let mut all = Vec::new();
    for id in ["A", "B", "C"] {
        all.extend(write(&log, id, "alice", 5).await);
    }
    for limit in [1, 2, 4, 5, 14, 15, 16, usize::MAX] {
        let page = log.read(Revision::ZERO, &Filter::All, limit).await.unwrap();
        assert_eq!(revisions(&page), all[..limit.min(15)], "limit {limit}");
        assert_eq!(revisions(&read_on(&log, &Filter::All, Revision::ZERO, limit).await), all, "limit {limit}");
        assert_eq!(revisions(&read_on(&log, &of_job("B"), all[6], limit).await), all[7..10], "limit {limit}");
    }
    assert_eq!(log.read(Revision::ZERO, &Filter::All, 0).await.unwrap().len(), 1, "a limit is at least 1");
    let head = *log.head().borrow();
    for after in [head, Revision(head.0 + 1), Revision(u64::MAX >> 1)] {
        assert!(log.read(after, &Filter::All, 10).await.unwrap().is_empty(), "after {after}");
    }
}

pub async fn latest_has_the_newest_of_each_key(log: Subject) {
    let a = write(&log, "A", "alice", 3).await;
    let b = write(&log, "B", "bob", 1).await;
    let (gone, made) = create(&log, "C", "bob").await;
    let forgotten = log.forget(&gone.key, made).await.unwrap();
    let found = log.latest().await.unwrap();
    assert_eq!(found.revision, forgotten);
    let entries = found.all().await.unwrap();
    assert_eq!((revisions(&entries), number(&entries[0])), (vec![a[2], b[0]], Some(2)));
    let one = samples::create("A", "alice");
    let three = log.append(samples::update(samples::job_of(&one), a[2], 7)).await.unwrap();
    let found = log.latest().await.unwrap();
    assert_eq!(found.revision, three);
    assert_eq!(revisions(&found.all().await.unwrap()), [b[0], three]);
}

/// Invariants 4 and 5 together, as a server starts: `latest`, then read on from there, while others write.
pub async fn latest_and_then_reading_on_misses_nothing(log: Subject) {
    let writing = (0..4).map(|writer| {
        let log = log.clone();
        tokio::spawn(async move { write(&log, &format!("J{writer}"), "alice", 50).await })
    });
    let writing: Vec<_> = writing.collect();
    for _ in 0..10 {
        let found = log.latest().await.unwrap();
        let (revision, entries) = (found.revision, found.all().await.unwrap());
        assert!(entries.is_sorted_by_key(|entry| entry.revision));
        assert!(entries.iter().all(|entry| entry.revision <= revision));
        for entry in &entries {
            let later = read_on(&log, &Filter::Job(entry.key.job.clone()), entry.revision, 100).await;
            assert!(later.first().is_none_or(|next| next.revision > revision), "not the newest of its key");
        }
        let jobs: Vec<&JobId> = entries.iter().map(|entry| &entry.key.job).collect();
        for entry in read_all(&log, &Filter::All).await {
            let known = jobs.contains(&&entry.key.job);
            assert!(known || entry.revision > revision, "{} is missing in latest", entry.key.job);
        }
    }
    for writer in writing {
        writer.await.unwrap();
    }
    assert_eq!(latest(&log).await.len(), 4);
}

/// Jobs of more pages than are read ahead.
const MANY: usize = 5 * LATEST_PAGE + 1;

fn id_of(number: usize) -> String {
    format!("J{number:05}")
}

/// Makes [`MANY`] jobs.
async fn make_many(log: &Subject) {
    const WRITERS: usize = 32;
    let writing = (0..WRITERS).map(|writer| {
        let log = log.clone();
        tokio::spawn(async move {
            for number in (writer..MANY).step_by(WRITERS) {
                create(&log, &id_of(number), "alice").await;
            }
        })
    });
    for writer in writing.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

/// Invariant 5: pages that are taken later show no later state.
pub async fn latest_is_of_one_moment_however_long_it_is_read(log: Subject) {
    make_many(&log).await;
    let mut found = log.latest().await.unwrap();
    let (revision, mut entries) = (found.revision, found.next().await.unwrap().unwrap());
    for id in [MANY - 1, MANY / 2].map(id_of) {
        let first = read_all(&log, &of_job(&id)).await.remove(0);
        let job = samples::create(&id, "alice");
        assert!(log.append(samples::update(samples::job_of(&job), first.revision, 1)).await.unwrap() > revision);
    }
    create(&log, "late", "alice").await;
    while let Some(page) = found.next().await.unwrap() {
        assert!((1..=LATEST_PAGE).contains(&page.len()));
        entries.extend(page);
    }
    assert!(entries.iter().all(|entry| entry.revision <= revision && number(entry) == Some(0)));
    assert_eq!((entries.len(), latest(&log).await.len()), (MANY, MANY + 1));
}

/// What is not read to its end keeps nobody from reading, however often.
pub async fn a_latest_that_is_dropped_holds_nothing(log: Subject) {
    make_many(&log).await;
    for _ in 0..8 {
        let page = log.latest().await.unwrap().next().await.unwrap().unwrap();
        assert!((1..=LATEST_PAGE).contains(&page.len()));
    }
    assert_eq!(latest(&log).await.len(), MANY);
}
