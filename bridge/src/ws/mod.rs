//! WebSocket connections: handshake, session, frames.

pub mod format;
pub mod handshake;
pub mod session;
pub mod wire;
