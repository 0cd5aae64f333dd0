//! What goes over the browser's wire: the types of `PROTOCOL.md`, and how the server's events become them.
//!
//! Owns names, shapes and rounding. Must never know about sockets, topics or who may see what.

pub mod admin;
pub mod command;
pub mod device;
pub mod encode;
pub mod field;
pub mod invariants;
pub mod job;
pub mod message;
pub mod names;
pub mod packed;
#[cfg(feature = "schema")]
pub(crate) mod schema_enums;
pub mod service;
pub mod topic;
pub mod update;
pub mod webhook;

pub use command::{Command, CommandError};
pub use message::ServerMessage;
pub use topic::{Audience, JobFilter, ThrottleTier, TopicKind, TopicName};
