//! WebSocket connections: handshake, session, what waits for it, and how many there may be.

pub mod close;
pub mod handshake;
pub mod outbox;
pub mod registry;
pub mod replies;
pub mod session;
pub mod subscriptions;
pub mod wire;
