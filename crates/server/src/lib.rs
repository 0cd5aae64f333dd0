//! The service: takes jobs, dispatches them to workers, and streams what happens to them to everyone who may know.
//!
//! Everything durable is in the log ([`courant_joblog`]); what is kept here can be rebuilt from it at any time.
//!
//! What needs no gRPC is in [`courant_engine`]: jobs in memory, the one way to change one, watches. Modules here depend on
//! each other in one direction; `tests/layers.rs` has the list of layers.
//!
//! - [`services`]: the engine and what services need beside it; [`projections`]: what is counted with the engine's log.
//! - [`jobs`], [`uploads`], [`worker`], [`queue`], [`presence`] and [`admin`]: the gRPC services. [`sampled`]: following
//!   a state as a whole. `scaler`: how many workers Kubernetes should run.
//! - `lanes`: lanes that operators have paused.
//! - [`audit`]: who did what, in a file. `peers`: the other servers on the same log.
//! - [`error`] and [`status`]: what can go wrong, and how it looks on the wire. [`server`]: starts, runs and stops all of it;
//!   `nats`: opens the log on NATS. [`check`]: whether a configuration can be used. [`transfer`]: logs and files from one place to another, for commands.

pub mod admin;
pub mod audit;
pub mod auth;
mod changed_owners;
pub mod check;
pub mod config;
pub mod convert;
pub mod credential;
pub mod data_dir;
pub mod delivery;
mod ended_attempts;
pub mod error;
mod event_kind;
pub mod expiry;
pub mod fault;
pub mod files;
mod freed_workers;
pub mod holds;
pub mod incoming_body;
pub mod job_folder;
pub mod jobs;
mod lanes;
#[cfg(feature = "nats")]
pub mod nats;
pub mod notifications;
pub mod objects;
mod parameters;
pub mod passwords;
mod peers;
pub mod positions;
pub mod presence;
mod progress_outbox;
pub mod projections;
pub mod queue;
pub mod retention;
pub mod sampled;
mod scaler;
pub mod seal;
pub mod server;
pub mod services;
pub mod share;
pub mod shares;
pub mod status;
pub mod text;
pub mod transfer;
pub mod unused_passwords;
pub mod uploads;
pub mod webhook_store;
pub mod webhooks;
pub mod work_counts;
pub mod worker;

pub use config::Config;
pub use courant_engine::cursor;
pub use server::{ServeError, Server, StartError};
