//! Records as they are stored, in the file and in notes alike: a mark and MessagePack with names. Fields that a version does not
//! know are passed over, and so is a record that it cannot read.

use courant_joblog::notes::NoteKey;
use serde::{Deserialize, Serialize};

use super::endpoint::Endpoint;
use super::progress::Progress;

/// How records begin; notes of others do not begin so.
const MARK: &[u8] = b"webhook\0";

/// One record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Record {
    Endpoint(Endpoint),
    Progress {
        /// A number of the server that wrote it.
        by: u64,
        progress: Progress,
    },
}

/// Whether a note is one of webhooks.
pub fn is_note(bytes: &[u8]) -> bool {
    bytes.starts_with(MARK)
}

/// Which record of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Endpoint,
    Progress,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Endpoint => "webhook",
            Self::Progress => "webhooksent",
        }
    }

    pub(super) fn key(self, id: &str) -> NoteKey {
        NoteKey { kind: self.name(), user: "".into(), name: id.into() }
    }
}

impl Record {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Endpoint(_) => Kind::Endpoint,
            Self::Progress { .. } => Kind::Progress,
        }
    }

    pub(super) fn id(&self) -> &str {
        match self {
            Self::Endpoint(endpoint) => &endpoint.id,
            Self::Progress { progress, .. } => &progress.id,
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, rmp_serde::encode::Error> {
        Ok([MARK, &rmp_serde::to_vec_named(self)?].concat())
    }

    /// None for what is not one, or this version cannot read; the log says so.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let read = rmp_serde::from_slice(bytes.strip_prefix(MARK)?);
        read.inspect_err(|error| tracing::warn!(%error, "a record of a webhook cannot be read; it is left out")).ok()
    }
}

#[cfg(test)]
mod tests {
    use courant_joblog::ids::{JobId, Revision};
    use courant_joblog::notes::MAX_NOTE_BYTES;
    use proptest::prelude::*;

    use super::super::endpoint::Position;
    use super::super::progress::{Attempt, KEPT_ATTEMPTS, MAX_WAITING, WaitingJob};
    use super::*;

    fn largest() -> Progress {
        let position = Position { epoch: u64::MAX, revision: Revision(u64::MAX) };
        let mut progress = Progress::starting_at(format!("callback-{}", "0".repeat(32)), u64::MAX, position);
        let job = || JobId::new("0123456789ABCDEFGHJKMNPQRS");
        let (after, due) = (Revision(u64::MAX), i64::MAX);
        let waiting = || WaitingJob { job: job(), after, tried_since: Some(due), failures: u32::MAX, due };
        progress.waiting = (0..MAX_WAITING).map(|_| waiting()).collect();
        for _ in 0..2 * KEPT_ATTEMPTS {
            progress.note(Attempt {
                message: format!("msg_{}", "0".repeat(32)),
                event: "courant.job.succeeded".into(),
                job: job().to_string(),
                at: i64::MAX,
                took_ms: u64::MAX,
                status: 599,
                error: "é".repeat(100),
                number: u32::MAX,
                given_up: true,
            });
        }
        progress
    }

    #[test]
    fn the_largest_fits_into_a_note_and_comes_back() {
        let record = Record::Progress { by: u64::MAX, progress: largest() };
        let bytes = record.encode().unwrap();
        assert!(bytes.len() <= MAX_NOTE_BYTES, "{}", bytes.len());
        assert_eq!(Record::decode(&bytes), Some(record));
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = Record::decode(&[MARK, &bytes].concat());
        }
    }
}
