//! How a log is opened, and why it may not be.

use std::path::PathBuf;

use crate::ids::Revision;

/// How to open a log. Start from `Options::default()`.
#[derive(Clone, Debug)]
pub struct Options {
    /// Entries kept per job, at least 1; a job may go over it by an eighth before it is trimmed. Default 120,000:
    /// a document may have 100,000 pages, and each is an entry.
    pub history_per_job: usize,
    /// Tombstones of forgotten jobs kept for followers; over it (by an eighth) the oldest go. Default 100,000.
    pub forgotten_kept: usize,
    /// Appends waiting for the writer; when it is full, appends wait. Default 1,024.
    pub queue: usize,
    /// Entries kept in memory for readers of what is new. Default 16,384.
    pub recent_entries: usize,
    /// Bytes of those entries, as stored. Default 64 MiB.
    pub recent_bytes: usize,
    /// Reads of older entries at the same time; further ones wait. Default 4.
    pub readers: usize,
    /// The page cache of the writer in bytes. Default 64 MiB.
    pub cache_bytes: usize,
    /// To what size the write-ahead log is grown at opening, so that the first commits need not grow it. It keeps the size it
    /// grows to under load. Default 1 MiB: a folder without jobs takes little space.
    pub wal_ahead_bytes: usize,
    /// At what size the write-ahead log is moved into the database. Default 16 MiB.
    pub checkpoint_bytes: usize,
    /// Bytes on the disk that are kept for ends of jobs ([`Change::is_end`](crate::event::Change::is_end)), for when it is
    /// full. Default 0: none.
    pub reserve_bytes: u64,
    /// What to do when the log is shorter than it once was.
    pub loss: OnLoss,
}

/// What to do when entries that were acknowledged are missing from the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLoss {
    /// Do not open it.
    #[default]
    Refuse,
    /// Go on without them. Positions beyond the loss are not covered any more, and no revision is given twice.
    Accept,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            history_per_job: 120_000,
            forgotten_kept: 100_000,
            queue: 1_024,
            recent_entries: 16_384,
            recent_bytes: 64 * 1024 * 1024,
            readers: 4,
            cache_bytes: 64 * 1024 * 1024,
            wal_ahead_bytes: 1024 * 1024,
            checkpoint_bytes: 16 * 1024 * 1024,
            reserve_bytes: 0,
            loss: OnLoss::Refuse,
        }
    }
}

/// Why a log was not opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the log in {dir} is in use by {}; stop that one first, or choose another data folder",
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        dir: PathBuf,
        /// Its id, if known.
        pid: Option<u32>,
    },
    /// There is nothing to read.
    #[error("there is no log in {dir}; name the data folder of a server whose log is in it")]
    Missing { dir: PathBuf },
    /// The file is somebody else's.
    #[error("{path} is not a log of this program ({found}); choose another data folder, or move that file away")]
    Foreign {
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// Written by a newer version of this program.
    #[error("{path} has schema {found}, and this version knows up to {known} only; use the newer version again")]
    Newer {
        path: PathBuf,
        found: i64,
        /// The newest schema known.
        known: i64,
    },
    /// Acknowledged entries are missing: the log was cut short, or an old copy of it was put back.
    #[error(
        "{path} ends at revision {have}, but it once reached {expected}: entries are missing. Put back `log.db` together \
         with `log.db-wal` and `log.mark` of the same moment, or start with --accept-log-loss to go on without them"
    )]
    Truncated {
        path: PathBuf,
        /// The newest revision found.
        have: Revision,
        /// The newest revision it once had, or more.
        expected: Revision,
    },
    /// The file that records how far the log must reach cannot be read.
    #[error(
        "{path} is damaged, so it is not known whether entries are missing from the log. Check the disk, then start \
         with --accept-log-loss to go on with the entries that are there"
    )]
    MarkDamaged { path: PathBuf },
    /// The file system is not fit for a log.
    #[error("{path} is on a file system without shared memory or locks (journal mode {mode}); choose a local disk")]
    NoWal {
        path: PathBuf,
        /// The journal mode that SQLite fell back to.
        mode: String,
    },
    /// A file or thread could not be had.
    #[error("{path}: {source}; check that the data folder exists, is writable and has space")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path} cannot be opened: {source}; check the disk's health and space, or put back a backup")]
    Database { path: PathBuf, source: rusqlite::Error },
}
