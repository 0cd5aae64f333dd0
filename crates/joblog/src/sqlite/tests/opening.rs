//! Opening: again, twice, by others, of others.

use rusqlite::Connection;

use super::*;

#[tokio::test]
async fn everything_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let mut written = append_jobs(&log, 0..3).await;
    let first = samples::create("J0", "alice");
    written.push(log.append(samples::update(samples::job_of(&first), written[0], 1)).await.unwrap());
    written.push(log.forget(&samples::create("J1", "alice").key, written[1]).await.unwrap());
    let before = log.read(Revision::ZERO, &Filter::All, 100).await.unwrap();
    drop(log);

    let log = open(dir.path());
    assert_eq!(log.read(Revision::ZERO, &Filter::All, 100).await.unwrap(), before);
    assert_eq!(*log.head().borrow(), written[4]);
    let outcome = log.append(samples::update(samples::job_of(&first), written[0], 2)).await;
    assert!(matches!(outcome, Err(AppendError::Conflict { actual }) if actual == Some(written[3])), "{outcome:?}");
    let again = log.append(samples::create("J1", "alice")).await.unwrap();
    assert_eq!(again, Revision(written[4].0 + 1), "revisions go on where they ended");
    assert_eq!(log.trimmed(&Filter::All).await.unwrap(), written[1]);
}

#[tokio::test]
async fn what_was_appended_together_is_there_again_and_what_was_refused_among_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    append_jobs(&log, 0..1).await;
    let create = |number: u32| {
        let blob = Blob { name: "document".into(), bytes: Bytes::from(number.to_string()) };
        Append { blobs: vec![blob], ..samples::create(&format!("J{number}"), "alice") }
    };
    // More than one commit takes of single appends; those of one call stay together.
    let outcomes = log.append_all((0..3_000).map(create).collect()).await;
    let conflicts = outcomes.iter().filter(|outcome| matches!(outcome, Err(AppendError::Conflict { .. }))).count();
    assert_eq!((outcomes.len(), conflicts, outcomes[0].is_err()), (3_000, 1, true));
    drop(log);

    let log = open(dir.path());
    let newest = *outcomes[2_999].as_ref().unwrap();
    assert_eq!((*log.head().borrow(), revisions(&log).await.len()), (newest, 3_000));
    for number in [1, 1_500, 2_999] {
        let found = log.blob(&JobId::new(format!("J{number}")), "document").await.unwrap();
        assert_eq!(found, Some(Bytes::from(number.to_string())));
    }
    assert_eq!(log.blob(&JobId::new("J0"), "document").await.unwrap(), None);
}

#[tokio::test]
async fn each_opening_is_an_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let one = log.info().current();
    let head = append_jobs(&log, 0..2).await[1];
    drop(log);
    let log = open(dir.path());
    let two = log.info().current();
    assert_eq!((log.info().epochs.as_slice(), two.start), ([one, two].as_slice(), head));
    assert!(log.info().covers(one.id, head));
    assert!(!log.info().covers(one.id, Revision(head.0 + 1)), "that was never given in the first epoch");
    assert!(log.info().covers(two.id, Revision(head.0 + 1)));
}

#[test]
fn only_so_many_epochs_are_remembered() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let mut db = Connection::open(dir.path().join("log.db")).unwrap();
    db.pragma_update(None, "synchronous", "OFF").unwrap();
    let mut last = None;
    for _ in 0..1_005 {
        last = Some(epochs::begin(&mut db, Revision(5), Revision(9)).unwrap());
    }
    let opening = last.unwrap();
    assert_eq!((opening.info.epochs.len(), opening.next), (1_000, 10));
    let floor_is_remembered = epochs::begin(&mut db, Revision(5), Revision(5)).unwrap();
    assert_eq!(floor_is_remembered.next, 10);
}

#[tokio::test]
async fn a_second_opener_is_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let error = SqliteLog::open(dir.path(), options()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { pid: Some(pid), .. } if pid == std::process::id()), "{error}");
    let sentence = error.to_string();
    assert!(sentence.contains(&format!("in use by process {}; stop that one first", std::process::id())), "{sentence}");
    append_jobs(&log, 0..1).await;
    drop(log);
    open(dir.path());
}

#[tokio::test]
async fn a_clean_end_leaves_one_file_to_copy() {
    let dir = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(dir.path(), Options { recent_entries: 0, ..options() }).unwrap();
    append_jobs(&log, 0..5).await;
    assert_eq!(revisions(&log).await.len(), 5);
    drop(log);
    let mut files: Vec<_> = dir.path().read_dir().unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["log.db", "log.lock", "log.mark"]);
}

#[test]
fn the_database_is_set_as_promised() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.db");
    let db = schema::open(&path, &Options::default()).unwrap();
    let pragma = |name: &str| -> String {
        let value: rusqlite::types::Value = db.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap();
        format!("{value:?}")
    };
    assert_eq!(pragma("journal_mode"), r#"Text("wal")"#);
    for (name, value) in [
        ("page_size", 8_192),
        ("synchronous", 2),
        ("auto_vacuum", 2),
        ("wal_autocheckpoint", 0),
        ("application_id", 0x4352_4E54),
        ("user_version", 2),
        ("cache_size", -65_536),
    ] {
        assert_eq!(pragma(name), format!("Integer({value})"), "{name}");
    }
    let (pages, wal) = (pragma("page_count"), path.with_extension("db-wal"));
    schema::grow_wal(&db, &path, 4 << 20).unwrap();
    let grown = std::fs::metadata(&wal).unwrap().len();
    assert!((4 << 20..5 << 20).contains(&grown), "{grown} bytes");
    assert_eq!((pragma("synchronous"), pragma("page_count")), ("Integer(2)".into(), pages), "only the WAL grew");
    db.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
    assert_eq!(std::fs::metadata(&wal).unwrap().len(), grown, "what was grown ahead is used");
    // Every question of the readers has an index.
    for scope in ["owner = ''", "job = ''", "1"] {
        let sql =
            format!("EXPLAIN QUERY PLAN SELECT record FROM entry WHERE {scope} AND revision > 5 ORDER BY revision");
        let plan: String = db.query_row(&sql, [], |row| row.get(3)).unwrap();
        assert!(plan.starts_with("SEARCH"), "{plan}");
    }
}

#[tokio::test]
async fn an_older_schema_is_brought_up() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let written = append_jobs(&log, 0..3).await;
    drop(log);
    let db = Connection::open(dir.path().join("log.db")).unwrap();
    db.execute_batch("DROP TABLE blob; PRAGMA user_version = 1").unwrap();
    drop(db);
    for _ in 0..2 {
        let log = open(dir.path());
        assert_eq!(revisions(&log).await, written);
        let blob = Blob { name: "x".into(), bytes: "y".into() };
        log.store_blob(&crate::ids::JobId::new("J0"), blob).await.unwrap();
    }
}

#[test]
fn a_newer_schema_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let path = dir.path().join("log.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 3).unwrap();
    let error = SqliteLog::open(dir.path(), options()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 3, known: 2, .. }), "{error}");
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.db");
    for make in [foreign_database, foreign_file] {
        make(&path);
        let before = std::fs::read(&path).unwrap();
        let error = SqliteLog::open(dir.path(), options()).unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains("choose another data folder"));
        assert_eq!(std::fs::read(&path).unwrap(), before, "not a byte was changed");
    }
}

fn foreign_database(path: &Path) {
    Connection::open(path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
}

fn foreign_file(path: &Path) {
    std::fs::write(path, "This is somebody's diary. ".repeat(1_000)).unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = SqliteLog::open(&file.join("below"), options()).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
    assert!(error.to_string().contains("below"), "{error}");
}
