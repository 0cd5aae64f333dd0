//! WebSocket connections: handshake, session, frames.

pub mod handshake;
pub mod session;
pub mod wire;
