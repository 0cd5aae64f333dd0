//! How many connections there are, in all, by user and by address. Permits are given back when dropped, however a
//! connection ends.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use courant_tls::{Network, network};
use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::api_error::ApiError;
use crate::audit::AuditLog;
use crate::config::Limits;
use crate::metrics::{Limit, Metrics, Refusal};
use crate::rate::at_least_one;
use crate::wire::admin::AuditAction;

/// Attempts of addresses, and acts of users, beyond this many are not remembered one by one; those that have recovered are forgotten first.
const REMEMBERED: usize = 10_000;

type Keyed<K> = RateLimiter<K, HashMapStateStore<K>, MonotonicClock, NoOpMiddleware<std::time::Instant>>;

pub struct Permits {
    counts: Mutex<PermitCounts>,
    attempts: Keyed<Network>,
    requests: Keyed<Network>,
    users: Keyed<Arc<str>>,
    audit: Arc<AuditLog>,
    limits: Limits,
    metrics: Metrics,
}

#[derive(Default)]
struct PermitCounts {
    total: usize,
    users: HashMap<String, usize>,
    addresses: HashMap<Network, usize>,
    /// Cancelled when an operator has a user's connections closed.
    closing: HashMap<String, CancellationToken>,
}

/// The place of one connection.
pub struct ConnectionPermit {
    permits: Arc<Permits>,
    address: IpAddr,
    user: Option<String>,
    /// Of its user.
    closing: Option<CancellationToken>,
}

impl Permits {
    pub fn new(limits: Limits, metrics: Metrics, audit: Arc<AuditLog>) -> Arc<Self> {
        let by_address = |quota| RateLimiter::new(quota, HashMapStateStore::default(), MonotonicClock);
        let attempts = by_address(Quota::per_minute(at_least_one(limits.attempts_per_minute)));
        let second = at_least_one(limits.requests_per_second);
        let requests = by_address(Quota::per_second(second).allow_burst(second.saturating_mul(at_least_one(2))));
        let second = at_least_one(limits.per_user_per_second);
        let by_user = Quota::per_second(second).allow_burst(second.saturating_mul(at_least_one(2)));
        let users = RateLimiter::new(by_user, HashMapStateStore::default(), MonotonicClock);
        Arc::new(Self { counts: Mutex::default(), attempts, requests, users, audit, limits, metrics })
    }

    /// Counts that a limit refused something, and writes it down.
    pub fn refused(&self, limit: Limit, user: Option<&str>, address: IpAddr) {
        self.metrics.refused.get_or_create(&Refusal { limit }).inc();
        self.audit.record(AuditAction::LimitRefused, user, Some(address), Some(limit.name()));
    }

    /// Whether an address may ask once more now.
    pub fn check_request_rate(&self, address: IpAddr) -> Result<(), ApiError> {
        let message = "too many requests from your address at once; wait a second";
        self.check(&self.requests, network(address), message, |permits| {
            permits.refused(Limit::RequestsPerSecond, None, address);
        })
    }

    /// Whether an address may try once more now.
    pub fn check_connect_rate(&self, address: IpAddr) -> Result<(), ApiError> {
        let message = "too many connection attempts from your address; wait a minute";
        self.check(&self.attempts, network(address), message, |permits| {
            permits.refused(Limit::AttemptsPerMinute, None, address);
        })
    }

    /// Whether a user may say or ask one more thing now, over whatever connections and requests.
    pub fn check_user_rate(&self, user: &str, address: IpAddr) -> Result<(), ApiError> {
        let message = "too many messages and requests of your user at once; wait a second";
        self.check(&self.users, user.into(), message, |permits| {
            permits.refused(Limit::PerUserPerSecond, Some(user), address);
        })
    }

    fn check<K: Hash + Eq + Clone>(
        &self,
        rate: &Keyed<K>,
        key: K,
        message: &'static str,
        refused: impl FnOnce(&Self),
    ) -> Result<(), ApiError> {
        if rate.len() > REMEMBERED {
            rate.retain_recent();
            rate.shrink_to_fit();
        }
        rate.check_key(&key).map_err(|not_until| {
            refused(self);
            ApiError::rate_limited(message, not_until.wait_time_from(MonotonicClock.now()))
        })
    }

    /// A place for a connection whose user is not known yet.
    pub fn permit(self: &Arc<Self>, address: IpAddr) -> Result<ConnectionPermit, ApiError> {
        let mut counts = self.counts.lock();
        let Limits { connections, connections_per_address: mut most, .. } = self.limits;
        if counts.total >= connections {
            return Err(self.refuse(Limit::Connections, None, address, "the bridge is full; try again later"));
        }
        if most < connections / 2 {
            // No more than are still free: then others find some, however many addresses are greedy.
            most = most.min(connections - counts.total);
        }
        if !increment(&mut counts.addresses, network(address), most) {
            let message = "too many connections from your address; close some";
            return Err(self.refuse(Limit::ConnectionsPerAddress, None, address, message));
        }
        counts.total += 1;
        self.metrics.connections.inc();
        self.metrics.admitted.inc();
        Ok(ConnectionPermit { permits: self.clone(), address, user: None, closing: None })
    }

    fn refuse(&self, limit: Limit, user: Option<&str>, address: IpAddr, why: &'static str) -> ApiError {
        self.refused(limit, user, address);
        ApiError::too_many(why)
    }

    /// How many connections there are, in all and of each user.
    pub fn by_user(&self) -> (usize, Vec<(String, usize)>) {
        let counts = self.counts.lock();
        (counts.total, counts.users.iter().map(|(user, count)| (user.clone(), *count)).collect())
    }

    /// Ends the connections that a user has now.
    pub fn close_user(&self, user: &str) {
        if let Some(closing) = self.counts.lock().closing.remove(user) {
            closing.cancel();
        }
    }

    /// How many connections there are.
    pub fn count(&self) -> usize {
        self.counts.lock().total
    }
}

impl ConnectionPermit {
    /// Where it comes from.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Counts the connection for its user, once.
    pub fn assign_to(&mut self, user: &str) -> Result<(), ApiError> {
        if self.user.is_some() {
            return Ok(());
        }
        let limit = self.permits.limits.connections_per_user;
        let mut counts = self.permits.counts.lock();
        let free = increment(&mut counts.users, user.to_owned(), limit);
        self.closing = free.then(|| counts.closing.entry(user.to_owned()).or_default().clone());
        drop(counts);
        if !free {
            let message = "too many connections of your user; close some";
            return Err(self.permits.refuse(Limit::ConnectionsPerUser, Some(user), self.address, message));
        }
        self.user = Some(user.to_owned());
        Ok(())
    }

    /// Waits until an operator has the connections of its user closed.
    pub async fn closed(&self) {
        match &self.closing {
            Some(closing) => closing.cancelled().await,
            None => std::future::pending().await,
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut counts = self.permits.counts.lock();
        counts.total -= 1;
        decrement(&mut counts.addresses, &network(self.address));
        if let Some(user) = &self.user {
            decrement(&mut counts.users, user);
            if !counts.users.contains_key(user) {
                counts.closing.remove(user);
            }
        }
        self.permits.metrics.connections.dec();
    }
}

fn increment<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: K, limit: usize) -> bool {
    let count = counts.entry(key).or_default();
    let free = *count < limit;
    *count += usize::from(free);
    free
}

fn decrement<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
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

    fn permits(limits: Limits) -> Arc<Permits> {
        Permits::new(limits, Metrics::default(), Arc::default())
    }

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    #[test]
    fn permits_are_limited_by_address_user_and_in_all_and_come_back() {
        let limits =
            Limits { connections: 3, connections_per_address: 2, connections_per_user: 1, ..Limits::default() };
        let permits = permits(limits);
        let mut first = permits.permit(HERE).unwrap();
        let mut second = permits.permit(HERE).unwrap();
        assert!(permits.permit(HERE).is_err());
        let third = permits.permit(THERE).unwrap();
        assert!(permits.permit(THERE).is_err());
        first.assign_to("alice").unwrap();
        first.assign_to("alice").unwrap();
        assert!(second.assign_to("alice").is_err());
        drop(first);
        second.assign_to("alice").unwrap();
        drop((second, third));
        assert_eq!(permits.count(), 0);
        let counts = permits.counts.lock();
        assert!(counts.users.is_empty() && counts.addresses.is_empty());
    }

    #[test]
    fn attempts_are_limited_by_address() {
        let permits = permits(Limits { attempts_per_minute: 2, ..Limits::default() });
        assert!(permits.check_connect_rate(HERE).is_ok() && permits.check_connect_rate(HERE).is_ok());
        assert!(permits.check_connect_rate(HERE).is_err());
        assert!(permits.check_connect_rate(THERE).is_ok());
    }

    #[test]
    fn what_a_user_does_is_limited_wherever_it_comes_from() {
        let permits = permits(Limits { per_user_per_second: 1, ..Limits::default() });
        assert!(permits.check_user_rate("alice", HERE).is_ok() && permits.check_user_rate("alice", THERE).is_ok());
        assert!(permits.check_user_rate("alice", HERE).is_err());
        assert!(permits.check_user_rate("bob", HERE).is_ok());
        assert_eq!(permits.metrics.refused.get_or_create(&Refusal { limit: Limit::PerUserPerSecond }).get(), 1);
    }

    #[test]
    fn every_refusal_is_counted_and_a_flood_of_them_does_not_fill_the_trail() {
        let permits = permits(Limits { requests_per_second: 1, ..Limits::default() });
        let refused = (0..500).filter(|_| permits.check_request_rate(HERE).is_err()).count() as u64;
        let counted = permits.metrics.refused.get_or_create(&Refusal { limit: Limit::RequestsPerSecond }).get();
        assert!(refused > 400 && counted == refused, "{refused} {counted}");
        let entries = permits.audit.newest();
        assert_eq!((entries.len(), entries[0].count), (1, Some(refused)));
    }
}
