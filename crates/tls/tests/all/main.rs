//! TLS as both ends see it, with certificates made for the moment.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

mod changes;
mod failover;
mod files;
mod handshakes;
mod limits;
mod papers;
mod stage;
