//! The PDF pipeline: a document in, pages with zones and text out, exported in the formats asked for.
//!
//! Two processes. The worker ([`PdfWorker`], a [`courant_worker::Handler`]) talks to the server, keeps the pages and
//! writes the results; it never looks into a PDF. The isolated child ([`child`]) parses, and dies without harm.
//! `RESULTS.md` beside this crate describes the results.

pub mod artifact;
pub mod backend;
pub mod child;
mod config;
mod export;
mod failure;
pub mod health;
mod job;
mod process;
pub mod protocol;
mod store;
pub mod text;
mod wire;
pub mod zones;

pub use config::PdfConfig;
pub use job::PdfWorker;
pub use process::ChildCommand;
