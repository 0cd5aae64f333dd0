//! How a record is stored: one version byte, a CRC-32 of the rest (little endian), and MessagePack.
//!
//! Version 2 stores structs as arrays of their fields in the order of the source: half the bytes of version 1, which stored
//! them as maps with names. So a field is only ever added at the end of its struct, with `#[serde(default)]`: it is then read
//! from old records. Anything else needs a new version byte, and so does a field that an older program must not miss, for it
//! refuses longer arrays than it knows. A fixture of every version that was ever written stays in `tests/fixtures` and must
//! decode for ever. Never a panic, whatever the bytes.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::ids::Revision;
use crate::job::Job;
use crate::log::{AppendError, ReadError, Record};

/// The largest record, in bytes as stored.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;
/// The version written.
pub const VERSION: u8 = 2;

const HEADER: usize = 1 + size_of::<u32>();
/// Most records have fewer: so much is taken at once, so that they are not moved as they grow.
const USUAL_BYTES: usize = 1024;

/// Why a record cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Over [`MAX_RECORD_BYTES`]. Make it smaller.
    #[error("the record has {bytes} bytes, over the limit of {MAX_RECORD_BYTES}")]
    TooLarge { bytes: usize },
    /// The serialiser refused; a defect of this crate.
    #[error("the record cannot be serialised: {0}")]
    Serialise(#[from] rmp_serde::encode::Error),
}

impl From<EncodeError> for AppendError {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::TooLarge { bytes } => Self::TooLarge { bytes, limit: MAX_RECORD_BYTES },
            EncodeError::Serialise(error) => Self::Unencodable { reason: error.to_string() },
        }
    }
}

/// Why bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer version of this program. Use that.
    #[error("the record has format {0}, which this version cannot read")]
    Version(u8),
    /// The header is cut off.
    #[error("the record has {0} bytes only")]
    Short(usize),
    /// The bytes are not those that were written.
    #[error("the record's checksum is wrong")]
    Checksum,
    /// The checksum is right, yet this version would not write it: a newer one has added something.
    #[error("the record cannot be understood: {0}")]
    Content(#[from] rmp_serde::decode::Error),
}

impl DecodeError {
    /// The same for a reader of the log.
    pub fn at(self, revision: Revision) -> ReadError {
        match self {
            Self::Version(version) => ReadError::Version { revision, version },
            Self::Content(error) => ReadError::Newer { revision, reason: error.to_string() },
            Self::Short(_) | Self::Checksum => ReadError::Damaged { revision, reason: self.to_string() },
        }
    }
}

#[derive(Serialize)]
#[serde(rename = "Stored")]
enum StoredRef<'a> {
    Changed { event: &'a Event, job: &'a Job },
    Forgotten,
}

#[derive(Deserialize)]
enum Stored {
    Changed { event: Event, job: Box<Job> },
    Forgotten,
}

/// The bytes of a record.
pub fn encode(record: &Record) -> Result<Vec<u8>, EncodeError> {
    let stored = match record {
        Record::Changed { event, job } => StoredRef::Changed { event, job },
        Record::Forgotten => StoredRef::Forgotten,
    };
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    bytes.resize(HEADER, 0);
    stored.serialize(&mut rmp_serde::Serializer::new(&mut bytes))?;
    if bytes.len() > MAX_RECORD_BYTES {
        return Err(EncodeError::TooLarge { bytes: bytes.len() });
    }
    let crc = crc32fast::hash(&bytes[HEADER..]).to_le_bytes();
    bytes[0] = VERSION;
    bytes[1..HEADER].copy_from_slice(&crc);
    Ok(bytes)
}

/// The record of bytes that [`encode`] made, in this version or an earlier one.
pub fn decode(bytes: &[u8]) -> Result<Record, DecodeError> {
    let (version, rest) = bytes.split_first().ok_or(DecodeError::Short(0))?;
    match *version {
        // The reader takes structs as maps and as arrays.
        1 | VERSION => decode_content(rest),
        other => Err(DecodeError::Version(other)),
    }
}

fn decode_content(bytes: &[u8]) -> Result<Record, DecodeError> {
    let (crc, content) = bytes.split_first_chunk().ok_or(DecodeError::Short(bytes.len() + 1))?;
    if u32::from_le_bytes(*crc) != crc32fast::hash(content) {
        return Err(DecodeError::Checksum);
    }
    Ok(match rmp_serde::from_slice(content)? {
        Stored::Changed { event, job } => Record::Changed { event, job: job.into() },
        Stored::Forgotten => Record::Forgotten,
    })
}

#[cfg(test)]
mod tests;
