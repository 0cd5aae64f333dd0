//! Records in a small SQLite file, where one server has the log.

use std::path::Path;

use parking_lot::Mutex;
use rusqlite::{Connection, params};

use super::error::WebhookStoreError;
use super::record::{Kind, Record};

/// The file's name in the data folder.
const FILE: &str = "webhooks.db";
/// The schema this version writes, and the newest it knows.
const VERSION: i64 = 1;
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS records (
        kind TEXT NOT NULL, id TEXT NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
";

pub(super) struct Database(Mutex<Connection>);

impl Database {
    pub(super) fn open(folder: &Path) -> Result<Self, WebhookStoreError> {
        let database = Connection::open(folder.join(FILE))?;
        // Before anything is written: a newer version may have meant something else by it.
        let found = database.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found > VERSION {
            return Err(WebhookStoreError::Newer { found, known: VERSION });
        }
        database.pragma_update(None, "journal_mode", "WAL")?;
        database.execute_batch(SCHEMA)?;
        database.pragma_update(None, "user_version", VERSION)?;
        Ok(Self(Mutex::new(database)))
    }

    pub(super) fn read(&self) -> Result<Vec<Record>, WebhookStoreError> {
        let database = self.0.lock();
        let mut query = database.prepare_cached("SELECT bytes FROM records")?;
        let found = query.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
        let mut records = Vec::new();
        for bytes in found {
            records.extend(Record::decode(&bytes?));
        }
        Ok(records)
    }

    /// What an owner says is on the disk when this returns. How far it was sent to survives the process; after a crash of the
    /// machine the last events may be sent once more.
    pub(super) fn put(&self, record: &Record) -> Result<(), WebhookStoreError> {
        let bytes = record.encode()?;
        let database = self.0.lock();
        let synchronous = if record.kind() == Kind::Endpoint { "FULL" } else { "NORMAL" };
        database.pragma_update(None, "synchronous", synchronous)?;
        let sql = "INSERT INTO records VALUES (?1, ?2, ?3) ON CONFLICT (kind, id) DO UPDATE SET bytes = excluded.bytes";
        database.prepare_cached(sql)?.execute(params![record.kind().name(), record.id(), bytes])?;
        Ok(())
    }

    pub(super) fn remove(&self, kind: Kind, id: &str) -> Result<(), WebhookStoreError> {
        let sql = "DELETE FROM records WHERE kind = ?1 AND id = ?2";
        self.0.lock().prepare_cached(sql)?.execute([kind.name(), id])?;
        Ok(())
    }
}
