use tempfile::TempDir;

use super::*;

/// Small enough for tests; commits are as durable as ever.
fn options() -> Options {
    Options { wal_ahead_bytes: 0, ..Options::default() }
}

fn fresh(options: Options) -> (Arc<dyn Log>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Arc::new(SqliteLog::open(dir.path(), options).unwrap()), dir)
}

mod from_memory {
    use super::*;

    crate::conformance!(fresh(options()), fresh(Options { history_per_job: 4, ..options() }));
}

/// The same laws when nothing is kept in memory, so that every read goes to the disk.
mod from_disk {
    use super::*;

    fn nothing_recent() -> Options {
        Options { recent_entries: 0, readers: 2, ..options() }
    }

    crate::conformance!(fresh(nothing_recent()), fresh(Options { history_per_job: 4, ..nothing_recent() }));
}
