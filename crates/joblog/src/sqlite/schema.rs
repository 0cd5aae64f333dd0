//! The database file: whose it is, what is in it, and how connections to it are set.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{OpenError, Options};

/// "CRNT": distinguishes our files from other databases.
const APPLICATION_ID: i64 = 0x4352_4E54;
/// The schema this version writes, and the newest it knows.
const SCHEMA: i64 = 2;
/// The schema that began to have blobs.
pub(super) const WITH_BLOBS: i64 = 2;
/// Bytes of a page of a new file. A commit writes every page it changes whole, and a commit of one job changes five: with 16 KiB
/// a job alone takes a quarter longer, with 4 KiB rows of pages with zones are cut in pieces.
const PAGE_SIZE: u32 = 8_192;
/// How long to wait for other programs that read the file.
const BUSY: Duration = Duration::from_secs(10);

const CREATE: &str = "
    CREATE TABLE entry (
        revision  INTEGER PRIMARY KEY,
        owner     TEXT NOT NULL,
        document  TEXT NOT NULL,
        job       TEXT NOT NULL,
        forgotten INTEGER NOT NULL,
        record    BLOB NOT NULL
    ) STRICT;
    -- Both end with the revision, which is the row's own id.
    CREATE INDEX entry_job ON entry (job);
    CREATE INDEX entry_owner ON entry (owner);
    CREATE INDEX entry_forgotten ON entry (revision) WHERE forgotten = 1;

    -- Small files of jobs. They go with their job's entries.
    CREATE TABLE blob (
        job   TEXT NOT NULL,
        name  TEXT NOT NULL,
        bytes BLOB NOT NULL,
        PRIMARY KEY (job, name)
    ) STRICT;

    -- The newest revision ever removed from: ('all', ''), ('owner', owner), ('job', job), ('forgotten', '').
    CREATE TABLE trimmed (
        scope    TEXT NOT NULL,
        name     TEXT NOT NULL,
        revision INTEGER NOT NULL,
        PRIMARY KEY (scope, name)
    ) STRICT, WITHOUT ROWID;

    -- Each opening of the log. Revisions given in it are greater than floor.
    CREATE TABLE epoch (
        number INTEGER PRIMARY KEY,
        id     INTEGER NOT NULL,
        start  INTEGER NOT NULL,
        floor  INTEGER NOT NULL,
        began  INTEGER NOT NULL
    ) STRICT;
";

/// Opens the file for the writer, and makes the schema if it is new. A file that is not ours is not touched.
pub(super) fn open(path: &Path, options: &Options) -> Result<Connection, OpenError> {
    let failed = |source| OpenError::Database { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).map_err(failed)?;
    db.busy_timeout(BUSY).map_err(failed)?;
    match identify(&db) {
        Ok(Identity::Ours) => {}
        Ok(Identity::Older(version)) => migrate(&mut db, version).map_err(failed)?,
        Ok(Identity::Empty) => create(&mut db, path)?,
        Ok(Identity::Newer(found)) => return Err(OpenError::Newer { path: path.to_owned(), found, known: SCHEMA }),
        Ok(Identity::Foreign(found)) => return Err(OpenError::Foreign { path: path.to_owned(), found }),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            return Err(OpenError::Foreign { path: path.to_owned(), found: "not an SQLite database".into() });
        }
        Err(error) => return Err(failed(error)),
    }
    configure(&db, options).map_err(failed)?;
    Ok(db)
}

enum Identity {
    Ours,
    Older(i64),
    Empty,
    Newer(i64),
    Foreign(String),
}

fn identify(db: &Connection) -> rusqlite::Result<Identity> {
    let application: i64 = db.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let things: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (application, version) {
        (APPLICATION_ID, SCHEMA) => Identity::Ours,
        (APPLICATION_ID, older @ 1..SCHEMA) => Identity::Older(older),
        (APPLICATION_ID, newer) if newer > SCHEMA => Identity::Newer(newer),
        (0, 0) if things == 0 => Identity::Empty,
        (application, version) => {
            Identity::Foreign(format!("an SQLite database with application id {application:#x} and version {version}"))
        }
    })
}

/// The file of the log in this folder, if there is one.
pub(super) fn existing(dir: &Path) -> Result<PathBuf, OpenError> {
    let path = dir.join("log.db");
    match path.try_exists() {
        Ok(true) => Ok(path),
        Ok(false) => Err(OpenError::Missing { dir: dir.to_owned() }),
        Err(source) => Err(OpenError::Io { path, source }),
    }
}

/// The schema of a file of ours, which is only looked at.
pub(super) fn version(path: &Path) -> Result<i64, OpenError> {
    let failed = |source| OpenError::Database { path: path.to_owned(), source };
    let foreign = |found: String| OpenError::Foreign { path: path.to_owned(), found };
    match identify(&open_reader(path).map_err(failed)?) {
        Ok(Identity::Ours) => Ok(SCHEMA),
        Ok(Identity::Older(version)) => Ok(version),
        Ok(Identity::Newer(found)) => Err(OpenError::Newer { path: path.to_owned(), found, known: SCHEMA }),
        Ok(Identity::Empty) => Err(foreign("an empty file".into())),
        Ok(Identity::Foreign(found)) => Err(foreign(found)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(foreign("not an SQLite database".into()))
        }
        Err(error) => Err(failed(error)),
    }
}

/// A file keeps the journal mode that it has: a copy has the one of its makers.
pub(super) fn keep_wal(db: &Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Database { path: path.to_owned(), source };
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(failed)?;
    match mode.as_str() {
        "wal" => Ok(()),
        _ => Err(OpenError::NoWal { path: path.to_owned(), mode }),
    }
}

/// One transaction after the settings that must come before the first table, so that a crash leaves nothing half-made.
fn create(db: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Database { path: path.to_owned(), source };
    db.pragma_update(None, "page_size", PAGE_SIZE).map_err(failed)?;
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(failed)?;
    keep_wal(db, path)?;
    let fill = |db: &mut Connection| {
        let all = db.transaction()?;
        all.execute_batch(CREATE)?;
        all.pragma_update(None, "application_id", APPLICATION_ID)?;
        all.pragma_update(None, "user_version", SCHEMA)?;
        all.commit()
    };
    fill(db).map_err(failed)
}

/// Brings the schema of an earlier version up to this one, in one transaction.
fn migrate(db: &mut Connection, from: i64) -> rusqlite::Result<()> {
    let all = db.transaction()?;
    if from < WITH_BLOBS {
        all.execute_batch(
            "CREATE TABLE blob (
                 job TEXT NOT NULL, name TEXT NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (job, name)
             ) STRICT;",
        )?;
    }
    all.pragma_update(None, "user_version", SCHEMA)?;
    all.commit()
}

fn configure(db: &Connection, options: &Options) -> rusqlite::Result<()> {
    db.pragma_update(None, "synchronous", "FULL")?;
    // The checkpointer does it, so that commits need not wait for it.
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    db.pragma_update(None, "cache_size", -kib(options.cache_bytes))?;
    // What a stalled checkpoint let grow is given back.
    let kept = options.wal_ahead_bytes.max(options.checkpoint_bytes.saturating_mul(4));
    db.pragma_update(None, "journal_size_limit", i64::try_from(kept).unwrap_or(i64::MAX))?;
    db.set_prepared_statement_cache_capacity(32);
    Ok(())
}

fn kib(bytes: usize) -> i64 {
    i64::try_from(bytes / 1024).unwrap_or(i64::MAX)
}

/// A connection that only moves the write-ahead log into the database.
pub(super) fn open_checkpointer(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(db)
}

/// A connection that only reads.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY)?;
    Ok(db)
}

/// Moves as much of the write-ahead log into the database as nobody holds up.
pub(super) fn checkpoint(db: &Connection) -> rusqlite::Result<()> {
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

/// Bytes of a page of this file, which an earlier version may have made, and nearly those of a frame of the write-ahead log.
fn page_size(db: &Connection) -> rusqlite::Result<u64> {
    db.query_row("PRAGMA page_size", [], |row| row.get(0))
}

/// Tells the size of the write-ahead log after each commit, in bytes.
pub(super) fn watch_wal(db: &mut Connection) -> rusqlite::Result<Arc<AtomicU64>> {
    let bytes = Arc::new(AtomicU64::new(0));
    let (wal_bytes, page) = (bytes.clone(), page_size(db)?);
    db.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, frames| {
        wal_bytes.store(u64::try_from(frames).unwrap_or(0) * page, Ordering::Relaxed);
        Ok(())
    }))?;
    Ok(bytes)
}

/// Changes a page to what it is: takes the space of one, in a transaction that is under way.
pub(super) fn touch(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "user_version", SCHEMA)
}

/// Lets the write-ahead log grow to this size before it is needed: a commit into a file of the right size is quicker than
/// one that also changes the file's length. Stays within SQLite's rules: many small commits of what is there already.
pub(super) fn grow_wal(db: &Connection, path: &Path, bytes: usize) -> rusqlite::Result<()> {
    let file = path.with_extension("db-wal");
    let size = || std::fs::metadata(&file).map_or(0, |found| found.len());
    let wanted = bytes as u64;
    if size() >= wanted {
        return Ok(());
    }
    db.pragma_update(None, "synchronous", "OFF")?;
    for _ in 0..=wanted / page_size(db)? {
        db.pragma_update(None, "user_version", SCHEMA)?;
    }
    db.pragma_update(None, "synchronous", "FULL")?;
    checkpoint(db)
}
