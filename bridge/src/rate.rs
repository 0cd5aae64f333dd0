//! Rates that are never 0.

use std::num::NonZeroU32;

/// A limit that was checked at the start to be at least 1.
pub fn at_least_one(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}
