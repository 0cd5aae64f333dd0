//! The log against real NATS servers that the tests start: a single node, and a cluster of three.

#![allow(clippy::unwrap_used, reason = "tests")]

mod conformance;
mod harness;
mod proxy;
mod stories;
mod writers;
