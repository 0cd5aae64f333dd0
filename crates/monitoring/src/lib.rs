//! What programs show to operators: metrics for Prometheus, probes for whoever restarts them, and the health protocol of gRPC.
//!
//! Each program has one [`Monitor`]. Its parts add what they count ([`Monitor::add`]) and say what keeps them from serving
//! ([`Probes`]); [`Monitor::serve`] answers on an address of its own, on a thread of its own, so that it also answers when
//! the rest of the program does not.
//!
//! Labels are bounded: their values come from this code (lanes, outcomes, methods, routes), never from a caller.

mod certificates;
mod endpoint;
#[cfg(feature = "flags")]
mod flags;
mod grpc_calls;
mod grpc_context;
mod health;
mod monitor;
mod probes;
mod process;
mod samples;
mod text;
#[cfg(feature = "flags")]
mod trace_export;

pub use endpoint::Endpoint;
#[cfg(feature = "flags")]
pub use flags::{MonitoringFlags, TelemetryFlags};
pub use grpc_calls::{CallCounting, CountGrpcCalls, GrpcCalls};
pub use health::{HealthBoard, HealthService};
pub use monitor::Monitor;
pub use probes::{Probes, Pulse, Report, beat};
pub use prometheus_client::registry::Registry;
pub use samples::Samples;
