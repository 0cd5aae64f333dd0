//! Webhooks: events of jobs for URLs of their owners. A courier of [`crate::delivery`].
//!
//! The log is the queue: what is to be sent is read from it, and of each endpoint it is known up to where that was done and which
//! jobs wait to be sent again ([`crate::webhook_store`]). So nothing is lost and nothing is written before it is sent. The id
//! of a message is made of endpoint and entry: a repeat has the same.

mod deliver;
mod message;
mod plan;
mod send;
mod service;
mod settle;
mod wire;

pub use deliver::{WebhookCourier, run};
pub use send::Sender;
pub use service::Webhooks;
