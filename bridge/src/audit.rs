//! Who did what through this bridge: each entry goes to the log, and the newest to the admins who look.
//!
//! The log is the record to keep. What is here is for looking on: bounded, and gone with the process.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::SystemTime;

use parking_lot::Mutex;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Entries that are kept to be shown.
const KEPT: usize = 100;
/// Bytes of a name that is written down.
const NAME_BYTES: usize = 128;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// A token was accepted on a new connection.
    Connected,
    /// A token was refused.
    TokenRefused,
    /// A connection of a known user ended.
    Disconnected,
    /// A limit refused something.
    LimitRefused,
    /// A document was submitted.
    Submitted,
    /// A job or a batch was cancelled.
    Cancelled,
    /// A job was tried again.
    Retried,
    /// A job was deleted.
    Deleted,
    /// A worker was told to take nothing new.
    WorkerDrained,
    /// A worker was told to go on.
    WorkerResumed,
    /// A notice was sent.
    Notified,
    /// Something was read that only admins may.
    AdminRead,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[allow(missing_docs, reason = "described in PROTOCOL.md, which a test binds to this type")]
pub struct Record {
    pub number: u64,
    pub time: String,
    pub deed: Deed,
    pub user: Option<String>,
    pub address: Option<String>,
    pub target: Option<String>,
}

/// The entries. Cheap to add to.
#[derive(Debug, Default)]
pub struct Trail(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    number: u64,
    newest: VecDeque<Record>,
}

impl Trail {
    /// Writes an entry. `target` is what it was done to; never a secret.
    pub fn note(&self, deed: Deed, user: Option<&str>, address: Option<IpAddr>, target: Option<&str>) {
        let cut = |text: &str| text.chars().take(NAME_BYTES).collect::<String>();
        let (user, target) = (user.map(cut), target.map(cut));
        tracing::info!(target: "audit", ?deed, user, address = address.map(tracing::field::display), target_id = target, "done");
        let mut entries = self.0.lock();
        entries.number += 1;
        let number = entries.number;
        let time = prost_types::Timestamp::from(SystemTime::now()).to_string();
        if entries.newest.len() == KEPT {
            entries.newest.pop_front();
        }
        let address = address.map(|address| address.to_string());
        entries.newest.push_back(Record { number, time, deed, user, address, target });
    }

    /// The newest entries, oldest first.
    pub fn newest(&self) -> Vec<Record> {
        self.0.lock().newest.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_are_kept_and_names_are_cut() {
        let trail = Trail::default();
        for _ in 0..250 {
            trail.note(Deed::Connected, Some(&"x".repeat(1000)), None, None);
        }
        let kept = trail.newest();
        assert_eq!((kept.len(), kept[0].number, kept[99].number), (KEPT, 151, 250));
        assert_eq!(kept[0].user.as_ref().map(String::len), Some(NAME_BYTES));
    }
}
