//! Who has which pages of a large document that several workers do. The worker that holds the job, its *lead*, works from the
//! front and merges; what it offers from the end is given to others in parts.
//!
//! A part lives within one attempt and is no state of the job: its pages are reported and kept as pages of that attempt. A
//! part's id is given once.

mod ledger;
mod span;

pub use ledger::{AssignedPart, Part, PartLedger, Split};
pub use span::{MAX_PART_ID, MAX_RANGES, PageSpan, PartId};
