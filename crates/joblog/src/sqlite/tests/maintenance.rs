//! Housekeeping: trimming, dropping old notices, errors of the storage.

use rusqlite::Connection;

use super::*;

fn rows(dir: &Path, condition: &str) -> u64 {
    let db = Connection::open(dir.join("log.db")).unwrap();
    db.query_row(&format!("SELECT count(*) FROM entry WHERE {condition}"), [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_long_history_is_cut_to_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let limited = Options { history_per_job: 16, recent_entries: 0, ..options() };
    let log = SqliteLog::open(dir.path(), limited.clone()).unwrap();
    let first = samples::create("A", "alice");
    let mut newest = log.append(first.clone()).await.unwrap();
    for number in 1..=100 {
        newest = log.append(samples::update(samples::job_of(&first), newest, number)).await.unwrap();
        // Whatever was due after the last entry is done before the next is answered.
        assert!(rows(dir.path(), "job = 'A'") <= 16 + 16 / 8 + 1, "after {number} entries");
    }
    drop(log);
    let log = SqliteLog::open(dir.path(), limited).unwrap();
    for number in 101..=110 {
        newest = log.append(samples::update(samples::job_of(&first), newest, number)).await.unwrap();
    }
    let left = revisions(&log).await;
    assert!((16..=19).contains(&left.len()) && left.last() == Some(&newest), "{left:?}");
    assert_eq!(log.trimmed(&Filter::Job(first.key.job)).await.unwrap(), Revision(left[0].0 - 1), "exactly");
}

#[tokio::test]
async fn old_notices_of_forgotten_jobs_go_and_are_covered() {
    let dir = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(dir.path(), Options { forgotten_kept: 8, recent_entries: 0, ..options() }).unwrap();
    let early = append_jobs(&log, 1_000..1_001).await[0];
    let mut removed = Vec::new();
    for number in 0..50 {
        let made = append_jobs(&log, number..number + 1).await[0];
        removed.push(made);
        removed.push(log.forget(&samples::create(&format!("J{number}"), "alice").key, made).await.unwrap());
    }
    let again = append_jobs(&log, 0..1).await[0];
    let late = append_jobs(&log, 2_000..2_001).await[0];
    drop(log);
    assert!((8..=9).contains(&rows(dir.path(), "forgotten = 1")));
    let db = Connection::open(dir.path().join("log.db")).unwrap();
    let kept: u64 = db.query_row("SELECT count(*) FROM trimmed WHERE scope = 'job'", [], |row| row.get(0)).unwrap();
    assert!(kept <= 9, "{kept} forgotten jobs are remembered");

    let log = open(dir.path());
    let left = revisions(&log).await;
    for id in ["J0", "J1", "J49"] {
        let mine: Vec<Revision> = match id {
            "J0" => removed[..2].to_vec(),
            "J1" => removed[2..4].to_vec(),
            _ => removed[98..].to_vec(),
        };
        let trimmed = log.trimmed(&Filter::Job(crate::ids::JobId::new(id))).await.unwrap();
        for gone in mine.iter().filter(|revision| !left.contains(revision)) {
            assert!(trimmed >= *gone, "{id}: {gone} is gone, trimmed says {trimmed}");
        }
    }
    let trimmed = async |id| log.trimmed(&Filter::Job(crate::ids::JobId::new(id))).await.unwrap();
    assert!(trimmed("J0").await < again, "a job made again has lost nothing since");
    assert!(trimmed("J1000").await < early, "a job that was always there has lost nothing");
    assert!(trimmed("J2000").await < late);
    let heads = log.latest().await.unwrap().all().await.unwrap();
    assert_eq!(heads.iter().map(|entry| entry.revision).collect::<Vec<_>>(), [early, again, late]);
}

#[tokio::test]
async fn space_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let first = samples::create("A", "alice");
    let big = |job: &crate::job::Job| crate::job::Job { warnings: vec!["x".repeat(900_000)], ..job.clone() };
    let mut newest = log.append(first.clone()).await.unwrap();
    for number in 1..=40 {
        let mut append = samples::update(samples::job_of(&first), newest, number);
        append.changes[0].job = Arc::new(big(samples::job_of(&append)));
        newest = log.append(append).await.unwrap();
    }
    log.forget(&first.key, newest).await.unwrap();
    let db = Connection::open(dir.path().join("log.db")).unwrap();
    let free = || db.query_row("PRAGMA freelist_count", [], |row| row.get::<_, u64>(0)).unwrap();
    let before = free();
    assert!(before > 1_024, "{before} pages are free");
    let mut made = append_jobs(&log, 0..10).await;
    for (number, revision) in made.drain(..).enumerate() {
        log.forget(&samples::create(&format!("J{number}"), "alice").key, revision).await.unwrap();
    }
    append_jobs(&log, 20..21).await;
    assert!(free() < before, "{} of {before} pages are still free", free());
}

#[tokio::test]
async fn an_error_of_the_storage_is_final_and_said() {
    let (dir, head);
    {
        dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        let mut announced = log.head();
        head = append_jobs(&log, 0..3).await[2];
        Connection::open(dir.path().join("log.db")).unwrap().execute_batch("ALTER TABLE entry RENAME TO gone").unwrap();
        for id in ["X", "Y"] {
            let outcome = log.append(samples::create(id, "alice")).await;
            let Err(AppendError::Unknown { reason }) = &outcome else { panic!("{outcome:?}") };
            assert!(reason.contains("no such table"), "{reason}");
        }
        announced.mark_unchanged();
        assert!(announced.changed().await.is_err(), "whoever follows must be notified that it has stopped");
        assert_eq!(*announced.borrow(), head);
        let forgotten = log.forget(&samples::create("J0", "alice").key, Revision(1)).await;
        assert!(matches!(forgotten, Err(AppendError::Unknown { .. })));
    }
    Connection::open(dir.path().join("log.db")).unwrap().execute_batch("ALTER TABLE gone RENAME TO entry").unwrap();
    let log = open(dir.path());
    assert_eq!(*log.head().borrow(), head);
    append_jobs(&log, 3..4).await;
}

#[tokio::test]
async fn a_damaged_entry_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(dir.path(), Options { recent_entries: 0, ..options() }).unwrap();
    append_jobs(&log, 0..3).await;
    let db = Connection::open(dir.path().join("log.db")).unwrap();
    db.execute("UPDATE entry SET record = substr(record, 1, 100) WHERE revision = 2", []).unwrap();
    let error = log.read(Revision::ZERO, &Filter::All, 10).await.unwrap_err();
    assert!(matches!(error, ReadError::Damaged { revision: Revision(2), .. }), "{error}");
    db.execute("UPDATE entry SET record = CAST(x'09' || substr(record, 2) AS BLOB) WHERE revision = 2", []).unwrap();
    let error = log.latest().await.unwrap().all().await.unwrap_err();
    assert!(matches!(error, ReadError::Version { revision: Revision(2), version: 9 }), "{error}");
    assert_eq!(log.read(Revision(2), &Filter::All, 10).await.unwrap().len(), 1, "others can still be read");
}

#[tokio::test]
async fn a_very_long_read_ends_early_but_never_empty() {
    let (log, _dir) = fresh(Options { recent_entries: 0, ..options() });
    let mut last = Revision::ZERO;
    for number in 0..20 {
        let mut append = samples::create(&format!("J{number}"), "alice");
        append.changes[0].job =
            Arc::new(crate::job::Job { warnings: vec!["x".repeat(1_000_000)], ..(**samples::job_of(&append)).clone() });
        last = log.append(append).await.unwrap();
    }
    let page = log.read(Revision::ZERO, &Filter::All, usize::MAX).await.unwrap();
    assert!((1..20).contains(&page.len()), "{} entries", page.len());
    let rest = log.read(page.last().unwrap().revision, &Filter::All, usize::MAX).await.unwrap();
    assert_eq!(rest.last().map(|entry| entry.revision), Some(last));
}
