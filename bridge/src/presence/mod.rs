//! Presence: which devices of whom are connected. Each bridge knows its own connections ([`local`]), tells the server of them
//! and learns what other bridges tell ([`registration`]), and shows both as one.
//!
//! While the server is unavailable a bridge shows what it knows itself, and says that this is not all. Nothing here outlives
//! a restart: the connections do not either.

pub mod connections;
pub mod lingering;
pub mod local;
mod merge;
pub mod registration;

#[cfg(test)]
mod invariants;
