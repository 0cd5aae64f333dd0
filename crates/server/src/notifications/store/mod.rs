//! Where notifications are kept: a small SQLite file beside the log, or memory.
//!
//! Every change (a notification made, a notification read) gets the next number of one sequence; a cursor is such a number with the
//! store's id. How far the job log has been looked through is kept in the same transaction as the notifications that came of it:
//! each end of a job makes one notification, also over a crash. The id of such a notification is made of the job and the
//! revision of its end, so that looking through a part of the log again makes nothing twice.

mod apply;
mod database;
mod notification;
mod push;

pub use self::apply::{Applied, Item, Operation, What};
#[cfg(test)]
pub(in crate::notifications) use self::database::tests;
pub use self::database::{Bounds, SHOWN, Store, StoreError};
pub use self::notification::{Draft, MESSAGE, Obsolete, StoredNotification, endpoint_name, revision_of};
