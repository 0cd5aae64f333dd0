//! What is true of this engine beyond the invariants.

mod crash;
mod full;
mod loss;
mod maintenance;
mod opening;

use tempfile::TempDir;

use super::*;
use crate::samples;

/// Small enough for tests; commits are as durable as ever.
fn options() -> Options {
    Options { wal_ahead_bytes: 0, ..Options::default() }
}

fn open(dir: &Path) -> SqliteLog {
    SqliteLog::open(dir, options()).unwrap()
}

fn fresh(options: Options) -> (Arc<dyn Log>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Arc::new(SqliteLog::open(dir.path(), options).unwrap()), dir)
}

/// Appends first entries of jobs with these numbers.
async fn append_jobs(log: &dyn Log, numbers: std::ops::Range<u32>) -> Vec<Revision> {
    let mut revisions = Vec::new();
    for number in numbers {
        revisions.push(log.append(samples::create(&format!("J{number}"), "alice")).await.unwrap());
    }
    revisions
}

async fn revisions(log: &dyn Log) -> Vec<Revision> {
    let entries = log.read(Revision::ZERO, &Filter::All, usize::MAX).await.unwrap();
    entries.iter().map(|entry| entry.revision).collect()
}

mod from_memory {
    use super::*;

    crate::conformance!(fresh(options()), fresh(Options { history_per_job: 4, ..options() }));
}

/// The same invariants when nothing is kept in memory, so that every read goes to the disk.
mod from_disk {
    use super::*;

    fn nothing_recent() -> Options {
        Options { recent_entries: 0, readers: 2, ..options() }
    }

    crate::conformance!(fresh(nothing_recent()), fresh(Options { history_per_job: 4, ..nothing_recent() }));
}

/// The same invariants when only a few are kept in memory, so that readers cross from the disk to memory, and when the
/// write-ahead log is moved into the database all the time.
mod from_both {
    use super::*;

    fn few_recent() -> Options {
        Options { recent_entries: 8, checkpoint_bytes: 1, queue: 2, ..options() }
    }

    crate::conformance!(fresh(few_recent()), fresh(Options { history_per_job: 4, ..few_recent() }));
}
