//! Where notifications are kept: a small SQLite file beside the log, or memory.
//!
//! Every change (a notification made, a notification read) gets the next number of one sequence; a cursor is such a number with the
//! store's id. How far the job log has been looked through is kept in the same transaction as the notifications that came of it:
//! each end of a job makes one notification, also over a crash.

mod push;

use std::path::Path;
use std::time::Duration;

use courant_joblog::ids::{Revision, Timestamp};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use crate::error::Error;

/// The file's name in the data folder.
const FILE: &str = "notices.db";
/// The newest that a watch begins with.
pub const SHOWN: usize = 200;
/// The owner of notifications to everybody. No user can have that name: it is empty.
const EVERYBODY: &str = "";

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS notices (
        id TEXT PRIMARY KEY, owner TEXT NOT NULL, change INTEGER NOT NULL, kind TEXT NOT NULL, severity INTEGER NOT NULL,
        title TEXT NOT NULL, body TEXT NOT NULL, job TEXT NOT NULL, made INTEGER NOT NULL);
    CREATE INDEX IF NOT EXISTS by_owner ON notices (owner, change);
    CREATE TABLE IF NOT EXISTS reads (
        owner TEXT NOT NULL, id TEXT NOT NULL, change INTEGER NOT NULL, read INTEGER NOT NULL, PRIMARY KEY (owner, id));
    CREATE INDEX IF NOT EXISTS reads_by_owner ON reads (owner, change);
    CREATE INDEX IF NOT EXISTS reads_by_id ON reads (id);
";
const PUSH_SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS push (
        endpoint TEXT PRIMARY KEY, owner TEXT NOT NULL, p256dh BLOB NOT NULL, auth BLOB NOT NULL, made INTEGER NOT NULL,
        sent INTEGER NOT NULL);
    CREATE INDEX IF NOT EXISTS push_by_owner ON push (owner, made);
";
const FIND: &str = "
    SELECT n.id, n.kind, n.severity, n.title, n.body, n.job, n.made, r.read, MAX(n.change, COALESCE(r.change, 0)) AS changed
    FROM notices n LEFT JOIN reads r ON r.id = n.id AND r.owner = ?1 WHERE n.owner IN (?1, '')";

/// The schema this version writes, and the newest it knows. 0 is the first, which had no number.
const VERSION: i64 = 1;

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the store of notifications failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// Written by a newer version of this program.
    #[error("{FILE} has schema {found}, and this version knows up to {VERSION} only; use the newer version again")]
    Newer { found: i64 },
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::NotificationStore(error.into())
    }
}

type Result<T> = std::result::Result<T, StoreError>;

/// A notification to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Two with the same id are one.
    pub id: String,
    pub owner: Option<String>,
    /// What it is about.
    pub kind: &'static str,
    /// As on the wire.
    pub severity: i32,
    pub title: String,
    pub body: String,
    /// The job, or empty.
    pub job: String,
    /// When it was made.
    pub made: Timestamp,
}

/// A notification as one user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredNotification {
    pub id: String,
    pub kind: String,
    pub severity: i32,
    pub title: String,
    pub body: String,
    pub job: String,
    pub made: Timestamp,
    /// When this user read it.
    pub read: Option<Timestamp>,
    /// The number of the newest change to it.
    pub change: i64,
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Notifications of one user, and of those to everybody. The oldest go first.
    pub per_user: usize,
    /// How long, in milliseconds.
    pub age_ms: i64,
}

pub struct Store {
    database: Mutex<Connection>,
    id: String,
    bounds: Bounds,
}

impl Store {
    pub fn open(folder: &Path, bounds: Bounds) -> Result<Self> {
        Self::on(Connection::open(folder.join(FILE))?, bounds)
    }

    fn on(database: Connection, bounds: Bounds) -> Result<Self> {
        // Before anything is written: a newer version may have meant something else by it.
        let found = database.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found > VERSION {
            return Err(StoreError::Newer { found });
        }
        database.pragma_update(None, "journal_mode", "WAL")?;
        database.pragma_update(None, "synchronous", "FULL")?;
        database.execute_batch(SCHEMA)?;
        database.execute_batch(PUSH_SCHEMA)?;
        database.pragma_update(None, "user_version", VERSION)?;
        let fresh = format!("{:016x}", fastrand::u64(..));
        database.execute("INSERT OR IGNORE INTO meta VALUES ('id', ?1), ('change', '0')", [fresh])?;
        let id = database.query_row("SELECT value FROM meta WHERE name = 'id'", [], |row| row.get(0))?;
        let store = Self { database: Mutex::new(database), id, bounds };
        store.sweep(Timestamp::now(), 0)?;
        Ok(store)
    }

    /// How long notifications are kept.
    pub fn age(&self) -> Duration {
        Duration::from_millis(self.bounds.age_ms.unsigned_abs())
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// How far the job log has been looked through, and in which epoch; none: not yet.
    pub fn followed(&self) -> Result<Option<(u64, Revision)>> {
        let database = self.database.lock();
        let read = "SELECT value FROM meta WHERE name = 'followed'";
        let text: Option<String> = database.query_row(read, [], |row| row.get(0)).optional()?;
        Ok(text
            .as_deref()
            .and_then(|text| text.split_once(' '))
            .and_then(|(epoch, revision)| Some((epoch.parse().ok()?, Revision(revision.parse().ok()?)))))
    }

    /// Keeps notifications, and that the log was looked through up to here. Those that are there already stay as they are.
    pub fn insert(&self, drafts: &[Draft], followed: Option<(u64, Revision)>) -> Result<()> {
        let mut database = self.database.lock();
        let all = database.transaction()?;
        for draft in drafts {
            insert(&all, draft)?;
            trim(&all, draft.owner.as_deref().unwrap_or(EVERYBODY), self.bounds.per_user)?;
        }
        if let Some((epoch, revision)) = followed {
            let value = format!("{epoch} {}", revision.0);
            all.execute("INSERT OR REPLACE INTO meta VALUES ('followed', ?1)", [value])?;
        }
        Ok(all.commit()?)
    }

    /// One notification as its reader sees it.
    pub fn get(&self, user: &str, id: &str) -> Result<Option<StoredNotification>> {
        let sql = format!("{FIND} AND n.id = ?2");
        Ok(self.database.lock().prepare_cached(&sql)?.query_row(params![user, id], notification).optional()?)
    }

    /// What changed for a user after a number, in that order, and the number of the newest change of all.
    pub fn after(&self, user: &str, change: i64, most: usize) -> Result<Vec<StoredNotification>> {
        let sql = format!("{FIND} AND changed > ?2 ORDER BY changed LIMIT ?3");
        self.find(&sql, params![user, change, most as i64])
    }

    /// The newest of a user, newest first.
    pub fn newest(&self, user: &str, most: usize, unread_only: bool) -> Result<Vec<StoredNotification>> {
        let unread = if unread_only { "AND r.read IS NULL" } else { "" };
        let sql = format!("{FIND} {unread} ORDER BY n.change DESC LIMIT ?2");
        self.find(&sql, params![user, most as i64])
    }

    fn find(&self, sql: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Vec<StoredNotification>> {
        let database = self.database.lock();
        let mut query = database.prepare_cached(sql)?;
        let found = query.query_map(values, notification)?;
        Ok(found.collect::<std::result::Result<_, _>>()?)
    }

    /// How many a user has not read.
    pub fn unread(&self, user: &str) -> Result<i64> {
        let sql = "SELECT COUNT(*) FROM notices n LEFT JOIN reads r ON r.id = n.id AND r.owner = ?1
            WHERE n.owner IN (?1, '') AND r.read IS NULL";
        Ok(self.database.lock().prepare_cached(sql)?.query_row([user], |row| row.get(0))?)
    }

    /// The number of the newest change.
    pub fn change(&self) -> Result<i64> {
        Ok(current(&self.database.lock())?)
    }

    /// Marks notifications read for a user; all when none is named. How many were unread before.
    pub fn mark_read(&self, user: &str, ids: &[String], now: Timestamp) -> Result<usize> {
        let mut database = self.database.lock();
        let all = database.transaction()?;
        let unread: Vec<String> = {
            let sql = "SELECT n.id FROM notices n LEFT JOIN reads r ON r.id = n.id AND r.owner = ?1
                WHERE n.owner IN (?1, '') AND r.read IS NULL ORDER BY n.change";
            let mut query = all.prepare_cached(sql)?;
            let found = query.query_map([user], |row| row.get(0))?;
            found.collect::<std::result::Result<_, _>>()?
        };
        let wanted = unread.into_iter().filter(|id| ids.is_empty() || ids.contains(id));
        let mut marked = 0;
        for id in wanted {
            let change = next(&all)?;
            all.execute("INSERT INTO reads VALUES (?1, ?2, ?3, ?4)", params![user, id, change, now.0])?;
            marked += 1;
        }
        all.commit()?;
        Ok(marked)
    }

    /// Removes what is too old by its time, and what was there up to a change.
    pub fn sweep(&self, now: Timestamp, up_to: i64) -> Result<()> {
        let mut database = self.database.lock();
        let all = database.transaction()?;
        let before = now.0.saturating_sub(self.bounds.age_ms);
        all.execute("DELETE FROM notices WHERE made < ?1 OR change <= ?2", [before, up_to])?;
        all.execute("DELETE FROM reads WHERE id NOT IN (SELECT id FROM notices)", [])?;
        Ok(all.commit()?)
    }
}

fn insert(all: &Transaction<'_>, draft: &Draft) -> Result<()> {
    let there = "SELECT 1 FROM notices WHERE id = ?1";
    if all.query_row(there, [&draft.id], |_| Ok(())).optional()?.is_some() {
        return Ok(());
    }
    let change = next(all)?;
    let owner = draft.owner.as_deref().unwrap_or(EVERYBODY);
    let Draft { id, kind, severity, title, body, job, made, .. } = draft;
    let values = params![id, owner, change, kind, severity, title, body, job, made.0];
    all.execute("INSERT INTO notices VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)", values)?;
    Ok(())
}

/// Lets the oldest of an owner go.
fn trim(all: &Transaction<'_>, owner: &str, most: usize) -> Result<()> {
    let oldest = "SELECT change FROM notices WHERE owner = ?1 ORDER BY change DESC LIMIT 1 OFFSET ?2";
    let last = all.query_row(oldest, params![owner, most as i64], |row| row.get::<_, i64>(0)).optional()?;
    if let Some(last) = last {
        let gone = "SELECT id FROM notices WHERE owner = ?1 AND change <= ?2";
        all.execute(&format!("DELETE FROM reads WHERE id IN ({gone})"), params![owner, last])?;
        all.execute("DELETE FROM notices WHERE owner = ?1 AND change <= ?2", params![owner, last])?;
    }
    Ok(())
}

fn next(all: &Transaction<'_>) -> Result<i64> {
    all.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE name = 'change'", [])?;
    Ok(current(all)?)
}

fn current(database: &Connection) -> rusqlite::Result<i64> {
    database.query_row("SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'change'", [], |row| row.get(0))
}

fn notification(row: &Row<'_>) -> rusqlite::Result<StoredNotification> {
    Ok(StoredNotification {
        id: row.get(0)?,
        kind: row.get(1)?,
        severity: row.get(2)?,
        title: row.get(3)?,
        body: row.get(4)?,
        job: row.get(5)?,
        made: Timestamp(row.get(6)?),
        read: row.get::<_, Option<i64>>(7)?.map(Timestamp),
        change: row.get(8)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn store(per_user: usize) -> Store {
        let bounds = Bounds { per_user, age_ms: 1_000_000 };
        Store::on(Connection::open_in_memory().unwrap(), bounds).unwrap()
    }

    pub(super) fn draft(id: &str, owner: Option<&str>) -> Draft {
        Draft {
            id: id.into(),
            owner: owner.map(Into::into),
            kind: "message",
            severity: 1,
            title: format!("title of {id}"),
            body: String::new(),
            job: String::new(),
            made: Timestamp::now(),
        }
    }

    fn ids(notifications: Vec<StoredNotification>) -> Vec<String> {
        notifications.into_iter().map(|notification| notification.id).collect()
    }

    #[test]
    fn notices_are_the_users_and_everybodys_and_read_by_each_alone() {
        let store = store(10);
        let drafts = [draft("a", Some("alice")), draft("b", Some("bob")), draft("all", None), draft("a", Some("bob"))];
        store.insert(&drafts, None).unwrap();
        assert_eq!(ids(store.after("alice", 0, 10).unwrap()), ["a", "all"]);
        assert_eq!((store.unread("alice").unwrap(), store.unread("carol").unwrap()), (2, 1));
        let seen = store.change().unwrap();
        // Bob's is not Alice's to read.
        assert_eq!(store.mark_read("alice", &["all".into(), "b".into()], Timestamp(7)).unwrap(), 1);
        assert_eq!(store.mark_read("alice", &["all".into()], Timestamp(9)).unwrap(), 0);
        let changed = store.after("alice", seen, 10).unwrap();
        assert_eq!((changed.len(), changed[0].id.as_str(), changed[0].read), (1, "all", Some(Timestamp(7))));
        assert!(store.after("bob", seen, 10).unwrap().is_empty());
        assert_eq!(store.mark_read("bob", &[], Timestamp(8)).unwrap(), 2);
        assert_eq!(ids(store.newest("alice", 10, true).unwrap()), ["a"]);
    }

    #[test]
    fn the_oldest_go_first_with_their_marks() {
        let store = store(3);
        for number in 0..6 {
            store.insert(&[draft(&number.to_string(), Some("alice"))], None).unwrap();
            store.mark_read("alice", &[], Timestamp(1)).unwrap();
        }
        assert_eq!(ids(store.newest("alice", 10, false).unwrap()), ["5", "4", "3"]);
        store.sweep(Timestamp(Timestamp::now().0 + 2_000_000), 0).unwrap();
        assert!(store.newest("alice", 10, false).unwrap().is_empty());
        let marks = store.database.lock().query_row("SELECT COUNT(*) FROM reads", [], |row| row.get::<_, i64>(0));
        assert_eq!(marks.unwrap(), 0);
    }

    #[test]
    fn a_store_of_a_newer_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let bounds = Bounds { per_user: 5, age_ms: 1000 };
        drop(Store::open(folder.path(), bounds).unwrap());
        let database = Connection::open(folder.path().join(FILE)).unwrap();
        database.pragma_update(None, "user_version", VERSION + 1).unwrap();
        let refused = Store::open(folder.path(), bounds).err().unwrap().to_string();
        assert!(refused.contains("notices.db has schema 2") && refused.contains("newer version"), "{refused}");
    }

    #[test]
    fn a_store_remembers_its_place_and_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let bounds = Bounds { per_user: 5, age_ms: 1000 };
        let store = Store::open(folder.path(), bounds).unwrap();
        assert_eq!(store.followed().unwrap(), None);
        store.insert(&[], Some((u64::MAX, Revision(42)))).unwrap();
        let id = store.id().to_owned();
        drop(store);
        let store = Store::open(folder.path(), bounds).unwrap();
        assert_eq!((store.id(), store.followed().unwrap()), (id.as_str(), Some((u64::MAX, Revision(42)))));
    }
}
