//! Topics: what subscribers follow. One topic follows the server once, however many subscribers it has.
//!
//! A topic starts with its first subscriber and ends a while after its last one left. All topics work alike: they follow
//! their scope, come back after losses, say when they stall and are live again, and hand each update, encoded once, to all
//! their subscribers. Where updates come from is behind [`upstream::Upstream`]; where they go is an [`crate::outbox::Outbox`].
//! Must never know who writes to the socket, nor how the server is asked.

mod broadcast;
mod fanout;
mod follow;
pub mod registry;
mod replay;
mod retained;
pub mod scope;
pub mod subscribe;
pub mod subscriber;
pub mod upstream;
pub mod visibility;

#[cfg(test)]
mod tests;
