//! How many connections there are, in all, by user and by address. Seats are given back when dropped, however a
//! connection ends.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use governor::clock::MonotonicClock;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;

use crate::config::Limits;
use crate::fault::Fault;
use crate::metrics::Metrics;

/// Attempts of addresses beyond this many are not remembered one by one; those that have recovered are forgotten first.
const REMEMBERED: usize = 10_000;

type Attempts = RateLimiter<
    IpAddr,
    HashMapStateStore<IpAddr>,
    MonotonicClock,
    governor::middleware::NoOpMiddleware<std::time::Instant>,
>;

/// All connections.
pub struct Registry {
    counts: Mutex<Counts>,
    attempts: Attempts,
    limits: Limits,
    metrics: Metrics,
}

#[derive(Default)]
struct Counts {
    total: usize,
    users: HashMap<String, usize>,
    addresses: HashMap<IpAddr, usize>,
}

/// The place of one connection.
pub struct Seat {
    registry: Arc<Registry>,
    address: IpAddr,
    user: Option<String>,
}

impl Registry {
    /// Nobody yet.
    pub fn new(limits: Limits, metrics: Metrics) -> Arc<Self> {
        let quota = Quota::per_minute(at_least_one(limits.attempts_per_minute));
        let attempts = RateLimiter::new(quota, HashMapStateStore::default(), MonotonicClock);
        Arc::new(Self { counts: Mutex::default(), attempts, limits, metrics })
    }

    /// Whether an address may try once more now.
    pub fn may_try(&self, address: IpAddr) -> Result<(), Fault> {
        if self.attempts.len() > REMEMBERED {
            self.attempts.retain_recent();
            self.attempts.shrink_to_fit();
        }
        self.attempts.check_key(&address).map_err(|_| {
            self.metrics.refused.inc();
            Fault::too_many("too many connection attempts from your address; wait a minute")
        })
    }

    /// A place for a connection whose user is not known yet.
    pub fn seat(self: &Arc<Self>, address: IpAddr) -> Result<Seat, Fault> {
        let mut counts = self.counts.lock();
        if counts.total >= self.limits.connections {
            return Err(self.refuse("the bridge is full; try again later"));
        }
        if !up(&mut counts.addresses, address, self.limits.connections_per_address) {
            return Err(self.refuse("too many connections from your address; close some"));
        }
        counts.total += 1;
        self.metrics.connections.inc();
        Ok(Seat { registry: self.clone(), address, user: None })
    }

    fn refuse(&self, why: &'static str) -> Fault {
        self.metrics.refused.inc();
        Fault::too_many(why)
    }

    /// How many connections there are, in all and of each user.
    pub fn by_user(&self) -> (usize, Vec<(String, usize)>) {
        let counts = self.counts.lock();
        (counts.total, counts.users.iter().map(|(user, count)| (user.clone(), *count)).collect())
    }

    /// How many connections there are.
    pub fn count(&self) -> usize {
        self.counts.lock().total
    }
}

impl Seat {
    /// Where it comes from.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Counts the connection for its user, once.
    pub fn belongs_to(&mut self, user: &str) -> Result<(), Fault> {
        if self.user.is_some() {
            return Ok(());
        }
        let limit = self.registry.limits.connections_per_user;
        if !up(&mut self.registry.counts.lock().users, user.to_owned(), limit) {
            return Err(self.registry.refuse("too many connections of your user; close some"));
        }
        self.user = Some(user.to_owned());
        Ok(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.registry.counts.lock();
        counts.total -= 1;
        down(&mut counts.addresses, &self.address);
        if let Some(user) = &self.user {
            down(&mut counts.users, user);
        }
        self.registry.metrics.connections.dec();
    }
}

fn up<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: K, limit: usize) -> bool {
    let count = counts.entry(key).or_default();
    let free = *count < limit;
    *count += usize::from(free);
    free
}

fn down<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// A limit that was checked at the start to be at least 1.
pub fn at_least_one(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(limits: Limits) -> Arc<Registry> {
        Registry::new(limits, Metrics::default())
    }

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    #[test]
    fn seats_are_limited_by_address_user_and_in_all_and_come_back() {
        let limits =
            Limits { connections: 3, connections_per_address: 2, connections_per_user: 1, ..Limits::default() };
        let registry = registry(limits);
        let mut first = registry.seat(HERE).unwrap();
        let mut second = registry.seat(HERE).unwrap();
        assert!(registry.seat(HERE).is_err());
        let third = registry.seat(THERE).unwrap();
        assert!(registry.seat(THERE).is_err());
        first.belongs_to("alice").unwrap();
        first.belongs_to("alice").unwrap();
        assert!(second.belongs_to("alice").is_err());
        drop(first);
        second.belongs_to("alice").unwrap();
        drop((second, third));
        assert_eq!(registry.count(), 0);
        let counts = registry.counts.lock();
        assert!(counts.users.is_empty() && counts.addresses.is_empty());
    }

    #[test]
    fn attempts_are_limited_by_address() {
        let registry = registry(Limits { attempts_per_minute: 2, ..Limits::default() });
        assert!(registry.may_try(HERE).is_ok() && registry.may_try(HERE).is_ok());
        assert!(registry.may_try(HERE).is_err());
        assert!(registry.may_try(THERE).is_ok());
    }
}
