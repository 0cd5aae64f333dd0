//! Which server sends to a browser or to a webhook: the same for all that know of the same servers.

use tokio::sync::watch;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::peer::{OTHERS_KNOWN_AFTER, Peers};
use crate::delivery::Senders;

impl Senders for Peers {
    fn is_ours(&self, target: &str) -> bool {
        if self.started.elapsed() < OTHERS_KNOWN_AFTER {
            return false;
        }
        let own = self.registry.server.0;
        let drawn = |server: u64| (xxh3_64_with_seed(target.as_bytes(), server), server);
        // The highest one wins (rendezvous hashing): when a server comes or goes, only what is its own moves.
        self.others.lock().keys().all(|other| drawn(other.0) < drawn(own))
    }

    fn changed(&self) -> watch::Receiver<()> {
        self.membership.subscribe()
    }
}
