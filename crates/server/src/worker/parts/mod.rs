//! Parts: pages at the end of a large document that another worker does while the one that holds the job, its *lead*,
//! works from the front and merges.
//!
//! A part lives within one attempt and is no state of the job: its pages are reported and kept as pages of that attempt, so
//! watchers see one progress and a later attempt goes on with whatever is done. What is offered and who has it is in
//! memory only. After a restart of the server all parts are over, and leads offer again what is open.
//!
//! A part's id is given once. Whatever is written under it goes through its gate, and a part is handed back to its lead
//! only after the last one inside has left: from then on its pages are the lead's alone.
//!
//! Locks: the book's before the engine's, the engine's before the registry's.

mod access;
mod book;
mod holder;
mod span;
mod table;

pub(super) use book::Given;
pub use holder::Holder;
pub(super) use holder::holder_in;
pub use span::{MAX_PART_ID, MAX_RANGES, PartId, Span};
pub use table::Parts;
