//! Where clients connect to: the next of several addresses each time, as a load balancer would have it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Addresses that are all as good. Clones take turns with each other.
#[derive(Clone, Debug)]
pub struct Endpoints {
    all: Arc<[SocketAddr]>,
    turn: Arc<AtomicUsize>,
}

impl Endpoints {
    pub fn new(all: Vec<SocketAddr>) -> Self {
        Self { all: all.into(), turn: Arc::default() }
    }

    pub fn all(&self) -> &[SocketAddr] {
        &self.all
    }

    /// The number of the next.
    pub fn turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed) % self.all.len()
    }

    /// The next.
    pub fn any(&self) -> SocketAddr {
        self.all[self.turn()]
    }

    /// The only one, if there are no others.
    pub fn only(&self) -> Option<usize> {
        (self.all.len() == 1).then_some(0)
    }
}
