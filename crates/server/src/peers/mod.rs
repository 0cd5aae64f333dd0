//! The other servers on the same log. They tell each other which workers they look after, so that none ends what another's worker does,
//! and pass on the progress that is not in the log.

mod followed;
mod message;
mod peer;
mod progress;
mod question;

pub use self::peer::Peers;
