//! HTTP connections: how many there are in all and from one network. A connection that has become a WebSocket, an event
//! stream or a poll is counted among those instead (`connection::permits`); one of HTTP/2 as long as it has any.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use courant_proto::v1::ErrorReason;
use courant_tls::{Network, network};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::api_error::{ApiError, Code};
use crate::metrics::Limit;

#[derive(Debug)]
pub struct Sockets {
    total: usize,
    per_address: usize,
    counts: Mutex<SocketCounts>,
}

#[derive(Debug, Default)]
struct SocketCounts {
    total: usize,
    networks: HashMap<Network, usize>,
}

/// One connection, as long as anything of it is left. Cloning shares.
#[derive(Clone, Debug)]
pub struct SocketPermit(Arc<Acquired>);

#[derive(Debug)]
struct Acquired {
    sockets: Arc<Sockets>,
    network: Network,
    /// For how much of what it does it is counted elsewhere. Changes under the lock of the counts.
    lent: AtomicUsize,
    /// Came back where there was no room for it.
    surplus: CancellationToken,
}

/// The connection is counted elsewhere until this is dropped.
#[derive(Debug)]
pub struct UpgradedSocket(SocketPermit);

impl Sockets {
    /// None yet. From one network no more than are still free: then others find some, however many are greedy.
    pub fn new(total: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { total, per_address, counts: Mutex::default() })
    }

    /// Counts a connection, or says which limit refuses it.
    pub fn acquire(self: &Arc<Self>, address: IpAddr) -> Result<SocketPermit, Limit> {
        let network = network(address);
        let mut counts = self.counts.lock();
        self.check(&counts, network)?;
        counts.add(network);
        drop(counts);
        let (sockets, lent, surplus) = (self.clone(), AtomicUsize::new(0), CancellationToken::new());
        Ok(SocketPermit(Arc::new(Acquired { sockets, network, lent, surplus })))
    }

    /// Whether there is room for one more.
    fn check(&self, counts: &SocketCounts, network: Network) -> Result<(), Limit> {
        let free = self.total.saturating_sub(counts.total);
        let held = counts.networks.get(&network).copied().unwrap_or_default();
        if free == 0 {
            return Err(Limit::Sockets);
        }
        if held >= self.per_address || (self.per_address < self.total && held >= free) {
            return Err(Limit::SocketsPerAddress);
        }
        Ok(())
    }
}

impl SocketCounts {
    fn add(&mut self, network: Network) {
        self.total += 1;
        *self.networks.entry(network).or_default() += 1;
    }

    fn remove(&mut self, network: Network) {
        self.total = self.total.saturating_sub(1);
        if let Some(count) = self.networks.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.networks.remove(&network);
            }
        }
    }
}

impl SocketPermit {
    /// Gives the place back for a time: what the connection does meanwhile is counted elsewhere.
    pub fn release_for_upgrade(&self) -> UpgradedSocket {
        let Acquired { sockets, network, lent, .. } = &*self.0;
        let mut counts = sockets.counts.lock();
        if lent.fetch_add(1, Ordering::Relaxed) == 0 {
            counts.remove(*network);
        }
        UpgradedSocket(self.clone())
    }

    /// Waits until the connection has to end after what it does now: it has come back, and its place is taken.
    pub async fn is_surplus(&self) {
        self.0.surplus.cancelled().await;
    }
}

impl Drop for UpgradedSocket {
    fn drop(&mut self) {
        let Acquired { sockets, network, lent, surplus } = &*self.0.0;
        let mut counts = sockets.counts.lock();
        if lent.fetch_sub(1, Ordering::Relaxed) > 1 {
            return;
        }
        let refused = sockets.check(&counts, *network).is_err();
        // Counted all the same: the connection is there.
        counts.add(*network);
        drop(counts);
        if refused {
            surplus.cancel();
        }
    }
}

impl Drop for Acquired {
    fn drop(&mut self) {
        self.sockets.counts.lock().remove(self.network);
    }
}

/// What a client reads that finds no place.
pub fn refusal(limit: Limit) -> ApiError {
    match limit {
        Limit::SocketsPerAddress => ApiError::too_many("too many HTTP connections from your address; close some"),
        _ => {
            let busy =
                ApiError::new(Code::Server(ErrorReason::Busy), "the bridge has no HTTP connection free; try again");
            ApiError { retry_after: Some(std::time::Duration::from_secs(1)), ..busy }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn all(sockets: &Arc<Sockets>, address: IpAddr) -> Vec<SocketPermit> {
        std::iter::from_fn(|| sockets.acquire(address).ok()).collect()
    }

    #[test]
    fn one_network_gets_its_part_and_many_leave_something() {
        let sockets = Sockets::new(100, 30);
        let held: Vec<_> = (0..6).map(|number| all(&sockets, at(number))).collect();
        assert_eq!(held[0].len(), 30);
        assert!(sockets.acquire(at(99)).is_ok() && sockets.acquire(at(0)).is_err());
        // A subscriber of IPv6 has 2^64 addresses.
        let v6 = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = all(&sockets, v6("2001:db8::1"));
        assert!(!first.is_empty() && sockets.acquire(v6("2001:db8::2")).is_err());
        drop((held, first));
        assert_eq!(sockets.counts.lock().total, 0);
        assert!(sockets.counts.lock().networks.is_empty());
    }

    fn is_surplus(permit: &SocketPermit) -> bool {
        permit.0.surplus.is_cancelled()
    }

    #[test]
    fn what_is_lent_is_free_meanwhile_and_has_to_end_when_its_place_is_taken() {
        let sockets = Sockets::new(1, 1);
        let permit = sockets.acquire(at(1)).unwrap();
        assert_eq!(sockets.acquire(at(2)).unwrap_err(), Limit::Sockets);
        drop(permit.release_for_upgrade());
        assert!(!is_surplus(&permit));
        let lent = permit.release_for_upgrade();
        let other = sockets.acquire(at(2)).unwrap();
        drop(lent);
        assert!(is_surplus(&permit) && !is_surplus(&other));
        assert_eq!(sockets.counts.lock().total, 2);
        drop((permit, other));
        assert_eq!(sockets.counts.lock().total, 0);
    }

    #[test]
    fn a_connection_with_many_event_streams_is_lent_once() {
        let sockets = Sockets::new(3, 3);
        let permit = sockets.acquire(at(1)).unwrap();
        let (first, second) = (permit.release_for_upgrade(), permit.release_for_upgrade());
        assert_eq!(sockets.counts.lock().total, 0);
        drop(first);
        assert_eq!(sockets.counts.lock().total, 0);
        drop(second);
        assert_eq!(sockets.counts.lock().total, 1);
        assert!(!is_surplus(&permit));
    }
}
