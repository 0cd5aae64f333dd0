//! The statements of the writer. They run inside its transaction and are prepared once.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension as _};

use crate::ids::{JobId, Revision};
use crate::log::{Blob, Key};

/// The newest entry of a job, and how many it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) revision: Revision,
    pub(super) entries: usize,
}

/// The newest revision; ZERO in an empty log.
pub(super) fn newest(db: &Connection) -> rusqlite::Result<Revision> {
    let revision: Option<u64> = db.query_row("SELECT max(revision) FROM entry", [], |row| row.get(0))?;
    Ok(Revision(revision.unwrap_or(0)))
}

/// The head of every job that is not forgotten.
pub(super) fn heads(db: &Connection) -> rusqlite::Result<HashMap<JobId, Head>> {
    let forgotten = forgotten(db)?;
    let mut statement = db.prepare("SELECT job, max(revision), count(*) FROM entry GROUP BY job")?;
    let heads = statement.query_map([], |row| {
        Ok((JobId::new(row.get::<_, Box<str>>(0)?), Head { revision: Revision(row.get(1)?), entries: row.get(2)? }))
    })?;
    let alive = |(_, head): &(JobId, Head)| !forgotten.contains(&head.revision);
    let heads = heads.filter(|found| found.as_ref().map_or(true, alive)).collect();
    // All of an index went through the page cache, and most of it is not needed again.
    db.execute_batch("PRAGMA shrink_memory")?;
    heads
}

fn forgotten(db: &Connection) -> rusqlite::Result<HashSet<Revision>> {
    let mut statement = db.prepare("SELECT revision FROM entry WHERE forgotten = 1")?;
    statement.query_map([], |row| Ok(Revision(row.get(0)?)))?.collect()
}

/// What an entry is, beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Changed,
    Forgotten,
}

pub(super) fn insert(
    db: &Connection,
    revision: Revision,
    key: &Key,
    kind: Kind,
    record: &[u8],
) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "INSERT INTO entry (revision, owner, document, job, forgotten, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let (owner, document, job) = (key.owner.as_str(), key.document.as_str(), key.job.as_str());
    statement.execute((revision.0, owner, document, job, kind == Kind::Forgotten, record))?;
    Ok(())
}

pub(super) fn store_blob(db: &Connection, job: &JobId, blob: &Blob) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "INSERT INTO blob (job, name, bytes) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET bytes = excluded.bytes",
    )?;
    statement.execute((job.as_str(), &*blob.name, &*blob.bytes))?;
    Ok(())
}

pub(super) fn remove_blob(db: &Connection, job: &JobId, name: &str) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM blob WHERE job = ?1 AND name = ?2")?.execute((job.as_str(), name))?;
    Ok(())
}

/// Removes all entries and blobs of a job, the newest entry of which is `head`.
pub(super) fn forget(db: &Connection, key: &Key, head: Revision) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM entry WHERE job = ?1")?.execute([key.job.as_str()])?;
    db.prepare_cached("DELETE FROM blob WHERE job = ?1")?.execute([key.job.as_str()])?;
    removed(db, key.owner.as_str(), key.job.as_str(), head)
}

/// Removes all of a job without a trace.
pub(super) fn erase(db: &Connection, job: &JobId) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM entry WHERE job = ?1")?.execute([job.as_str()])?;
    db.prepare_cached("DELETE FROM blob WHERE job = ?1")?.execute([job.as_str()])?;
    Ok(())
}

/// Removes the oldest entries of a job until `keep` are left, at most `most`.
pub(super) fn trim(db: &Connection, job: &JobId, keep: usize, most: usize) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "DELETE FROM entry WHERE revision IN (
             SELECT revision FROM entry WHERE job = ?1 ORDER BY revision
             LIMIT min(?3, max(0, (SELECT count(*) FROM entry WHERE job = ?1) - ?2))
         ) RETURNING owner, revision",
    )?;
    let gone = statement.query_map((job.as_str(), keep, most), |row| Ok((row.get(0)?, Revision(row.get(1)?))))?;
    let gone: Vec<(Box<str>, Revision)> = gone.collect::<rusqlite::Result<_>>()?;
    gone.iter().try_for_each(|(owner, revision)| removed(db, owner, job.as_str(), *revision))
}

/// Removes the oldest tombstones of forgotten jobs, at most `most`.
pub(super) fn drop_forgotten(db: &Connection, most: usize) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "DELETE FROM entry WHERE revision IN (
             SELECT revision FROM entry WHERE forgotten = 1 ORDER BY revision LIMIT ?1
         ) RETURNING owner, job, revision",
    )?;
    let gone = statement.query_map([most], |row| Ok((row.get(0)?, row.get(1)?, Revision(row.get(2)?))))?;
    let gone: Vec<(Box<str>, Box<str>, Revision)> = gone.collect::<rusqlite::Result<_>>()?;
    let mut clear = db.prepare_cached(
        "DELETE FROM trimmed WHERE scope = 'job' AND name = ?1 AND NOT EXISTS (SELECT 1 FROM entry WHERE job = ?1)",
    )?;
    for (owner, job, revision) in &gone {
        removed(db, owner, job, *revision)?;
        raise(db, "forgotten", "", *revision)?;
        // What is remembered for each forgotten job goes with its tombstone; from here on 'forgotten' speaks for it.
        clear.execute([job])?;
    }
    Ok(())
}

pub(super) fn count_forgotten(db: &Connection) -> rusqlite::Result<usize> {
    db.query_row("SELECT count(*) FROM entry WHERE forgotten = 1", [], |row| row.get(0))
}

/// The newest revision removed from a scope.
pub(super) fn trimmed(db: &Connection, scope: &str, name: &str) -> rusqlite::Result<Option<Revision>> {
    let mut statement = db.prepare_cached("SELECT revision FROM trimmed WHERE scope = ?1 AND name = ?2")?;
    statement.query_row((scope, name), |row| Ok(Revision(row.get(0)?))).optional()
}

fn removed(db: &Connection, owner: &str, job: &str, revision: Revision) -> rusqlite::Result<()> {
    raise(db, "all", "", revision)?;
    raise(db, "owner", owner, revision)?;
    raise(db, "job", job, revision)
}

fn raise(db: &Connection, scope: &str, name: &str, revision: Revision) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "INSERT INTO trimmed (scope, name, revision) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET revision = max(revision, excluded.revision)",
    )?;
    statement.execute((scope, name, revision.0))?;
    Ok(())
}

/// Gives up to so many unused pages back to the disk, when there are more than `kept`. Whether there still are.
pub(super) fn shrink(db: &Connection, kept: u64, pages: u32) -> rusqlite::Result<bool> {
    let free = || db.query_row("PRAGMA freelist_count", [], |row| row.get::<_, u64>(0));
    if free()? <= kept {
        return Ok(false);
    }
    // Works only as long as it is asked for rows.
    let mut statement = db.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(free()? > kept)
}
