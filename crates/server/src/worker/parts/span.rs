//! Pages in a row, and the names of parts.

use courant_proto::v1::PageRange;

/// The most ranges of one offer.
pub const MAX_RANGES: usize = 1024;
/// The longest id of a part in bytes.
pub const MAX_PART_ID: usize = 64;

/// Names a part for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartId(pub(super) Box<str>);

impl PartId {
    pub(super) fn random() -> Self {
        Self(format!("{:032x}", fastrand::u128(..)).into())
    }
}

/// Pages in a row, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first, from 1.
    pub first: u32,
    pub last: u32,
}

impl Span {
    /// Whether this page is one of them.
    pub fn has(&self, page: u32) -> bool {
        (self.first..=self.last).contains(&page)
    }

    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    pub(crate) fn wire(self) -> PageRange {
        PageRange { first: self.first as i32, last: self.last as i32 }
    }
}
