//! How many connections there are, in all, by user and by address. Seats are given back when dropped, however a
//! connection ends.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;

use crate::audit::Trail;
use crate::config::Limits;
use crate::fault::Fault;
use crate::metrics::{Limit, Metrics, Refusal};
use crate::rate::{at_least_one, network};
use crate::wire::admin::Deed;

/// Attempts of addresses, and acts of users, beyond this many are not remembered one by one; those that have recovered are forgotten first.
const REMEMBERED: usize = 10_000;

type Keyed<K> = RateLimiter<K, HashMapStateStore<K>, MonotonicClock, NoOpMiddleware<std::time::Instant>>;

/// All connections.
pub struct Registry {
    counts: Mutex<Counts>,
    attempts: Keyed<IpAddr>,
    requests: Keyed<IpAddr>,
    users: Keyed<Arc<str>>,
    trail: Arc<Trail>,
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
    pub fn new(limits: Limits, metrics: Metrics, trail: Arc<Trail>) -> Arc<Self> {
        let by_address = |quota| RateLimiter::new(quota, HashMapStateStore::default(), MonotonicClock);
        let attempts = by_address(Quota::per_minute(at_least_one(limits.attempts_per_minute)));
        let second = at_least_one(limits.requests_per_second);
        let requests = by_address(Quota::per_second(second).allow_burst(second.saturating_mul(at_least_one(2))));
        let second = at_least_one(limits.per_user_per_second);
        let by_user = Quota::per_second(second).allow_burst(second.saturating_mul(at_least_one(2)));
        let users = RateLimiter::new(by_user, HashMapStateStore::default(), MonotonicClock);
        Arc::new(Self { counts: Mutex::default(), attempts, requests, users, trail, limits, metrics })
    }

    /// Counts that a limit refused something, and writes it down.
    pub fn refused(&self, limit: Limit, user: Option<&str>, address: IpAddr) {
        self.metrics.refused.get_or_create(&Refusal { limit }).inc();
        self.trail.note(Deed::LimitRefused, user, Some(address), Some(limit.name()));
    }

    /// Whether an address may ask once more now.
    pub fn may_ask(&self, address: IpAddr) -> Result<(), Fault> {
        let message = "too many requests from your address at once; wait a second";
        self.check(&self.requests, network(address), message, |registry| {
            registry.refused(Limit::RequestsPerSecond, None, address);
        })
    }

    /// Whether an address may try once more now.
    pub fn may_try(&self, address: IpAddr) -> Result<(), Fault> {
        let message = "too many connection attempts from your address; wait a minute";
        self.check(&self.attempts, network(address), message, |registry| {
            registry.refused(Limit::AttemptsPerMinute, None, address);
        })
    }

    /// Whether a user may say or ask one more thing now, over whatever connections and requests.
    pub fn may_act(&self, user: &str, address: IpAddr) -> Result<(), Fault> {
        let message = "too many messages and requests of your user at once; wait a second";
        self.check(&self.users, user.into(), message, |registry| {
            registry.refused(Limit::PerUserPerSecond, Some(user), address);
        })
    }

    fn check<K: Hash + Eq + Clone>(
        &self,
        rate: &Keyed<K>,
        key: K,
        message: &'static str,
        refused: impl FnOnce(&Self),
    ) -> Result<(), Fault> {
        if rate.len() > REMEMBERED {
            rate.retain_recent();
            rate.shrink_to_fit();
        }
        rate.check_key(&key).map_err(|not_until| {
            refused(self);
            Fault::rate_limited(message, not_until.wait_time_from(MonotonicClock.now()))
        })
    }

    /// A place for a connection whose user is not known yet.
    pub fn seat(self: &Arc<Self>, address: IpAddr) -> Result<Seat, Fault> {
        let mut counts = self.counts.lock();
        let Limits { connections, connections_per_address: mut most, .. } = self.limits;
        if counts.total >= connections {
            return Err(self.refuse(Limit::Connections, None, address, "the bridge is full; try again later"));
        }
        if most < connections / 2 {
            // No more than are still free: then others find some, however many addresses are greedy.
            most = most.min(connections - counts.total);
        }
        if !up(&mut counts.addresses, network(address), most) {
            let message = "too many connections from your address; close some";
            return Err(self.refuse(Limit::ConnectionsPerAddress, None, address, message));
        }
        counts.total += 1;
        self.metrics.connections.inc();
        Ok(Seat { registry: self.clone(), address, user: None })
    }

    fn refuse(&self, limit: Limit, user: Option<&str>, address: IpAddr, why: &'static str) -> Fault {
        self.refused(limit, user, address);
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
            let message = "too many connections of your user; close some";
            return Err(self.registry.refuse(Limit::ConnectionsPerUser, Some(user), self.address, message));
        }
        self.user = Some(user.to_owned());
        Ok(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.registry.counts.lock();
        counts.total -= 1;
        down(&mut counts.addresses, &network(self.address));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(limits: Limits) -> Arc<Registry> {
        Registry::new(limits, Metrics::default(), Arc::default())
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

    #[test]
    fn what_a_user_does_is_limited_wherever_it_comes_from() {
        let registry = registry(Limits { per_user_per_second: 1, ..Limits::default() });
        assert!(registry.may_act("alice", HERE).is_ok() && registry.may_act("alice", THERE).is_ok());
        assert!(registry.may_act("alice", HERE).is_err());
        assert!(registry.may_act("bob", HERE).is_ok());
        assert_eq!(registry.metrics.refused.get_or_create(&Refusal { limit: Limit::PerUserPerSecond }).get(), 1);
    }

    #[test]
    fn every_refusal_is_counted_and_a_flood_of_them_does_not_fill_the_trail() {
        let registry = registry(Limits { requests_per_second: 1, ..Limits::default() });
        let refused = (0..500).filter(|_| registry.may_ask(HERE).is_err()).count() as u64;
        let counted = registry.metrics.refused.get_or_create(&Refusal { limit: Limit::RequestsPerSecond }).get();
        assert!(refused > 400 && counted == refused, "{refused} {counted}");
        let told = registry.trail.newest();
        assert_eq!((told.len(), told[0].count), (1, Some(refused)));
    }
}
