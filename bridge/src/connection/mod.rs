//! What every connection has that follows topics, over whatever transport: what waits for it, what it follows, how it
//! ends, and how many there may be.

pub mod permits;
pub mod replies;
pub mod subscriptions;
