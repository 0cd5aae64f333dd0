//! What parts of states have in common.

use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use serde::Serialize;

/// A hash of the JSON, which is what subscribers see.
pub fn content_hash(state: &impl Serialize) -> u64 {
    let mut hasher = DefaultHasher::new();
    // Our types can always be written.
    hasher.write(&serde_json::to_vec(state).unwrap_or_default());
    hasher.finish()
}

/// An interval as the proto has it.
pub fn interval(interval: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(interval).ok()
}
