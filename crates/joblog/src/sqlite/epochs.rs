//! One epoch per opening, so that positions handed out before a loss or a restored backup are recognised.

use rusqlite::Connection;

use crate::ids::{Revision, Timestamp};
use crate::log::{Epoch, LogInfo};

/// How many openings are remembered. Positions of older ones are not covered any more.
const KEPT: i64 = 1_000;

/// What an opening needs to know.
pub(super) struct Opening {
    pub(super) info: LogInfo,
    /// The revision to be given next.
    pub(super) next: u64,
}

/// Begins an epoch: the log ends at `have`, and new revisions must be above `floor`.
pub(super) fn begin(db: &mut Connection, have: Revision, floor: Revision) -> rusqlite::Result<Opening> {
    let epoch = Epoch::begin(have);
    let all = db.transaction()?;
    let before: u64 = all.query_row("SELECT coalesce(max(floor), 0) FROM epoch", [], |row| row.get(0))?;
    let floor = floor.0.max(before).max(have.0);
    all.execute(
        "INSERT INTO epoch (id, start, floor, began) VALUES (?1, ?2, ?3, ?4)",
        (epoch.id.cast_signed(), epoch.start.0, floor, Timestamp::now().0),
    )?;
    all.execute("DELETE FROM epoch WHERE number <= (SELECT max(number) FROM epoch) - ?1", [KEPT])?;
    let epochs = read(&all)?;
    all.commit()?;
    Ok(Opening { info: LogInfo { epochs }, next: floor + 1 })
}

/// The openings that are remembered, oldest first.
pub(super) fn read(db: &Connection) -> rusqlite::Result<Vec<Epoch>> {
    let mut rows = db.prepare("SELECT id, start FROM epoch ORDER BY number")?;
    let epochs = rows.query_map([], |row| {
        let id: i64 = row.get(0)?;
        Ok(Epoch { id: id.cast_unsigned(), start: Revision(row.get(1)?) })
    })?;
    epochs.collect()
}
