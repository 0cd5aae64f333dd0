//! The other servers on the same log. They tell each other which workers they look after, so that none ends what another's worker does,
//! and pass on what is not in the log: progress, and who is connected.

mod followed;
mod message;
mod peer;
mod presence;
mod presence_message;
mod progress;
mod question;
mod senders;

pub use self::peer::Peers;
