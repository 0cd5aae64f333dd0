//! The log against real NATS servers that the tests start: a single node, and a cluster of three.

mod conformance;
mod harness;
mod stories;
