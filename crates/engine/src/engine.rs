//! The engine: the one way to change a job, and the one place where the log becomes the view and the
//! watchers' messages.
//!
//! View and hub lie under one lock, so what a watcher sees first and what it is sent afterwards fit together without a
//! gap. Nothing waits while holding it.

mod change;
mod core;
mod inquiries;
mod others;
mod positions;
mod state;
mod tracked;
mod walk;
mod watchers;

pub use self::change::{Changes, Written};
pub use self::core::Engine;
pub use self::positions::RoundCost;
pub use self::state::PAGE;
pub use self::tracked::SentPositions;
pub use self::walk::{CHUNK, Walk};
