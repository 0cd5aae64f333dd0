//! Presence: which devices of whom are connected. Each bridge keeps a book of its own connections ([`book`]), tells it to
//! the core and hears what other bridges tell ([`attend`]), and shows both as one ([`shown`]).
//!
//! While the core is away a bridge shows what it knows itself, and says that this is not all. Nothing here is kept over a
//! restart: the connections are not either.

pub mod attend;
pub mod book;
pub mod lingering;
pub mod own;
pub mod shown;

#[cfg(test)]
mod laws;
