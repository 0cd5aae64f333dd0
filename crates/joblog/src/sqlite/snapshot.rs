//! A copy of the log as of one moment, while a server writes to it.

use std::fs::{self, File};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::mark::{self, floor};
use super::options::{OnLoss, OpenError};
use super::{schema, table};
use crate::ids::Revision;

/// What is copied to first: a folder with it holds no copy yet.
const UNFINISHED: &str = "log.db.unfinished";

/// Copies the log in folder `dir` into folder `to`, which must be there and have no log. A server may have it open: what it
/// commits meanwhile is not in the copy. Durable when it returns; a copy that was cut off is no log. Blocks. The copy ends at
/// this revision.
///
/// No mark is copied: the copy is whole as it is. Whoever opens it begins an epoch where it ends, so that positions which the original
/// hands out later are not covered.
pub fn snapshot(dir: &Path, to: &Path) -> Result<Revision, OpenError> {
    let path = schema::existing(dir)?;
    let io = |source| OpenError::Io { path: to.to_owned(), source };
    // Before the log: it is behind the log or equal to it.
    let state = mark::read(&dir.join("log.mark")).map_err(|source| OpenError::Io { path: dir.to_owned(), source })?;
    schema::version(&path)?;
    let (draft, copy) = (to.join(UNFINISHED), to.join("log.db"));
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
        Ok(()) | Err(_) => {}
    }
    let head = copy_database(&path, &draft)?;
    floor(state, head, OnLoss::Refuse, dir)?;
    fs::rename(&draft, &copy).and_then(|()| File::open(to)?.sync_all()).map_err(io)?;
    Ok(head)
}

/// The newest revision of the copy.
fn copy_database(from: &Path, to: &Path) -> Result<Revision, OpenError> {
    copy_any(from, to)?;
    let failed = |source| OpenError::Database { path: to.to_owned(), source };
    let db = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    schema::keep_wal(&db, to)?;
    table::newest(&db).map_err(failed)
}

/// Copies any SQLite database as of one moment, whoever has it open. Over nothing: `to` must not be there. Durable when it
/// returns, but for the name of the file. Blocks.
pub fn copy_any(from: &Path, to: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Database { path: from.to_owned(), source };
    let db = schema::open_reader(from).map_err(failed)?;
    let target = to
        .to_str()
        .ok_or_else(|| OpenError::Io { path: to.to_owned(), source: std::io::Error::other("the path is not UTF-8") })?;
    db.execute("VACUUM INTO ?1", [target]).map_err(failed)?;
    let copied = |source| OpenError::Database { path: to.to_owned(), source };
    let copy = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(copied)?;
    let found: String = copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(copied)?;
    let io = |source| OpenError::Io { path: to.to_owned(), source };
    if found != "ok" {
        return Err(io(std::io::Error::other(format!("the copy is damaged: {found}"))));
    }
    drop(copy);
    File::open(to).and_then(|file| file.sync_all()).map_err(io)
}
