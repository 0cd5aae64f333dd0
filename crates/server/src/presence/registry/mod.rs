//! Who is connected, as the bridges report it: to this server, and to the others on the same log. In memory alone; what a bridge
//! reported is dropped with its stream.

mod change;
mod inner;
mod pending;
mod presence_registry;
mod receive;
mod remote;
mod send;

pub use self::change::{Change, Received, SnapshotPosition, Update};
pub use self::inner::UserUpdate;
pub use self::presence_registry::{BridgeRegistration, PresenceRegistry};
