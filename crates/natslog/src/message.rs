//! How entries are messages: one each, its record as the payload, and in one header what must be known without the payload.

use std::str::FromStr;
use std::sync::Arc;

use async_nats::HeaderMap;
use bytes::Bytes;
use courant_joblog::codec;
use courant_joblog::ids::{DocumentId, JobId, Owner, Revision};
use courant_joblog::log::{Entry, Key, ReadError, Record};
use serde::{Deserialize, Serialize};

/// The server compares it with the newest revision of the subject.
pub(crate) const EXPECT: &str = "Nats-Expected-Last-Subject-Sequence";
/// The older messages of the subject go.
pub(crate) const ROLLUP: &str = "Nats-Rollup";
/// The header of ours: [`About`] as text.
const ABOUT: &str = "Courant-Entry";
/// The header of a blob: its job and its name as JSON, for who reads all of them. Its subject may have hashes of these only.
const BLOB: &str = "Courant-Blob";
const VERSION: u32 = 1;

/// What the header of an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct About {
    /// Of the append it came with: random, so that whoever appended knows it again.
    pub(crate) id: u64,
    /// The job's first entry is 1. It begins at 1 again after the job was forgotten.
    pub(crate) number: u64,
    /// So many more entries of the same append follow directly.
    pub(crate) left: u32,
    /// The newest revision at which the job was forgotten, 0 if never. Of a tombstone: the newest revision it removed.
    pub(crate) floor: u64,
    /// Whether it is a tombstone.
    pub(crate) forgotten: bool,
}

/// An entry as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) revision: u64,
    /// [`Key::encode_owner`] of its owner.
    pub(crate) owner: Arc<str>,
    /// The token of its job.
    pub(crate) job: Box<str>,
    pub(crate) about: About,
    /// The revision of the job's entry before it, 0 if there was none.
    pub(crate) before: u64,
    pub(crate) payload: Bytes,
}

/// The payload of a tombstone: a record would not say whose it is.
#[derive(Debug, Serialize, Deserialize)]
struct Tombstone {
    owner: Box<str>,
    document: Box<str>,
    job: Box<str>,
}

impl std::fmt::Display for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, number, left, floor, forgotten } = self;
        write!(f, "{VERSION} {id:016x} {number} {left} {floor} {}", u8::from(*forgotten))
    }
}

impl FromStr for About {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(' ');
        let mut next = || parts.next().ok_or(());
        // Later versions may add parts at the end.
        let _version = next()?;
        Ok(Self {
            id: u64::from_str_radix(next()?, 16).map_err(drop)?,
            number: next()?.parse().map_err(drop)?,
            left: next()?.parse().map_err(drop)?,
            floor: next()?.parse().map_err(drop)?,
            forgotten: next()? == "1",
        })
    }
}

impl About {
    /// Headers of an entry. `expect` is for the first of an append.
    pub(crate) fn headers(&self, expect: Option<u64>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ABOUT, self.to_string().as_str());
        if let Some(expect) = expect {
            headers.insert(EXPECT, expect.to_string().as_str());
        }
        headers
    }
}

impl Stored {
    /// `None` if it is no entry of ours.
    pub(crate) fn parse(
        (owner, job): (&str, &str),
        revision: u64,
        headers: Option<&HeaderMap>,
        payload: Bytes,
    ) -> Option<Self> {
        let headers = headers?;
        let about: About = headers.get(ABOUT)?.as_str().parse().ok()?;
        let before = match headers.get(EXPECT) {
            Some(expected) => expected.as_str().parse().ok()?,
            // Only the first of an append compares; the others follow one another.
            None => revision.saturating_sub(1),
        };
        Some(Self { revision, owner: owner.into(), job: job.into(), about, before, payload })
    }

    /// The entry that the message stands for, decoded.
    pub(crate) fn entry(&self) -> Result<Entry, ReadError> {
        let revision = Revision(self.revision);
        if self.about.forgotten {
            let Tombstone { owner, document, job } = serde_json::from_slice(&self.payload)
                .map_err(|error| ReadError::Damaged { revision, reason: error.to_string() })?;
            let key = Key { owner: Owner::new(owner), document: DocumentId::new(document), job: JobId::new(job) };
            return Ok(Entry { revision, key, record: Record::Forgotten });
        }
        let record = codec::decode(&self.payload).map_err(|error| error.at(revision))?;
        let key = match &record {
            Record::Changed { job, .. } => Key::of(job),
            Record::Forgotten => {
                return Err(ReadError::Damaged { revision, reason: "a tombstone without its header".into() });
            }
        };
        Ok(Entry { revision, key, record })
    }
}

/// The payload of the tombstone of this key.
pub(crate) fn tombstone(Key { owner, document, job }: &Key) -> Result<Bytes, serde_json::Error> {
    let of = |text: &str| text.into();
    let named = Tombstone { owner: of(owner.as_str()), document: of(document.as_str()), job: of(job.as_str()) };
    serde_json::to_vec(&named).map(Bytes::from)
}

/// What a blob is called, for its header.
pub(crate) fn blob_title(job: &JobId, name: &str) -> Result<String, serde_json::Error> {
    serde_json::to_string(&(job.as_str(), name))
}

/// Headers of a blob with this title. Older ones of its name go.
pub(crate) fn blob_headers(title: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ROLLUP, "sub");
    headers.insert(BLOB, title);
    headers
}

/// The job of a blob and its name. `None` if it is no blob.
pub(crate) fn blob_of(headers: &HeaderMap) -> Option<(JobId, Box<str>)> {
    let (job, name): (Box<str>, Box<str>) = serde_json::from_str(headers.get(BLOB)?.as_str()).ok()?;
    Some((JobId::new(job), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_comes_back_as_it_was() {
        let about = About { id: 0xf0, number: 7, left: 2, floor: 99, forgotten: true };
        assert_eq!(about.to_string().parse(), Ok(about));
        assert_eq!(format!("{about} and more").parse(), Ok(about));
        for broken in ["", "1", "1 xyz 1 0 0 0", "1 f0 -1 0 0 0", "1 f0 1 0"] {
            assert_eq!(broken.parse::<About>(), Err(()), "{broken}");
        }
    }

    #[test]
    fn a_blob_is_known_by_its_header() {
        let (job, name) = (JobId::new("J"), "a1/zoë \\ \r\n.bin");
        let headers = blob_headers(&blob_title(&job, name).unwrap());
        assert_eq!(blob_of(&headers), Some((job, name.into())));
        assert_eq!(blob_of(&HeaderMap::new()), None);
    }

    #[test]
    fn what_is_not_ours_is_no_entry() {
        let parse = |headers: Option<&HeaderMap>| Stored::parse(("01.a", "J"), 5, headers, Bytes::new());
        assert!(parse(None).is_none() && parse(Some(&HeaderMap::new())).is_none());
        let about = About { id: 1, number: 1, left: 0, floor: 0, forgotten: false };
        assert_eq!(parse(Some(&about.headers(Some(3)))).unwrap().before, 3);
        let stored = parse(Some(&about.headers(None))).unwrap();
        assert_eq!(stored.before, 4);
        assert!(matches!(stored.entry(), Err(ReadError::Damaged { .. })));
    }
}
