//! Names and positions. Every id is its own type, so that none is taken for another. Copies of an id share its text: a
//! view names a job in many places.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ulid::{Generator, Ulid};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is; limits are checked where it enters the system.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A job. Made by [`JobId::random`] or [`JobId::derived`]: 26 characters of `[0-9A-Z]`.
    JobId
);
id!(
    /// The user a job belongs to: the subject of a token. Any text.
    Owner
);
id!(
    /// A document, named by its owner.
    DocumentId
);
id!(
    /// Several jobs submitted together.
    BatchId
);
id!(
    /// A submit that may be repeated (AIP-155).
    RequestId
);
id!(
    /// A worker, stable over reconnects.
    WorkerId
);

impl JobId {
    /// A new id, greater than every one that this process made before: jobs that are made within one millisecond have the same
    /// times, and their ids keep them in order. Not a secret: the next one can be guessed.
    pub fn random() -> Self {
        static LAST: Mutex<Generator> = Mutex::new(Generator::new());
        // It overflows after some 10²⁴ ids within a millisecond.
        let id = LAST.lock().generate().unwrap_or_else(|_| Ulid::generate());
        Self::new(id.to_string())
    }

    /// The id that a repeated submit always gives: computed from the owner and the request. Callers choose the request,
    /// so nobody may find one whose id is another job's: the first 128 bits of a SHA-256.
    pub fn derived(owner: &Owner, request: &RequestId) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"courant job id 1");
        hash.update((owner.0.len() as u64).to_be_bytes());
        hash.update(owner.0.as_bytes());
        hash.update(request.0.as_bytes());
        let bits = hash.finalize().iter().take(16).fold(0u128, |bits, byte| (bits << 8) | u128::from(*byte));
        Self::new(Ulid(bits).to_string())
    }
}

/// A position in the log. Revisions only grow; nobody may compute `revision + 1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    pub const ZERO: Self = Self(0);
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(since.as_millis() as i64)
    }

    /// This moment plus some milliseconds.
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; 0 when the clock went back.
    pub fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(owner: &str, request: &str) -> String {
        JobId::derived(&Owner::new(owner), &RequestId::new(request)).to_string()
    }

    #[test]
    fn ids_of_one_millisecond_are_in_order() {
        let ids: Vec<JobId> = (0..10_000).map(|_| JobId::random()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }

    /// Fixed for ever: a repeated submit after an upgrade must find its job.
    #[test]
    fn a_derived_id_is_the_start_of_a_sha_256() {
        let id = derived("alice", "r-1");
        assert_eq!(id, derived("alice", "r-1"));
        assert_eq!((id.len(), id.as_str()), (26, "5XS0AEHW7HJMGJGAMR5Z0EKB14"));
    }

    #[test]
    fn owner_and_request_are_kept_apart() {
        assert_ne!(derived("alice", "bob"), derived("aliceb", "ob"));
        assert_ne!(derived("", "x"), derived("x", ""));
    }
}
