//! HTTP connections: how many there are in all and from one network. A connection that has become a WebSocket, an event
//! stream or a poll is counted among those instead (`connection::permits`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use courant_proto::v1::ErrorReason;
use courant_tls::{Network, network};
use parking_lot::Mutex;

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
        let free = self.total.saturating_sub(counts.total);
        let held = counts.networks.get(&network).copied().unwrap_or_default();
        if free == 0 {
            return Err(Limit::Sockets);
        }
        if held >= self.per_address || (self.per_address < self.total && held >= free) {
            return Err(Limit::SocketsPerAddress);
        }
        counts.add(network);
        Ok(SocketPermit(Arc::new(Acquired { sockets: self.clone(), network })))
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
        self.0.sockets.counts.lock().remove(self.0.network);
        UpgradedSocket(self.clone())
    }
}

impl Drop for UpgradedSocket {
    fn drop(&mut self) {
        let Acquired { sockets, network } = &*self.0.0;
        // Never refused: the connection is there, and closes soon unless it asks again.
        sockets.counts.lock().add(*network);
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

    #[test]
    fn what_is_lent_is_free_meanwhile() {
        let sockets = Sockets::new(1, 1);
        let permit = sockets.acquire(at(1)).unwrap();
        assert_eq!(sockets.acquire(at(2)).unwrap_err(), Limit::Sockets);
        let lent = permit.release_for_upgrade();
        let other = sockets.acquire(at(2)).unwrap();
        drop(lent);
        assert_eq!(sockets.counts.lock().total, 2);
        drop((permit, other));
        assert_eq!(sockets.counts.lock().total, 0);
    }
}
