//! The high-water mark: a small file beside the log that records how far it once reached.
//!
//! SQLite silently ends its write-ahead log at the first frame that is damaged or missing, so a log can lose what it
//! acknowledged and still open. The mark detects that. It is written after the commit it records and never before, so it can
//! be behind the log, but the log never behind it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use super::options::{OnLoss, OpenError};
use crate::ids::Revision;

const MAGIC: [u8; 8] = *b"CRNTMRK1";
const SIZE: usize = 20;
/// How far revisions jump when the mark cannot say how far they once reached.
pub(super) const JUMP: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct HighWaterMark {
    file: File,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MarkState {
    /// Nothing: it is new.
    Absent,
    /// The log reached this revision.
    At(Revision),
    /// It cannot be read.
    Damaged,
}

impl HighWaterMark {
    pub(super) fn open(path: &Path) -> io::Result<(Self, MarkState)> {
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::with_capacity(SIZE);
        (&mut file).take(SIZE as u64 + 1).read_to_end(&mut bytes)?;
        Ok((Self { file }, parse(&bytes)))
    }

    /// Overwrites it in place. Not synced: after a power cut it may be older than it could be, which is no harm.
    pub(super) fn write(&self, revision: Revision) -> io::Result<()> {
        let mut file = &self.file;
        file.rewind()?;
        file.write_all(&format(revision))
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

/// What a mark says, if there is one. Nothing is made or written.
pub(super) fn read(path: &Path) -> io::Result<MarkState> {
    let mut bytes = Vec::with_capacity(SIZE);
    match File::open(path) {
        Ok(file) => file.take(SIZE as u64 + 1).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(MarkState::Absent),
        Err(error) => return Err(error),
    };
    Ok(parse(&bytes))
}

/// Above which revision new ones must be, or why the log must not be opened.
pub(super) fn floor(state: MarkState, have: Revision, loss: OnLoss, dir: &Path) -> Result<Revision, OpenError> {
    match (state, loss) {
        (MarkState::Absent, _) => Ok(have),
        (MarkState::At(expected), _) if expected <= have => Ok(have),
        (MarkState::At(expected), OnLoss::Refuse) => {
            Err(OpenError::Truncated { path: dir.join("log.db"), have, expected })
        }
        (MarkState::At(expected), OnLoss::Accept) => {
            tracing::warn!(%have, %expected, "entries are missing from the log; going on without them (--accept-log-loss)");
            Ok(expected)
        }
        (MarkState::Damaged, OnLoss::Refuse) => Err(OpenError::MarkDamaged { path: dir.join("log.mark") }),
        (MarkState::Damaged, OnLoss::Accept) => {
            tracing::warn!(%have, "whether entries are missing from the log is not known; going on (--accept-log-loss)");
            Ok(Revision(have.0.saturating_add(JUMP)))
        }
    }
}

fn format(revision: Revision) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&revision.0.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..16]);
    bytes[16..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn parse(bytes: &[u8]) -> MarkState {
    if bytes.is_empty() {
        return MarkState::Absent;
    }
    let revision =
        bytes.get(8..).and_then(|rest| rest.first_chunk()).map(|number| Revision(u64::from_le_bytes(*number)));
    match revision {
        Some(revision) if bytes == format(revision) => MarkState::At(revision),
        Some(_) | None => MarkState::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_written_and_notices_any_damage() {
        let bytes = format(Revision(0x0102_0304_0506));
        assert_eq!(parse(&bytes), MarkState::At(Revision(0x0102_0304_0506)));
        assert_eq!(parse(&[]), MarkState::Absent);
        for place in 0..SIZE {
            let mut flipped = bytes;
            flipped[place] ^= 1;
            assert_eq!(parse(&flipped), MarkState::Damaged, "byte {place}");
            assert_eq!(place == 0, parse(&bytes[..place]) == MarkState::Absent, "cut at {place}");
        }
        assert_eq!(parse(&[bytes.as_slice(), &[0]].concat()), MarkState::Damaged);
    }
}
