//! The service: takes jobs, gives them to workers, and tells everyone who may know what happens to them.
//!
//! Everything durable is in the log ([`courant_joblog`]); what is kept here can be rebuilt from it at any time.
//!
//! Modules depend on each other in one direction; `tests/layers.rs` has the list of layers. Up to [`engine`] and what runs on
//! it, nothing knows gRPC or the types of the wire.
//!
//! - [`engine`]: the one way to change a job; [`view`]: what the log says, in memory; [`indexes`]: what is counted beside it;
//!   [`hub`]: who is sent what.
//! - [`jobs`], [`worker`] and [`admin`]: the gRPC services. [`watch`]: following jobs; [`sampled`]: following a state as
//!   a whole.
//! - [`error`] and [`status`]: what can go wrong, and how it looks on the wire. [`server`]: starts, runs and stops all of it.

pub mod admin;
pub mod arrival;
pub mod auth;
pub mod clock;
pub mod config;
pub mod convert;
pub mod credential;
pub mod cursor;
pub mod data_dir;
pub mod engine;
pub mod error;
pub mod estimate;
pub mod fault;
pub mod filter;
pub mod holds;
pub mod hub;
pub mod indexes;
pub mod jobs;
pub mod metrics;
pub mod notices;
pub mod objects;
pub mod passwords;
pub mod places;
pub mod presence;
pub mod queue;
pub mod quota;
pub mod reservation;
pub mod retention;
pub mod sampled;
pub mod seal;
pub mod server;
pub mod share;
pub mod shares;
pub mod snapshot;
pub mod status;
pub mod text;
pub mod transitions;
pub mod unwatched;
pub mod uploads;
pub mod view;
pub mod watch;
pub mod worker;

pub use config::Config;
pub use server::{ServeError, Server, StartError};
