//! Notifications as they are kept, and how their changes are numbered.

use courant_joblog::ids::{Revision, Timestamp};
use sha2::{Digest as _, Sha256};

/// Numbers of changes that each revision has for itself.
const CHANGES_PER_REVISION: i64 = 1 << 16;

/// The kind of notifications that somebody sent.
pub const MESSAGE: &str = "message";

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
    /// Where servers share notifications: the revision that its number is made of.
    pub revision: Option<Revision>,
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

/// What had to go for something newer. The owner of messages to everybody is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obsolete {
    Message { owner: String, id: String },
    Subscription { owner: String, endpoint_name: String },
}

/// Where numbers of changes begin that belong to a revision.
pub fn first_change(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX).saturating_mul(CHANGES_PER_REVISION)
}

/// The revision that a change belongs to.
pub fn revision_of(change: i64) -> Revision {
    Revision(u64::try_from(change / CHANGES_PER_REVISION).unwrap_or(0))
}

/// What an endpoint is called where it must not be seen.
pub fn endpoint_name(endpoint: &str) -> String {
    let hash = Sha256::digest(endpoint.as_bytes());
    courant_runtime::hex(&hash[..16])
}
