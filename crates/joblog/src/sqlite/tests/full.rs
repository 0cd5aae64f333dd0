//! A disk without space: nothing is lost, nothing is promised, and it goes on by itself when there is space again.

use std::process::Command;

use super::*;
use crate::apply::apply;
use crate::event::{Change, Event};
use crate::ids::Timestamp;

/// Set within the small disk: where it is.
const DISK: &str = "COURANT_TEST_SMALL_DISK";

#[test]
fn a_full_disk_is_said_and_passes() {
    small_disk("a_full_disk_is_said_and_passes", |disk| async move { on_a_small_disk(&disk).await });
}

#[test]
fn jobs_can_end_on_a_full_disk_by_the_reserve_and_nothing_else_can() {
    small_disk("jobs_can_end_on_a_full_disk_by_the_reserve_and_nothing_else_can", |disk| async move {
        ends_on_a_small_disk(&disk).await;
    });
}

fn small_disk<F: Future<Output = ()>>(test: &str, run: impl FnOnce(std::path::PathBuf) -> F) {
    if let Ok(disk) = std::env::var(DISK) {
        return tokio::runtime::Runtime::new().unwrap().block_on(run(disk.into()));
    }
    // A real one, in a mount namespace of its own.
    let disk = tempfile::tempdir().unwrap();
    let script =
        "mount -t tmpfs -o size=6m none \"$1\" || exit 77; exec env \"$2=$1\" \"$3\" --exact \"$4\" --nocapture";
    let name = format!("sqlite::tests::full::{test}");
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).arg(disk.path()).arg(DISK).arg(program).arg(name);
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) if status.code().is_some_and(|code| code == 77 || code == 1) && !is_root() => {
            eprintln!("left out: no file systems can be mounted here");
        }
        other => panic!("{other:?}"),
    }
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").unwrap().contains("\nUid:\t0\t")
}

async fn on_a_small_disk(disk: &Path) {
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![1; 2 << 20]).unwrap();
    let dir = disk.join("log");
    let log = SqliteLog::open(&dir, Options { checkpoint_bytes: 256 << 10, recent_entries: 0, ..Options::default() })
        .unwrap();
    let full = log.full().unwrap();
    let (mut kept, mut refused) = (Vec::new(), 0);
    while refused < 20 {
        // Moving the write-ahead log into the database may make room once more.
        match log.append(samples::create(&format!("J{}", kept.len()), "alice")).await {
            Ok(revision) => kept.push(revision),
            Err(AppendError::Full) => {
                refused += 1;
                assert!(*full.borrow());
                // What is there can be read.
                assert_eq!(revisions(&log).await, kept);
            }
            Err(error) => panic!("{error:?}"),
        }
        assert!(kept.len() < 100_000, "the disk never was full");
    }
    std::fs::remove_file(&ballast).unwrap();
    // Nobody has to append anything for it to be noticed.
    log.probe().await.unwrap();
    assert!(!*full.borrow());
    // The job that was refused is new to the log, and one that was kept is at its revision.
    kept.push(log.append(samples::create("later", "bob")).await.unwrap());
    let conflict = log.append(samples::create("J0", "alice")).await;
    assert!(matches!(conflict, Err(AppendError::Conflict { actual: Some(revision) }) if revision == kept[0]));
    assert_eq!(revisions(&log).await, kept);
    drop(log);
    let log = open(&dir);
    assert_eq!(revisions(&log).await, kept);
}

/// Appends jobs until there is no space for more, and has another program take the rest. Gives back what was kept.
async fn fill(log: &SqliteLog, disk: &Path) -> Vec<(Revision, Append)> {
    let mut kept = Vec::new();
    loop {
        let create = samples::create(&format!("J{}", kept.len()), "alice");
        match log.append(create.clone()).await {
            Ok(revision) => kept.push((revision, create)),
            Err(AppendError::Full) => break,
            Err(error) => panic!("{error:?}"),
        }
    }
    let mut others = std::fs::File::create(disk.join("others")).unwrap();
    while std::io::Write::write_all(&mut others, &[1; 4096]).is_ok() {}
    kept
}

fn cancel(revision: Revision, created: &Append) -> Append {
    let event = Event::new(Timestamp::now(), Change::Cancelled { by: "alice".into() });
    let job = Arc::new(apply(Some(samples::job_of(created)), &event).unwrap());
    Append::one(Some(revision), event, job)
}

/// A restart on a full disk knows that it is, and when it is not any more.
async fn started_again(dir: &Path, options: Options, ballast: &Path) -> SqliteLog {
    let log = SqliteLog::open(dir, options).unwrap();
    let full = log.full().unwrap();
    assert!(*full.borrow());
    std::fs::remove_file(ballast).unwrap();
    log.probe().await.unwrap();
    assert!(!*full.borrow());
    log
}

/// Cancels jobs and makes others by one call: those that end are made, the others are told, and each outcome is at its place.
async fn cancelled_among_others(log: &SqliteLog, kept: &[(Revision, Append)]) -> Vec<Revision> {
    let mixed =
        kept.iter().flat_map(|(revision, created)| [samples::create("more", "bob"), cancel(*revision, created)]);
    let outcomes = log.append_all(mixed.collect()).await;
    let (refused, cancelled): (Vec<_>, Vec<_>) =
        outcomes.into_iter().enumerate().partition(|(place, _)| place % 2 == 0);
    assert!(refused.iter().all(|(_, outcome)| matches!(outcome, Err(AppendError::Full))), "{refused:?}");
    cancelled.into_iter().map(|(_, outcome)| outcome.unwrap()).collect()
}

async fn ends_on_a_small_disk(disk: &Path) {
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![1; 2 << 20]).unwrap();
    let dir = disk.join("log");
    let reserve_bytes = 1 << 20;
    let options = Options {
        checkpoint_bytes: 256 << 10,
        recent_entries: 0,
        reserve_bytes,
        wal_ahead_bytes: 0,
        ..Options::default()
    };
    let log = SqliteLog::open(&dir, options.clone()).unwrap();
    let reserved = || std::fs::metadata(dir.join("log.reserve")).unwrap().len();
    let full = log.full().unwrap();
    assert_eq!((reserved(), *full.borrow()), (reserve_bytes, false));
    let kept = fill(&log, disk).await;
    let mut revisions_kept: Vec<_> = kept.iter().map(|(revision, _)| *revision).collect();
    assert!(kept.len() > 204, "{}", kept.len());
    for (revision, created) in &kept[..200] {
        let refused = log.append(samples::create("more", "bob")).await;
        assert!(matches!(refused, Err(AppendError::Full)), "{refused:?}");
        let cancelled = log.append(cancel(*revision, created)).await;
        revisions_kept.push(cancelled.expect("a cancel needs no more than the reserve"));
        assert!(*full.borrow());
    }
    revisions_kept.extend(cancelled_among_others(&log, &kept[200..204]).await);
    assert!(reserved() < reserve_bytes);
    assert!(matches!(log.probe().await, Err(AppendError::Full)), "there is no space for more work");
    drop(log);
    let log = started_again(&dir, options, &ballast).await;
    assert_eq!(reserved(), reserve_bytes);
    revisions_kept.push(log.append(samples::create("more", "bob")).await.unwrap());
    let mut found = revisions(&log).await;
    found.sort();
    assert_eq!(found, revisions_kept, "nothing is lost and nothing was promised in vain");
}

#[tokio::test]
async fn an_empty_folder_takes_little_space() {
    let dir = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(dir.path(), Options::default()).unwrap();
    append_jobs(&log, 0..3).await;
    let bytes: u64 = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 3 << 20, "{bytes} bytes");
}
