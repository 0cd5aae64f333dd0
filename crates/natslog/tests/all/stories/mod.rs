//! What is true of this engine beyond the invariants.

mod access;
mod copied;
mod crashes;
mod network;
mod reopened;
mod replaced;
mod restored;
mod settings;
mod sharing;
mod space;
