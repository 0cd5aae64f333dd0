//! What its owner says of an endpoint.

use courant_engine::cursor::Cursor;
use courant_joblog::ids::{Owner, Revision};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::event_kind::EventKind;

/// A position in a log, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub epoch: u64,
    pub revision: Revision,
}

impl From<Cursor> for Position {
    fn from(Cursor { epoch, revision }: Cursor) -> Self {
        Self { epoch, revision }
    }
}

impl From<Position> for Cursor {
    fn from(Position { epoch, revision }: Position) -> Self {
        Self { epoch, revision }
    }
}

/// An endpoint as its owner wants it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    pub id: String,
    pub owner: Owner,
    /// Empty for that of jobs' callbacks: each job has its own.
    pub url: String,
    pub description: String,
    pub events: Vec<EventKind>,
    /// The secrets, newest first, sealed: whoever knows one can write in the service's name.
    pub sealed_secrets: Vec<u8>,
    /// Until when the second secret signs as well, in milliseconds since 1970.
    pub old_secret_until: Option<i64>,
    pub enabled: bool,
    /// When it was made, in milliseconds since 1970.
    pub made: i64,
    /// Grows whenever its owner wants sending to begin again: who sends then forgets that it was switched off.
    pub generation: u64,
    /// Where to begin when what was sent is of an earlier generation than `start_generation`.
    pub start: Position,
    pub start_generation: u64,
    /// It was removed: this stays for a while, for servers that have not seen it.
    pub removed: bool,
    /// Grows with each change.
    pub version: u64,
}

impl Endpoint {
    /// Whether it is that of jobs' callbacks.
    pub fn is_callback(&self) -> bool {
        self.url.is_empty()
    }

    /// Whether its owner wants it to be sent to.
    pub fn is_wanted(&self) -> bool {
        self.enabled && !self.removed
    }
}

/// The id of the endpoint of an owner's callbacks.
pub fn callback_id(owner: &Owner) -> String {
    let hash = Sha256::digest(owner.as_str().as_bytes());
    format!("callback-{}", courant_runtime::hex(&hash[..16]))
}
