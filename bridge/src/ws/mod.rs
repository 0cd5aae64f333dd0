//! WebSocket connections: handshake, session, frames.

pub mod format;
pub mod frame;
pub mod handshake;
mod pace;
pub mod reader;
pub mod session;
mod shared_socket;
pub mod socket;
#[cfg(test)]
mod socket_tests;
