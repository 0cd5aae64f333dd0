//! Jobs: the state of the log in memory, who is next, how long it will take, who follows them, and the one way to change
//! one.
//!
//! Everything durable is in the log ([`courant_joblog`]); what is kept here can be rebuilt from it at any time. Nothing here
//! knows gRPC, HTTP or the types of the wire: the manifest has none of their crates, and `tests/layers.rs` has the list of
//! layers.
//!
//! - [`engine`]: the one way to change a job, and the one lock. [`view`]: jobs, queues and lists. [`hub`]: who is sent
//!   what. [`watch`]: following jobs.
//! - [`projection`]: what is counted beside the view, from here ([`quota`], [`batches`], [`metrics`]) or from other crates.
//! - [`dispatch`], [`retry`], [`large`], [`transitions`]: what becomes of a job, as its state allows it. [`parts`]: who does
//!   which pages of a large one.

pub mod affinity;
pub mod attempt;
pub mod batches;
pub mod clock;
pub mod config;
pub mod cursor;
pub mod dispatch;
pub mod engine;
pub mod error;
pub mod estimate;
pub mod filter;
pub mod hub;
pub mod large;
pub mod metrics;
pub mod parts;
pub mod projection;
pub mod quota;
pub mod reservation;
pub mod retry;
mod rfc3339;
pub mod snapshot;
pub mod spans;
pub mod stats;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod transitions;
pub mod unwatched;
pub mod unwatched_index;
pub mod view;
pub mod watch;

pub use config::Config;
pub use engine::Engine;
pub use error::Error;
