//! The store: a small SQLite file, or memory.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use courant_joblog::ids::{Revision, Timestamp};
use courant_joblog::log::AppendError;
use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use super::notification::{Draft, MESSAGE, Obsolete, StoredNotification, first_change};
use crate::error::Error;

/// The file's name in the data folder.
const FILE: &str = "notices.db";
/// The newest that a watch begins with.
pub const SHOWN: usize = 200;
/// Owners of whom it is remembered how many notifications they have. With more, all are counted again when they get one.
const MAX_COUNTED: usize = 10_000;
/// `synchronous` for what is made of the job log: should the machine crash, it is made of it once more, with the same numbers.
const DERIVED: &str = "NORMAL";
/// `synchronous` for what nobody could make again. It makes everything before it durable as well.
const SYNCED: &str = "FULL";
/// More statements than there are.
const STATEMENTS: usize = 64;
/// The owner of notifications to everybody. No user can have that name: it is empty.
const EVERYBODY: &str = "";

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS notices (
        id TEXT PRIMARY KEY, owner TEXT NOT NULL, change INTEGER NOT NULL, kind TEXT NOT NULL, severity INTEGER NOT NULL,
        title TEXT NOT NULL, body TEXT NOT NULL, job TEXT NOT NULL, made INTEGER NOT NULL);
    CREATE INDEX IF NOT EXISTS by_owner ON notices (owner, change);
    CREATE INDEX IF NOT EXISTS by_job ON notices (job);
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
pub(super) const FIND: &str = "
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
    /// What servers share could not be written, or may not have been.
    #[error("it could not be shared with the other servers: {0}")]
    Shared(#[from] AppendError),
    /// It is shared, and this server has not seen it yet.
    #[error("it is kept, but does not show at this server yet; ask again")]
    Behind,
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::NotificationStore(error.into())
    }
}

pub(super) type Result<T> = std::result::Result<T, StoreError>;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Notifications of one user, and of those to everybody. The oldest go first.
    pub per_user: usize,
    /// How long, in milliseconds.
    pub age_ms: i64,
}

pub struct Store {
    pub(super) database: Mutex<Connection>,
    id: String,
    pub(super) bounds: Bounds,
    /// How many notifications owners have: of some of those who got one lately. Locked while the database is.
    pub(super) counts: Mutex<HashMap<String, usize>>,
    /// Transactions that were committed, each of which waits for the disk.
    #[cfg(test)]
    pub(in crate::notifications) commits: std::sync::atomic::AtomicUsize,
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
        database.pragma_update(None, "synchronous", DERIVED)?;
        // Otherwise a statement with a new LIMIT is prepared again each time.
        database.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        database.set_prepared_statement_cache_capacity(STATEMENTS);
        database.execute_batch(SCHEMA)?;
        database.execute_batch(PUSH_SCHEMA)?;
        database.pragma_update(None, "user_version", VERSION)?;
        let fresh = format!("{:016x}", fastrand::u64(..));
        database.execute("INSERT OR IGNORE INTO meta VALUES ('id', ?1), ('change', '0')", [fresh])?;
        let id = database.query_row("SELECT value FROM meta WHERE name = 'id'", [], |row| row.get(0))?;
        let store = Self {
            database: Mutex::new(database),
            id,
            bounds,
            counts: Mutex::default(),
            #[cfg(test)]
            commits: Default::default(),
        };
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
    /// Those that did not come of the log (`followed` is `None`) are durable then.
    pub fn insert(&self, drafts: &[Draft], followed: Option<(u64, Revision)>) -> Result<()> {
        match followed {
            Some(_) => self.insert_into(&mut self.database.lock(), drafts, followed),
            None => self.synced(|database| self.insert_into(database, drafts, None)),
        }
    }

    /// Makes a change that is durable when this returns.
    pub(super) fn synced<T>(&self, change: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let mut database = self.database.lock();
        database.pragma_update(None, "synchronous", SYNCED)?;
        let changed = change(&mut database);
        database.pragma_update(None, "synchronous", DERIVED)?;
        changed
    }

    fn insert_into(
        &self,
        database: &mut Connection,
        drafts: &[Draft],
        followed: Option<(u64, Revision)>,
    ) -> Result<()> {
        let mut counts = std::mem::take(&mut *self.counts.lock());
        let all = database.transaction()?;
        insert(&all, drafts, self.bounds.per_user, &mut counts)?;
        if let Some(position) = followed {
            set_followed(&all, position)?;
        }
        self.commit(all)?;
        // Only now: of what failed nothing is known.
        *self.counts.lock() = counts;
        Ok(())
    }

    pub(super) fn commit(&self, all: Transaction<'_>) -> Result<()> {
        all.commit()?;
        #[cfg(test)]
        self.commits.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    /// One notification as its reader sees it.
    pub fn get(&self, user: &str, id: &str) -> Result<Option<StoredNotification>> {
        let sql = format!("{FIND} AND n.id = ?2");
        Ok(self.database.lock().prepare_cached(&sql)?.query_row(params![user, id], notification).optional()?)
    }

    /// What changed for a user after a number, in that order: about `most`, as those of one number are not parted.
    pub fn after(&self, user: &str, change: i64, most: usize) -> Result<Vec<StoredNotification>> {
        let sql = format!("{FIND} AND changed > ?2 ORDER BY changed LIMIT ?3");
        let mut found = self.find(&sql, params![user, change, most as i64])?;
        if let Some(last) = found.last().filter(|_| found.len() >= most).map(|last| last.change) {
            found.retain(|notification| notification.change < last);
            found.extend(self.find(&format!("{FIND} AND changed = ?2 ORDER BY n.change"), params![user, last])?);
        }
        Ok(found)
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
        self.synced(|database| {
            let all = database.transaction()?;
            let marked = mark_read(&all, user, ids, now)?;
            if marked > 0 {
                self.commit(all)?;
            }
            Ok(marked)
        })
    }

    /// Whether a user has not read one of these notifications; of all when none is named.
    pub fn has_unread(&self, user: &str, ids: &[String]) -> Result<bool> {
        Ok(!unread_of(&self.database.lock(), user, ids)?.is_empty())
    }

    /// The newest change of those that are too old.
    pub fn newest_expired(&self, now: Timestamp, up_to: i64) -> Result<Option<i64>> {
        let sql = "SELECT MAX(change) FROM notices WHERE made < ?1 OR change <= ?2";
        let before = now.0.saturating_sub(self.bounds.age_ms);
        Ok(self.database.lock().query_row(sql, [before, up_to], |row| row.get(0))?)
    }

    /// Removes what is too old by its time, and what was there up to a change.
    pub fn sweep(&self, now: Timestamp, up_to: i64) -> Result<()> {
        let mut database = self.database.lock();
        let all = database.transaction()?;
        let before = now.0.saturating_sub(self.bounds.age_ms);
        all.execute("DELETE FROM notices WHERE made < ?1 OR change <= ?2", [before, up_to])?;
        all.execute("DELETE FROM reads WHERE id NOT IN (SELECT id FROM notices)", [])?;
        self.counts.lock().clear();
        self.commit(all)
    }
}

/// Keeps notifications; gives the messages that had to go for them.
pub(super) fn insert(
    all: &Transaction<'_>,
    drafts: &[Draft],
    most: usize,
    counts: &mut HashMap<String, usize>,
) -> rusqlite::Result<Vec<Obsolete>> {
    let mut obsolete = Vec::new();
    if drafts.is_empty() {
        return Ok(obsolete);
    }
    let before = current(all)?;
    let (mut change, mut new) = (before, HashMap::<&str, usize>::new());
    let drafts = newest_of_each(drafts, most);
    {
        let mut insert = all.prepare_cached(
            "INSERT INTO notices VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO NOTHING",
        )?;
        for draft in drafts {
            let owner = draft.owner.as_deref().unwrap_or(EVERYBODY);
            let Draft { id, kind, severity, title, body, job, made, .. } = draft;
            let next = draft.revision.map_or(change, |revision| change.max(first_change(revision))) + 1;
            let values = params![id, owner, next, kind, severity, title, body, job, made.0];
            if insert.execute(values)? > 0 {
                change = next;
                *new.entry(owner).or_default() += 1;
            }
        }
    }
    for (owner, new) in new {
        let known = counts.get(owner).map(|known| known + new);
        let count = known.map_or_else(|| count(all, owner), Ok)?;
        trim(all, owner, count.saturating_sub(most), &mut obsolete)?;
        if counts.len() >= MAX_COUNTED && !counts.contains_key(owner) {
            counts.clear();
        }
        counts.insert(owner.to_owned(), count.min(most));
    }
    if change > before {
        set_current(all, change)?;
    }
    Ok(obsolete)
}

/// Marks notifications read for a user; all when none is named. How many were unread before.
pub(super) fn mark_read(all: &Transaction<'_>, user: &str, ids: &[String], now: Timestamp) -> rusqlite::Result<usize> {
    // One number for all: a server that never had one of them gives the others the same.
    let (unread, change) = (unread_of(all, user, ids)?, current(all)? + 1);
    let mut mark = all.prepare_cached("INSERT INTO reads VALUES (?1, ?2, ?3, ?4)")?;
    for id in &unread {
        mark.execute(params![user, id, change, now.0])?;
    }
    if !unread.is_empty() {
        set_current(all, change)?;
    }
    Ok(unread.len())
}

/// What a user has not read of these notifications, or of all when none is named, in the order in which it came.
fn unread_of(database: &Connection, user: &str, ids: &[String]) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT n.id FROM notices n LEFT JOIN reads r ON r.id = n.id AND r.owner = ?1
        WHERE n.owner IN (?1, '') AND r.read IS NULL ORDER BY n.change";
    let mut query = database.prepare_cached(sql)?;
    let mut unread = query.query_map([user], |row| row.get(0))?.collect::<std::result::Result<Vec<String>, _>>()?;
    let named: HashSet<&String> = ids.iter().collect();
    unread.retain(|id| ids.is_empty() || named.contains(id));
    Ok(unread)
}

/// Without those that would have to go again for the others.
fn newest_of_each(drafts: &[Draft], most: usize) -> Vec<&Draft> {
    let mut found = HashMap::<Option<&str>, usize>::new();
    let mut kept: Vec<&Draft> = drafts
        .iter()
        .rev()
        .filter(|draft| {
            let count = found.entry(draft.owner.as_deref()).or_default();
            *count += 1;
            *count <= most
        })
        .collect();
    kept.reverse();
    kept
}

fn count(all: &Transaction<'_>, owner: &str) -> rusqlite::Result<usize> {
    let mut query = all.prepare_cached("SELECT COUNT(*) FROM notices WHERE owner = ?1")?;
    query.query_row([owner], |row| row.get::<_, i64>(0)).map(|count| usize::try_from(count).unwrap_or(0))
}

/// Lets so many of the oldest of an owner go.
fn trim(all: &Transaction<'_>, owner: &str, excess: usize, obsolete: &mut Vec<Obsolete>) -> rusqlite::Result<()> {
    const OLDEST: &str = "SELECT id FROM notices WHERE owner = ?1 ORDER BY change LIMIT ?2";
    if excess == 0 {
        return Ok(());
    }
    let values = params![owner, excess as i64];
    all.prepare_cached(&format!("DELETE FROM reads WHERE id IN ({OLDEST})"))?.execute(values)?;
    let mut delete = all.prepare_cached(&format!("DELETE FROM notices WHERE id IN ({OLDEST}) RETURNING id, kind"))?;
    let gone = delete.query_map(values, |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    for gone in gone {
        let (id, kind) = gone?;
        if kind == MESSAGE {
            obsolete.push(Obsolete::Message { owner: owner.to_owned(), id });
        }
    }
    Ok(())
}

/// How far the job log has been looked through, and in which epoch.
pub(super) fn set_followed(all: &Transaction<'_>, (epoch, revision): (u64, Revision)) -> rusqlite::Result<()> {
    let value = format!("{epoch} {}", revision.0);
    all.prepare_cached("INSERT OR REPLACE INTO meta VALUES ('followed', ?1)")?.execute([value])?;
    Ok(())
}

pub(super) fn set_current(all: &Transaction<'_>, change: i64) -> rusqlite::Result<()> {
    all.prepare_cached("UPDATE meta SET value = ?1 WHERE name = 'change'")?.execute([change.to_string()])?;
    Ok(())
}

pub(super) fn current(database: &Connection) -> rusqlite::Result<i64> {
    let mut query = database.prepare_cached("SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'change'")?;
    query.query_row([], |row| row.get(0))
}

pub(super) fn notification(row: &Row<'_>) -> rusqlite::Result<StoredNotification> {
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
pub(in crate::notifications) mod tests {
    use super::*;

    pub(in crate::notifications) fn store(per_user: usize) -> Store {
        let bounds = Bounds { per_user, age_ms: 1_000_000 };
        Store::on(Connection::open_in_memory().unwrap(), bounds).unwrap()
    }

    pub(in crate::notifications) fn draft(id: &str, owner: Option<&str>) -> Draft {
        Draft {
            id: id.into(),
            owner: owner.map(Into::into),
            kind: "message",
            severity: 1,
            title: format!("title of {id}"),
            body: String::new(),
            job: String::new(),
            made: Timestamp::now(),
            revision: None,
        }
    }

    pub fn commits(store: &Store) -> usize {
        store.commits.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn ids(notifications: Vec<StoredNotification>) -> Vec<String> {
        notifications.into_iter().map(|notification| notification.id).collect()
    }

    #[test]
    fn of_more_than_are_kept_the_newest_are_written_and_others_keep_theirs() {
        let store = store(3);
        store.insert(&[draft("b0", Some("bob"))], None).unwrap();
        let many: Vec<Draft> = (0..10).map(|n| draft(&format!("a{n}"), Some("alice"))).collect();
        let before = store.change().unwrap();
        store.insert(&many, None).unwrap();
        assert_eq!(store.change().unwrap(), before + 3, "the others were not written at all");
        assert_eq!(ids(store.newest("alice", 10, false).unwrap()), ["a9", "a8", "a7"]);
        assert_eq!(ids(store.newest("bob", 10, false).unwrap()), ["b0"]);
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
    fn what_was_read_together_comes_together_however_small_the_page() {
        let store = store(10);
        for number in 0..6 {
            store.insert(&[draft(&number.to_string(), Some("alice"))], None).unwrap();
        }
        let seen = store.change().unwrap();
        store.mark_read("alice", &["1".into(), "3".into(), "4".into()], Timestamp(1)).unwrap();
        store.mark_read("alice", &["2".into()], Timestamp(2)).unwrap();
        let first = store.after("alice", seen, 2).unwrap();
        let next = store.after("alice", first.last().unwrap().change, 2).unwrap();
        assert_eq!((ids(first), ids(next)), (vec!["1".into(), "3".into(), "4".into()], vec!["2".into()]));
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
    fn an_owner_is_trimmed_once_for_a_batch_whatever_is_remembered_of_counts() {
        let store = store(3);
        let batch = |from: u32, to: u32| -> Vec<Draft> {
            let of_two =
                |number: u32| [draft(&format!("a{number}"), Some("alice")), draft(&format!("b{number}"), Some("bob"))];
            (from..to).flat_map(of_two).collect()
        };
        store.insert(&batch(0, 2), None).unwrap();
        store.mark_read("alice", &["a0".into()], Timestamp(1)).unwrap();
        let before = commits(&store);
        store.insert(&batch(0, 8), None).unwrap();
        assert_eq!(commits(&store) - before, 1);
        assert_eq!(ids(store.newest("alice", 10, false).unwrap()), ["a7", "a6", "a5"]);
        // Forgotten, as by a start.
        store.counts.lock().clear();
        store.insert(&batch(8, 9), None).unwrap();
        store.insert(&batch(9, 10), None).unwrap();
        assert_eq!(ids(store.newest("bob", 10, false).unwrap()), ["b9", "b8", "b7"]);
        let seen = store.change().unwrap();
        store.insert(&batch(8, 10), None).unwrap();
        assert_eq!(store.change().unwrap(), seen, "all were there");
        let everybody: Vec<_> =
            (0..MAX_COUNTED + 5).map(|user| draft(&format!("u{user}"), Some(&user.to_string()))).collect();
        store.insert(&everybody, None).unwrap();
        assert!(store.counts.lock().len() <= MAX_COUNTED);
    }

    /// `cargo test -p courant-server --lib how_fast -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn how_fast_ended_jobs_are_kept() {
        for owners in [1, 1000] {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), Bounds { per_user: 500, age_ms: 1_000_000 }).unwrap();
            let owner = |number: usize| format!("owner-{}", number % owners);
            let drafts: Vec<Draft> =
                (0..20_000).map(|number| draft(&number.to_string(), Some(&owner(number)))).collect();
            let begun = std::time::Instant::now();
            for (page, revision) in drafts.chunks(512).zip(1..) {
                store.insert(page, Some((1, Revision(revision)))).unwrap();
            }
            let (rate, commits) = (drafts.len() as f64 / begun.elapsed().as_secs_f64(), commits(&store) - 1);
            println!("{owners} owners: {rate:.0} ended jobs a second, {commits} transactions");
        }
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
