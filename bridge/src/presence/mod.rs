//! Presence: which devices of whom are connected. Each bridge keeps a book of its own connections ([`book`]), tells it to
//! the server and hears what other bridges tell ([`attend`]), and shows both as one ([`shown`]).
//!
//! While the server is away a bridge shows what it knows itself, and says that this is not all. Nothing here is kept over a
//! restart: the connections are not either.

pub mod connections;
pub mod lingering;
pub mod local;
mod merge;
pub mod registration;

#[cfg(test)]
mod invariants;
