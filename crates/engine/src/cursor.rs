//! Cursors: positions in the log as clients carry them about. Opaque to them; here they are format, partition, epoch
//! and revision.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use courant_joblog::ids::Revision;
use courant_joblog::log::LogInfo;

/// The first byte of every cursor of this version.
const FORMAT: u8 = 1;
/// The partition byte of a log that is not divided.
const WHOLE: u8 = 0xff;
const BYTES: usize = 18;

/// A position that knows which log it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The opening of the log in which it was handed out.
    pub epoch: u64,
    pub revision: Revision,
}

/// Why events after a cursor cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// They are no longer kept.
    HistoryTrimmed,
    /// The log was replaced, cut or restored since.
    LogReplaced,
}

/// Not a cursor of this service.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this service; use one exactly as it was given, or none")]
pub struct InvalidCursor;

impl Cursor {
    /// A position in the log as it is open now.
    pub fn now(info: &LogInfo, revision: Revision) -> Self {
        Self { epoch: info.current().id, revision }
    }

    /// The text for clients.
    pub fn encode(self) -> String {
        let mut bytes = [FORMAT; BYTES];
        bytes[1] = WHOLE;
        bytes[2..10].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[10..].copy_from_slice(&self.revision.0.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a client's text.
    pub fn decode(text: &str) -> Result<Self, InvalidCursor> {
        // Longer texts are refused before any memory is spent on them.
        if text.len() != BYTES * 4 / 3 {
            return Err(InvalidCursor);
        }
        let bytes: [u8; BYTES] =
            URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(InvalidCursor)?;
        if bytes[..2] != [FORMAT, WHOLE] {
            return Err(InvalidCursor);
        }
        let number =
            |from: usize| bytes[from..from + 8].iter().fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
        Ok(Self { epoch: number(2), revision: Revision(number(10)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_read_back() {
        let cursor = Cursor { epoch: u64::MAX - 5, revision: Revision(123_456_789) };
        assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor));
        assert_eq!(cursor.encode().len(), 24);
    }

    #[test]
    fn nonsense_is_refused() {
        let good = Cursor { epoch: 1, revision: Revision(1) }.encode();
        for text in
            ["", "x", "älterer Cursor", &good[1..], &format!("{good}A"), &good.replace("Af", "Bf"), &"/".repeat(24)]
        {
            assert_eq!(Cursor::decode(text), Err(InvalidCursor), "{text}");
        }
    }
}
