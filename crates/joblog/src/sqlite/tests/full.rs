//! A disk without space: nothing is lost, nothing is promised, and it goes on by itself when there is space again.

use std::process::Command;

use super::*;

/// Set within the small disk: where it is.
const DISK: &str = "COURANT_TEST_SMALL_DISK";

#[test]
fn a_full_disk_is_said_and_passes() {
    if let Ok(disk) = std::env::var(DISK) {
        return tokio::runtime::Runtime::new().unwrap().block_on(on_a_small_disk(Path::new(&disk)));
    }
    // A real one, in a mount namespace of its own.
    let disk = tempfile::tempdir().unwrap();
    let script =
        "mount -t tmpfs -o size=6m none \"$1\" || exit 77; exec env \"$2=$1\" \"$3\" --exact \"$4\" --nocapture";
    let name = "sqlite::tests::full::a_full_disk_is_said_and_passes";
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

#[tokio::test]
async fn an_empty_folder_takes_little_space() {
    let dir = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(dir.path(), Options::default()).unwrap();
    append_jobs(&log, 0..3).await;
    let bytes: u64 = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 3 << 20, "{bytes} bytes");
}
