//! How far the stream once reached, in a file of this server: a backup that was put back looks like any other stream, and ends earlier.
//!
//! It is noted each second, and after the fact: it may be behind the stream, and the stream never behind it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use courant_joblog::ids::Revision;

use crate::options::OpenError;

/// Keeps in a file how far the stream was seen, so that one that was put back from a backup is noticed.
#[derive(Debug)]
pub(crate) struct Reached {
    path: PathBuf,
    noted: Option<(u64, Revision)>,
}

impl Reached {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, noted: None }
    }

    /// Notes that the stream has reached this revision in this epoch. Not synced: after a power cut it may be older than it could be,
    /// which is no harm.
    pub(crate) fn note(&mut self, epoch: u64, revision: Revision) -> std::io::Result<()> {
        if self.noted != Some((epoch, revision)) {
            let draft = self.path.with_extension("new");
            fs::write(&draft, format!("{epoch:016x} {revision}\n"))?;
            fs::rename(&draft, &self.path)?;
            self.noted = Some((epoch, revision));
        }
        Ok(())
    }
}

/// The epoch and the revision that were noted last.
pub(crate) fn read(path: &Path) -> Result<Option<(u64, Revision)>, OpenError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(OpenError::Reached { path: path.to_owned(), source }),
    };
    let parse = |text: &str| {
        let (epoch, revision) = text.trim_end().split_once(' ')?;
        Some((u64::from_str_radix(epoch, 16).ok()?, Revision(revision.parse().ok()?)))
    };
    let noted = parse(&text);
    if noted.is_none() {
        // A power cut may have left this.
        tracing::warn!(path = %path.display(), "how far the log once reached cannot be read, and is not checked");
    }
    Ok(noted)
}
