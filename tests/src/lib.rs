//! The harness: starts the real binaries on free ports in a folder of their own, and speaks to them as clients do.
//!
//! Waits for signals (a line, an event, an exit), never for time to pass. Every wait has an end: [`within`].

pub mod bench;
pub mod bridge;
pub mod cluster;
pub mod documents;
pub mod events;
pub mod grpc;
pub mod health;
pub mod http;
pub mod ingress;
pub mod pdf_worker;
pub mod program;
pub mod rolling;
pub mod s3;
pub mod scaling;
pub mod server;
pub mod submitter;
pub mod torture;
pub mod up;
pub mod webhooks;
pub mod worker;
pub mod ws;

use std::time::Duration;

/// The Rust in the README, compiled with the tests of documentation.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

pub use up::Up;

/// The longest a single thing may take on a slow and busy machine. Nothing waits this long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Ends a wait that would never end, and says which.
pub async fn within<T>(what: &str, waiting: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(done) => done,
        Err(_) => anyhow::bail!("waited {PATIENCE:?} for {what}"),
    }
}
