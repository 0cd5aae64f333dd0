//! The one ordered log, as a trait with invariants. Engines: [`memory`](crate::memory), [`sqlite`](crate::sqlite), and NATS
//! JetStream in the crate `courant-natslog`, which several servers can have open at once.
//!
//! # Invariants
//!
//! Every engine MUST keep them; the module `conformance` (feature `conformance`) has tests for each.
//!
//! 1. **Order.** Every successful append gets a revision greater than that of every entry visible before it. Revisions
//!    are unique over all keys and never given twice, not even after a crash. They MAY have gaps.
//! 2. **Compare and set.** An append succeeds only if `expect` is the revision of the key's newest entry (`None`: the
//!    key has none, or was forgotten). Of several appends with the same expectation at most one succeeds. The entries and
//!    blobs of one append exist all or not at all, and its entries have consecutive revisions.
//! 3. **Durable before visible.** An entry is returned by `append`, `read`, `latest` or announced by `head` only when it
//!    survives a crash of the process and of the machine (the memory engine: of nothing). This holds for the revision
//!    named in a conflict too.
//! 4. **Prefix.** Once `head` announces R, `read` returns every entry up to R that still exists. A reader that reads
//!    until it reaches `head` and then waits for `head` to change sees each entry exactly once, in order.
//! 5. **Latest.** `latest` returns the newest entry of each key that is not forgotten, and the revision it is true for: of that
//!    one moment, however long its pages are read. MUST NOT hold more than a few pages in memory at a time. An engine that
//!    others append to meanwhile MAY leave out an entry that was removed while the pages were read: who reads on from that
//!    revision is told of the removal, or of a newer entry of the key.
//! 6. **Forget.** `forget` removes a key's entries and appends a [`Record::Forgotten`], so that followers see it.
//!    Afterwards the key is as if it never was.
//! 7. **Trimming is reported.** When entries are removed (history cap, forget), `trimmed` of that scope covers them: a reader
//!    whose position is below it may have missed something. An engine MAY over-report, MUST NOT under-report. Entries may
//!    go while one reads: to be sure that nothing was missed, ask after the last `read`, not before the first.
//! 8. **Unknown outcomes are reported.** When the outcome of an append cannot be known the error is
//!    [`AppendError::Unknown`]; the caller reads back before it tries again. After it the engine MAY refuse all further
//!    appends.
//! 9. **Blobs.** A blob belongs to a job and exists only while the job has entries: it is stored with an append of the job
//!    or after it, and goes with `forget`. It is returned only when it survives a crash, like an entry. Stored again under
//!    its name, it is replaced.
//! 10. **Epochs.** Each opening of a log begins an epoch with a fresh random id; where several servers have the log open at
//!     once, all share the epoch that began with the log, or with its last restoration. [`LogInfo::covers`] tells whether a position handed out in an
//!     epoch still means the same: false when the log was replaced, cut or restored since.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use crate::commit_stats::CommitStats;
use crate::event::Event;
use crate::ids::{DocumentId, JobId, Owner, Revision};
use crate::job::Job;
pub use crate::latest::Latest;
use crate::notes::Notes;
use crate::peers::Peers;

/// What entries are about. Engines that need text (files, subjects) use [`Key::encode`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub owner: Owner,
    pub document: DocumentId,
    pub job: JobId,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub revision: Revision,
    /// What it is about.
    pub key: Key,
    pub record: Record,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Something happened; the job afterwards.
    Changed { event: Event, job: Arc<Job> },
    /// The key and all its earlier entries are gone.
    Forgotten,
}

/// Entries to append to one key, all of them or none.
#[derive(Clone, Debug)]
pub struct Append {
    pub key: Key,
    /// The revision of the key's newest entry, `None` if there must be none.
    pub expect: Option<Revision>,
    /// The entries, oldest first; at least one.
    pub changes: Vec<Changed>,
    /// Become durable with the entries.
    pub blobs: Vec<Blob>,
}

/// Something that happened, and the job afterwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    pub event: Event,
    pub job: Arc<Job>,
}

/// Bytes of a job that are too small for a file of their own, at most [`MAX_BLOB_BYTES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Unique within the job.
    pub name: Box<str>,
    pub bytes: Bytes,
}

/// Bytes of a blob.
pub const MAX_BLOB_BYTES: usize = 256 * 1024;

/// Which entries to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    All,
    /// Those of one owner.
    Owner(Owner),
    /// Those of one job.
    Job(JobId),
}

/// One opening of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    pub id: u64,
    /// The newest revision when it began.
    pub start: Revision,
}

/// Facts about a log that change only when it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogInfo {
    /// Oldest first; the last is the current one. Never empty.
    pub epochs: Vec<Epoch>,
}

/// Where a log is and how large, for operators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogDescription {
    /// `memory`, `sqlite` or `nats`.
    pub engine: &'static str,
    /// The file or the stream.
    pub location: String,
    /// Bytes that it takes, if that is known.
    pub bytes: Option<u64>,
    /// Bytes that it may take; none for as many as there is space for.
    pub max_bytes: Option<u64>,
    /// On how many nodes it is kept.
    pub replicas: usize,
}

/// Why an append did not happen, or may not have.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else appended to the key first, or a blob's job has no entry. Read again and decide again.
    #[error("the key is at revision {actual:?}, not where it was expected")]
    Conflict {
        /// The key's newest revision.
        actual: Option<Revision>,
    },
    /// A record or blob is over the engine's limit. Make it smaller.
    #[error("the record or blob has {bytes} bytes, over the limit of {limit}")]
    TooLarge { bytes: usize, limit: usize },
    /// The record cannot be written down: a defect of this crate. It did not happen.
    #[error("the record cannot be encoded: {reason}")]
    Unencodable { reason: String },
    /// There is no space left. It did not happen; it may when there is space again.
    #[error("there is no space left for the log")]
    Full,
    /// The log cannot be reached, and nothing was sent to it. It did not happen; it may when the log is back.
    #[error("the log cannot be reached: {reason}")]
    Unavailable { reason: Arc<str> },
    /// Whether it happened is not known. Read back; the log may need to be opened again.
    #[error("the outcome of the append is not known: {reason}")]
    Unknown { reason: Arc<str> },
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the log cannot be read: {reason}")]
    Storage { reason: String },
    /// An entry has a format this version does not know. Use a newer version.
    #[error("entry {revision} was written by a newer version of Courant (format {version}); upgrade this program")]
    Version { revision: Revision, version: u8 },
    /// An entry is whole and has something this version does not know. Use a newer version.
    #[error("entry {revision} was written by a newer version of Courant ({reason}); upgrade this program")]
    Newer { revision: Revision, reason: String },
    /// An entry is not what was written: the storage lost or changed bytes. Restore a backup.
    #[error("entry {revision} is damaged: {reason}")]
    Damaged { revision: Revision, reason: String },
}

/// One ordered log of job events. See the module's invariants.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Appends entries to one key; gives the revision of the newest. Cancel-safe in the sense of invariant 8: a dropped call
    /// may or may not have happened.
    async fn append(&self, append: Append) -> Result<Revision, AppendError>;

    /// Appends to several keys, and answers once for all of them. Each append is as it would be alone, in their order: what becomes
    /// of one changes nothing for the others. The outcomes are in the order of the appends. Cancel-safe as `append`; a dropped
    /// call may have happened for some and not for others.
    async fn append_all(&self, appends: Vec<Append>) -> Vec<Result<Revision, AppendError>> {
        let mut outcomes = Vec::with_capacity(appends.len());
        for append in appends {
            outcomes.push(self.append(append).await);
        }
        outcomes
    }

    /// Reads at most `limit` (at least 1) entries after `after` (exclusive) that match, oldest first. Empty means there
    /// are none up to the head at the time of the call.
    async fn read(&self, after: Revision, filter: &Filter, limit: usize) -> Result<Vec<Arc<Entry>>, ReadError>;

    /// The same without waiting, of all keys and from memory only. `None` when that cannot be told from memory; then use
    /// [`Log::read`].
    fn recent(&self, _after: Revision, _limit: usize) -> Option<Vec<Arc<Entry>>> {
        None
    }

    /// The newest durable revision, and a signal when it grows. The sender is gone when the engine has stopped.
    fn head(&self) -> watch::Receiver<Revision>;

    /// The newest revision that anybody was told of before the call: beyond [`Log::head`] where others append, and what they have
    /// appended is under way.
    async fn newest(&self) -> Result<Revision, ReadError> {
        Ok(*self.head().borrow())
    }

    /// The newest entry of each key, in pages.
    async fn latest(&self) -> Result<Latest, ReadError>;

    /// Stores a blob of a job that has entries; a conflict without a revision says that it has none.
    async fn store_blob(&self, job: &JobId, blob: Blob) -> Result<(), AppendError>;

    /// The bytes of a blob; `None` when there is none of this name.
    async fn blob(&self, job: &JobId, name: &str) -> Result<Option<Bytes>, ReadError>;

    /// Removes a blob; none there is fine.
    async fn remove_blob(&self, job: &JobId, name: &str) -> Result<(), AppendError>;

    /// Removes a key and its blobs. `expect` as in `append`; forgetting an absent key is a conflict.
    async fn forget(&self, key: &Key, expect: Revision) -> Result<Revision, AppendError>;

    /// The newest revision removed from this scope; ZERO when nothing ever was.
    async fn trimmed(&self, filter: &Filter) -> Result<Revision, ReadError>;

    /// Facts fixed at opening.
    fn info(&self) -> &LogInfo;

    /// Whether there is no space left for more work, as far as the last append or [`Log::probe`] showed. None when that cannot happen.
    fn full(&self) -> Option<watch::Receiver<bool>> {
        None
    }

    /// Whether what others append arrives. While it does not, what is read may be old. None when nobody else can append.
    fn following(&self) -> Option<watch::Receiver<bool>> {
        None
    }

    /// Carries messages between the servers that have the log open. None when only one can.
    fn peers(&self) -> Option<Arc<dyn Peers>> {
        None
    }

    /// What the servers that have the log open share beside jobs. None when only one can.
    fn notes(&self) -> Option<Arc<dyn Notes>> {
        None
    }

    /// What its commits cost. None where nothing is committed here.
    fn commits(&self) -> Option<Arc<CommitStats>> {
        None
    }

    /// Where it is and how large.
    async fn describe(&self) -> Result<LogDescription, ReadError> {
        Ok(LogDescription { engine: "memory", replicas: 1, ..LogDescription::default() })
    }

    /// Tries whether something could be appended now, and appends nothing.
    async fn probe(&self) -> Result<(), AppendError> {
        Ok(())
    }
}

impl Append {
    pub fn one(expect: Option<Revision>, event: Event, job: Arc<Job>) -> Self {
        Self { key: Key::of(&job), expect, changes: vec![Changed { event, job }], blobs: Vec::new() }
    }
}

impl From<Changed> for Record {
    fn from(Changed { event, job }: Changed) -> Self {
        Self::Changed { event, job }
    }
}

impl Blob {
    /// Says so if it is too large.
    pub fn check(&self) -> Result<(), AppendError> {
        let bytes = self.bytes.len();
        if bytes > MAX_BLOB_BYTES {
            return Err(AppendError::TooLarge { bytes, limit: MAX_BLOB_BYTES });
        }
        Ok(())
    }
}

impl Epoch {
    /// A new epoch that begins here.
    pub fn begin(start: Revision) -> Self {
        // The lower half of a ULID is random.
        Self { id: ulid::Ulid::generate().0 as u64, start }
    }
}

impl LogInfo {
    pub fn current(&self) -> Epoch {
        self.epochs.last().copied().unwrap_or(Epoch { id: 0, start: Revision::ZERO })
    }

    /// Whether position `revision`, handed out in epoch `epoch`, still means the same today.
    pub fn covers(&self, epoch: u64, revision: Revision) -> bool {
        let Some(place) = self.epochs.iter().position(|known| known.id == epoch) else { return false };
        match self.epochs.get(place + 1) {
            Some(next) => revision <= next.start,
            None => true,
        }
    }
}

impl Filter {
    /// Whether an entry of this key matches.
    pub fn matches(&self, key: &Key) -> bool {
        match self {
            Self::All => true,
            Self::Owner(owner) => *owner == key.owner,
            Self::Job(job) => *job == key.job,
        }
    }
}

/// How many parts the key space has, for ever.
pub const PARTITIONS: u64 = 64;
/// The longest token of an encoded key in bytes.
pub const MAX_TOKEN: usize = 64;

impl Key {
    /// The key of a job.
    pub fn of(job: &Job) -> Self {
        Self { owner: job.owner.clone(), document: job.document.id.clone(), job: job.id.clone() }
    }

    /// The part of the key space this key is in: fixed by its owner.
    pub fn partition(&self) -> u8 {
        partition(&self.owner)
    }

    /// `<partition>.<owner>.<job>`, each token of `[A-Za-z0-9_-]` and at most [`MAX_TOKEN`] bytes. Without the document: a
    /// repeated submit may name another one, and must meet the job that is there.
    pub fn encode(&self) -> String {
        format!("{}.{}", Self::encode_owner(&self.owner), token(self.job.as_str()))
    }

    /// How [`Key::encode`] begins for all jobs of an owner: `<partition>.<owner>`.
    pub fn encode_owner(owner: &Owner) -> String {
        format!("{:02}.{}", partition(owner), token(owner.as_str()))
    }
}

/// The part of the key space that all keys of an owner are in.
pub fn partition(owner: &Owner) -> u8 {
    (xxhash_rust::xxh3::xxh3_64(owner.as_str().as_bytes()) % PARTITIONS) as u8
}

/// Any text as a part of a name that engines give things. Letters, digits and `-` as they are, all else as `_xx`; what gets
/// longer than [`MAX_TOKEN`] or is empty becomes `_h` and a hash.
pub fn token(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' => out.push(byte as char),
            other => write!(out, "_{other:02x}").unwrap_or_default(),
        }
    }
    if out.is_empty() || out.len() > MAX_TOKEN {
        return format!("_h{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_of_few_characters() {
        let hostile = ["*", ">", "a.b", "", " ", "zoë\r\n", "_", "$JS", &"x".repeat(65), &"é".repeat(30)];
        let tokens: std::collections::HashSet<String> = hostile.iter().map(|text| token(text)).collect();
        assert_eq!(tokens.len(), hostile.len());
        for token in tokens {
            assert!((1..=MAX_TOKEN).contains(&token.len()), "{token}");
            assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{token}");
        }
        let key =
            |owner: &str| Key { owner: Owner::new(owner), document: DocumentId::new("d"), job: JobId::new("J-1") };
        assert_eq!((key("alice").encode(), key("*").encode()), ("48.alice.J-1".into(), "13._2a.J-1".into()));
    }
}
