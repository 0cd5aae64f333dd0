//! Which server sends, where several have the log open.

use tokio::sync::watch;

/// The servers that may send.
pub trait Senders: Send + Sync {
    /// Whether this server sends to a target. Nearly always just one holds it to be its own; where two do, or one that has gone did,
    /// receivers know by the message's id that it is the same.
    fn is_ours(&self, target: &str) -> bool;

    /// Changes when another server has come or gone.
    fn changed(&self) -> watch::Receiver<()>;
}

/// There is no other server.
pub struct Alone(watch::Sender<()>);

impl Default for Alone {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl Senders for Alone {
    fn is_ours(&self, _: &str) -> bool {
        true
    }

    fn changed(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}
