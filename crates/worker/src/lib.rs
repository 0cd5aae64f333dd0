//! The worker SDK: write a [`Handler`], call [`run`], and jobs of your kinds come to it.
//!
//! ```no_run
//! use std::sync::Arc;
//! use courant_worker::{Config, Handler, Outcome, Task, TaskError, async_trait, run};
//! use tokio_util::sync::CancellationToken;
//!
//! struct Count;
//!
//! #[async_trait]
//! impl Handler for Count {
//!     async fn run(&self, task: Task) -> Result<Outcome, TaskError> {
//!         let path = std::env::temp_dir().join(task.job_id());
//!         task.read_document(&path).await?;
//!         // … work, report, write artifacts, stop when task.cancelled() fires …
//!         Ok(Outcome::default())
//!     }
//! }
//!
//! # async fn start() -> Result<(), courant_worker::Error> {
//! let token = std::env::var("COURANT_TOKEN").unwrap_or_default();
//! let config = Config::new("http://127.0.0.1:50051", Arc::new(move || token.clone()), "counter-1", ["text"]);
//! run(config, Arc::new(Count), CancellationToken::new()).await
//! # }
//! ```
//!
//! What the SDK does for a handler, so that it does not have to:
//!
//! - keeps one stream to the server, with heartbeats, and opens a new one when it breaks or falls silent; tasks go on
//!   running meanwhile, and what they reported is sent again until the server has it;
//! - keeps the reports of a job that the server cannot take just now, because its store is away, and sends them again while
//!   its other jobs go on;
//! - fires [`Task::cancelled`] when the job is cancelled, when the lease is lost, and when a shutdown has used up its
//!   grace period, and tells the server how it ended;
//! - turns a panic of the handler into a failed attempt;
//! - retries reading and writing while the server is away;
//! - counts what it does and answers scrapes and probes, if it is given an address for that ([`Config::metrics_addr`]);
//! - says how it stands with the server ([`Config::status`]), so that a health check can tell a worker that is cut off
//!   from one that has nothing to do.
//!
//! The rules it keeps, and what it takes to write a worker in another language: `docs/writing-a-worker.md`.
//!
//! It knows nothing of what the work is. It must never do the work on the stream's task, and never hold more reports in
//! memory than [`Config::outbox`] says.

#![warn(missing_docs)]

/// The Rust in the guide, compiled with the tests of documentation.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/writing-a-worker.md")]
pub struct Guide;

mod attempt;
mod calls;
mod config;
mod handler;
mod metrics;
mod outbox;
mod session;
mod split;
mod status;
mod task;
mod trace;
mod turns;
mod worker;

pub use async_trait::async_trait;
pub use config::{Config, ConfigError, TokenSource};
pub use courant_monitoring::Monitor;
pub use courant_proto::v1::{BoundingBox, Page, ResultFormat, Stage, Zone, ZoneKind, ZoneStatus};
/// Something that takes time, in the trace of a job ([`Task::span`]).
pub use courant_runtime::traces::Span;
pub use handler::{Handler, Outcome, TaskError};
pub use metrics::{WorkerMetrics, follow_status};
pub use split::{Split, SplitEvent};
pub use status::{Status, StatusBoard};
pub use task::{Artifact, CallError, FinishedPage, Source, Task};
pub use trace::within;
pub use worker::{Error, run};
