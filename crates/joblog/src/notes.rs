//! Small things that the servers of one log share beside jobs, such as what users have read. They have revisions of the same
//! sequence as entries, so that all servers see both in one order.

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use crate::ids::{Owner, Revision};
use crate::log::{AppendError, ReadError, partition, token};

/// Bytes of a note, at most.
pub const MAX_NOTE_BYTES: usize = 64 * 1024;

/// Which note: of two with one key only the newer is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NoteKey {
    /// What kind of note, of `[a-z]`.
    pub kind: &'static str,
    /// Whose it is; empty: nobody's.
    pub user: Box<str>,
    /// Unique for the user and the kind.
    pub name: Box<str>,
}

/// A note as it was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub revision: Revision,
    pub bytes: Bytes,
}

/// Whether a note may take the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It takes the place of the one with its key.
    Replace,
    /// If there is one with its key, it is a conflict that names its revision.
    IfAbsent,
}

/// Notes of a log. What was put is durable, and stays until it is replaced or removed.
#[async_trait]
pub trait Notes: Send + Sync + 'static {
    /// Puts a note. After [`AppendError::Unknown`] it may be put again: twice is the same as once.
    async fn put(&self, key: &NoteKey, bytes: Bytes, put: Put) -> Result<Revision, AppendError>;

    /// At most `limit` (at least 1) of the notes that are there after `after` (exclusive) and up to `up_to`, oldest first. Fewer does
    /// not mean that there are no more; none does.
    async fn read(&self, after: Revision, up_to: Revision, limit: usize) -> Result<Vec<Note>, ReadError>;

    /// All entries and notes up to here have arrived. At least [`Log::head`](crate::log::Log::head).
    fn arrived(&self) -> watch::Receiver<Revision>;

    /// Removes a note; none there is fine.
    async fn remove(&self, key: &NoteKey) -> Result<(), AppendError>;

    /// Removes the notes of a kind that are older than a revision.
    async fn remove_older(&self, kind: &'static str, than: Revision) -> Result<(), AppendError>;
}

impl NoteKey {
    /// `<kind>.<partition>.<user>.<name>`, each token as in [`Key::encode`](crate::log::Key::encode).
    pub fn encode(&self) -> String {
        let partition = partition(&Owner::new(&*self.user));
        format!("{}.{partition:02}.{}.{}", self.kind, token(&self.user), token(&self.name))
    }
}

/// Says so if a note is too large.
pub fn check(bytes: &Bytes) -> Result<(), AppendError> {
    let bytes = bytes.len();
    if bytes > MAX_NOTE_BYTES {
        return Err(AppendError::TooLarge { bytes, limit: MAX_NOTE_BYTES });
    }
    Ok(())
}
