//! The delivery engine: sends over HTTP what somebody waits for, to addresses that users choose. Webhooks and Web Push are
//! couriers of it.
//!
//! What it owns: which target is next and how many are sent to at once ([`run()`]), waits between tries ([`Backoff`]), which
//! addresses may be sent to ([`AddressRules`]), and the client ([`HttpClient`]). What is sent, and what is known of it, is the
//! courier's.

mod addresses;
mod backoff;
mod client;
mod run;
mod schedule;
mod senders;
mod target;

pub use addresses::{AddressProblem, AddressRules};
pub use backoff::Backoff;
pub use client::{Answer, HttpClient, SendError};
pub use run::{Courier, Ended, run};
pub use schedule::Limits;
pub use senders::{Alone, Senders};
pub use target::Target;
