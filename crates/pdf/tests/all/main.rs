//! What the PDF worker does, from outside: with real documents, real child processes and real OCR.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

mod documents;
mod faults;
mod health;
mod invariants;
mod mistral;
mod parameters;
mod passwords;
mod scans;
mod schema;
mod support;
