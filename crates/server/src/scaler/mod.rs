//! The external scaler of KEDA: how many workers the queue of a kind needs, for a `ScaledObject` of Kubernetes.
//!
//! KEDA has no token, so this is on an address of its own (`--scaler-addr`) and tells counts of the queue alone. Its metric is
//! slots, and its target the slots of one worker: their quotient is the number of workers.

mod demand;
mod reference;
mod serve;
mod service;

pub use serve::serve;
pub use service::Scaler;
