//! Parts: pages at the end of a large document that another worker does while the one that holds the job, its *lead*,
//! works from the front and merges.
//!
//! A part lives within one attempt and is no state of the job: its pages are reported and kept as pages of that attempt, so
//! watchers see one progress and a later attempt goes on with whatever is done. What is offered and who has it is in
//! memory only. After a restart of the server all parts are over, and leads offer again what is open.
//!
//! A part's id is used once. Whatever is written under it goes through its gate, and a part is handed back to its lead
//! only after the last one inside has left: from then on its pages are the lead's alone.
//!
//! Who has which pages is in [`courant_engine::parts`]. Locks: the ledger's before the engine's, the engine's before the
//! registry's.

mod access;
mod holder;
mod table;

pub use holder::Holder;
pub(super) use holder::holder_in;
pub use table::PartRegistry;
