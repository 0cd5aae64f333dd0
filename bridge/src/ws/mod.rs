//! WebSocket connections: handshake, session, frames.

pub mod format;
pub mod handshake;
mod paced;
pub mod session;
pub mod socket;
