//! The PDF pipeline: a document in, pages with zones and text out, exported in the formats asked for.
//!
//! Two processes. The worker ([`PdfWorker`], a [`courant_worker::Handler`]) talks to the server, keeps the pages and
//! writes the results; it never looks into a PDF. The isolated child ([`child`]) parses, and dies without harm.
//! `RESULTS.md` beside this crate describes the results.

pub mod artifact;
pub mod backend;
mod budget;
pub mod child;
mod config;
pub mod corpus;
mod export;
mod failure;
mod fair_semaphore;
pub mod health;
#[doc(hidden)]
pub mod invariants;
mod isolation;
pub mod jail;
mod job;
pub mod ocr;
mod options;
pub mod picture;
mod process;
pub mod protocol;
mod secret;
mod shared;
mod stats;
mod store;
mod supervisor;
pub mod text;
mod wire;
pub mod zones;

pub use budget::Allowance;
pub use config::{OcrChoice, PdfConfig};
pub use job::PdfWorker;
pub use options::{OptionsError, PdfOptions};
pub use process::ChildCommand;
pub use secret::SecretText;
pub use supervisor::Supervisor;
