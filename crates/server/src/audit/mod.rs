//! The audit log: who did what by which call, in a file of its own that survives restarts. `docs/audit-log.md` is its
//! documentation.
//!
//! Calls are written by a layer around all services ([`call`]), by the rules in [`actions`]; a service says only what the
//! layer cannot see, such as the job's id. Must hold no secret and nothing out of a document, must not let one user push out
//! the lines of others, and nobody waits for it.

pub mod actions;
mod call;
pub mod condition;
pub mod event;
mod file;
mod limits;
mod log;
mod search;
mod stats;
mod writer;

pub use call::{AuditCalls, carry, note_actor, note_job, note_others, note_target, record_now};
pub use file::{AuditError, AuditFiles};
pub use limits::Category;
pub use log::AuditLog;
pub use search::{Found, Search};
pub use stats::Drop;
