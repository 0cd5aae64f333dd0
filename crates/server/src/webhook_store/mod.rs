//! What is known durably of webhooks, and the webhooks in memory.
//!
//! An endpoint has two records: what its owner says ([`Endpoint`]), written by whichever server is asked, and how far it was sent
//! to ([`Progress`]), written by the server that sends. Neither holds events: those are read from the log.
//!
//! Where several servers share the log the records are notes in it, which all of them follow; else they are in a small SQLite
//! file in the data folder.

mod backend;
mod changes;
mod database;
mod endpoint;
mod error;
mod follow;
mod known;
mod progress;
mod record;
mod registry;
mod secrets;
mod stats;

pub use endpoint::{Endpoint, Position, callback_id};
pub use error::WebhookStoreError;
pub use known::Known;
pub use progress::{Attempt, MAX_WAITING, Progress, SwitchedOff, WaitingJob};
pub use record::is_note;
pub use registry::WebhookStore;
pub use secrets::{Secret, SigningSecrets};
pub use stats::WebhookStats;
