//! The truth: what a job is, what can happen to it, and the one ordered log all of it is written to.
//!
//! - [`job`] and [`event`]: the snapshot and the change.
//! - [`apply`]: the job's life as one pure, total function.
//! - [`log`]: the [`Log`](log::Log) trait with its invariants, and [`memory`] and [`sqlite`], its engines.
//! - [`recent`]: the newest entries in memory, for engines.
//! - [`source`]: a log as a whole; [`copy`] puts it into another one, [`tally`] compares the two.
//! - [`packed`]: a job in few bytes, for who keeps many.
//! - [`notes`]: small things that those servers share beside jobs.
//! - [`peers`]: messages between servers that have one log open.
//!
//! This crate knows neither gRPC nor JSON nor HTTP.

pub mod apply;
#[cfg(test)]
mod arbitrary;
pub mod codec;
pub mod commit_stats;
pub mod copy;
pub mod event;
mod handover;
pub mod ids;
pub mod job;
mod later_fields;
pub mod latest;
pub mod log;
pub mod memory;
pub mod notes;
pub mod packed;
pub mod peers;
pub mod recent;
pub mod source;
pub mod sqlite;
pub mod tally;

#[cfg(any(test, feature = "conformance"))]
pub mod append_rate;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(any(test, feature = "conformance"))]
pub mod samples;
#[cfg(any(test, feature = "conformance"))]
pub mod wrapper;
