//! Space on the disk that is kept for the ends of jobs: a file of no use, which is made smaller when the disk is full. So jobs
//! can be cancelled, fail and succeed while nothing new fits. It is filled up again when there is space.
//!
//! Given up in slices, since others write on the same disk: what an end needs is there just when it is written.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;

/// What one end is given, in bytes: some ten times what it needs.
const SLICE: u64 = 256 << 10;
/// What must be free beside the reserve before a disk counts as having space again, so that it is not full again at once.
const MARGIN: u64 = 1 << 20;
/// Bytes written at a time.
const PIECE: usize = 64 << 10;

#[derive(Debug, Default)]
pub(super) struct Reserve {
    path: PathBuf,
    /// Its size when it is whole; 0 for none.
    wanted: u64,
    has: u64,
}

impl Reserve {
    /// As an earlier process left it; what is too much goes.
    pub(super) fn open(path: PathBuf, wanted: u64) -> Self {
        let has = std::fs::metadata(&path).map_or(0, |found| found.len());
        let mut reserve = Self { path, wanted, has };
        if wanted == 0 && has > 0 {
            reserve.given(std::fs::remove_file(&reserve.path), 0);
        } else if has > wanted {
            reserve.shrink(wanted);
        }
        reserve
    }

    /// Whether there is one at all.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted > 0
    }

    /// Gives a slice back to the disk.
    pub(super) fn give(&mut self) {
        if self.has > 0 {
            self.shrink(self.has.saturating_sub(SLICE));
        }
    }

    /// Fills it up. `false` when the disk has not that much space, and some more.
    pub(super) fn fill(&mut self) -> bool {
        let before = self.has;
        match self.grow() {
            Ok(()) => true,
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                // Not even for a moment more than there was: others need the space.
                self.shrink(before);
                false
            }
            Err(error) => {
                // Appends must not wait for a file that cannot be had.
                tracing::warn!(%error, path = %self.path.display(), "no space can be kept for the ends of jobs");
                self.wanted = 0;
                true
            }
        }
    }

    fn grow(&mut self) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        let (mut noise, mut piece) = (0x9e37_79b9_7f4a_7c15_u64, Vec::with_capacity(PIECE));
        // No zeros: a file system that compresses would keep no space for them.
        while piece.len() < PIECE {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            piece.extend_from_slice(&noise.to_le_bytes());
        }
        while self.has < self.wanted + MARGIN {
            let written = file.write(&piece)?;
            self.has += written as u64;
        }
        file.set_len(self.wanted)?;
        self.has = self.wanted;
        file.sync_all()
    }

    fn shrink(&mut self, to: u64) {
        let shrunk = File::options().write(true).open(&self.path).and_then(|file| file.set_len(to));
        self.given(shrunk, to);
    }

    fn given(&mut self, done: io::Result<()>, now: u64) {
        match done {
            Ok(()) => self.has = now,
            Err(error) => tracing::warn!(%error, path = %self.path.display(), "kept space could not be given up"),
        }
    }
}
