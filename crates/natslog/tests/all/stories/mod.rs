//! What is true of this engine beyond the invariants.

mod access;
mod crashes;
mod network;
mod reopened;
mod replaced;
mod settings;
mod sharing;
mod space;
