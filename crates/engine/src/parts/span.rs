//! Pages in a row, and the names of parts.

/// The most ranges of one offer.
pub const MAX_RANGES: usize = 1024;
/// The longest id of a part in bytes.
pub const MAX_PART_ID: usize = 64;

/// Names a part for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartId(Box<str>);

impl PartId {
    pub fn new(id: impl Into<Box<str>>) -> Self {
        Self(id.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn random() -> Self {
        Self(format!("{:032x}", fastrand::u128(..)).into())
    }
}

/// Pages in a row, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSpan {
    /// The first, from 1.
    pub first: u32,
    pub last: u32,
}

impl PageSpan {
    /// Whether this page is one of them.
    pub fn contains(&self, page: u32) -> bool {
        (self.first..=self.last).contains(&page)
    }

    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}
