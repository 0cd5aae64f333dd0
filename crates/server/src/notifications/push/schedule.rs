//! Which subscription is sent to next.
//!
//! Deliveries are independent of each other, and each takes a slot while its push service answers. A service that hangs, or
//! a user whose browsers are all at one, gets only so many slots: the others go on beside it.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::config::PushConfig;
use crate::notifications::subscription::Delivery;

/// Subscriptions that are sent to at the same time.
#[derive(Clone, Copy, Debug)]
pub(super) struct PushLimits {
    pub(super) in_all: usize,
    /// Those at one host.
    pub(super) per_host: usize,
    /// Those of one user.
    pub(super) per_user: usize,
}

impl PushLimits {
    pub(super) fn new(config: &PushConfig) -> Self {
        Self {
            in_all: config.push_at_once,
            per_host: config.push_per_host_at_once,
            per_user: config.push_per_user_at_once,
        }
    }
}

/// What waits and what is under way. Both are bounded by the subscriptions there are.
pub(super) struct Schedule {
    limits: PushLimits,
    /// Each with its host.
    waiting: VecDeque<(Delivery, String)>,
    /// The endpoints in `waiting`.
    known: HashSet<String>,
    /// By endpoint, and what came for it meanwhile.
    running: HashMap<String, Option<Delivery>>,
    users: HashMap<String, usize>,
    hosts: HashMap<String, usize>,
}

impl Schedule {
    pub(super) fn new(limits: PushLimits) -> Self {
        let (waiting, known, running) = (VecDeque::new(), HashSet::new(), HashMap::new());
        Self { limits, waiting, known, running, users: HashMap::new(), hosts: HashMap::new() }
    }

    /// Something is to be sent. One that is under way is sent again when it has ended.
    pub(super) fn add(&mut self, delivery: Delivery) {
        let endpoint = &delivery.subscription.endpoint;
        if let Some(again) = self.running.get_mut(endpoint) {
            *again = Some(delivery);
        } else if self.known.insert(endpoint.clone()) {
            let host = delivery.subscription.host();
            self.waiting.push_back((delivery, host));
        }
    }

    /// The next that gets a slot; [`Schedule::end`] must follow.
    pub(super) fn begin(&mut self) -> Option<Delivery> {
        if self.running.len() >= self.limits.in_all {
            return None;
        }
        let free =
            |counts: &HashMap<String, usize>, name: &str, most| counts.get(name).is_none_or(|taken| *taken < most);
        let next = self.waiting.iter().position(|(waiting, host)| {
            free(&self.users, &waiting.owner, self.limits.per_user) && free(&self.hosts, host, self.limits.per_host)
        })?;
        let (delivery, host) = self.waiting.remove(next)?;
        self.known.remove(&delivery.subscription.endpoint);
        self.running.insert(delivery.subscription.endpoint.clone(), None);
        *self.users.entry(delivery.owner.clone()).or_default() += 1;
        *self.hosts.entry(host).or_default() += 1;
        Some(delivery)
    }

    /// It has ended. What came for it meanwhile is given back.
    pub(super) fn end(&mut self, delivery: &Delivery) -> Option<Delivery> {
        let again = self.running.remove(&delivery.subscription.endpoint)?;
        give_back(&mut self.users, &delivery.owner);
        give_back(&mut self.hosts, &delivery.subscription.host());
        again
    }
}

fn give_back(counts: &mut HashMap<String, usize>, name: &str) {
    if let Some(taken) = counts.get_mut(name) {
        *taken -= 1;
        if *taken == 0 {
            counts.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifications::subscription::Subscription;

    const PLACES: PushLimits = PushLimits { in_all: 40, per_host: 30, per_user: 3 };

    fn delivery(owner: &str, host: &str, number: usize) -> Delivery {
        let endpoint = format!("https://{host}/{owner}/{number}");
        Delivery { owner: owner.into(), subscription: Subscription { endpoint, p256dh: Vec::new(), auth: Vec::new() } }
    }

    #[test]
    fn neither_a_user_nor_a_host_takes_all_places() {
        let mut schedule = Schedule::new(PLACES);
        (0..20).for_each(|number| schedule.add(delivery("alice", "a", number)));
        schedule.add(delivery("bob", "a", 0));
        let begun: Vec<_> = std::iter::from_fn(|| schedule.begin()).collect();
        assert_eq!(begun.iter().filter(|begun| begun.owner == "alice").count(), PLACES.per_user);
        assert!(begun.iter().any(|begun| begun.owner == "bob"));
        (0..100).for_each(|user| schedule.add(delivery(&format!("user {user}"), "a", 0)));
        schedule.add(delivery("carol", "b", 0));
        let more: Vec<_> = std::iter::from_fn(|| schedule.begin()).collect();
        assert_eq!(more.len() + begun.len(), PLACES.per_host + 1);
        assert!(more.iter().any(|begun| begun.owner == "carol"));
        begun.iter().for_each(|ended| assert_eq!(schedule.end(ended), None));
        assert_eq!(std::iter::from_fn(|| schedule.begin()).count(), begun.len(), "places come free");
    }

    #[test]
    fn what_comes_meanwhile_is_sent_after_it_and_once() {
        let mut schedule = Schedule::new(PLACES);
        let one = delivery("alice", "a", 0);
        schedule.add(one.clone());
        schedule.add(one.clone());
        assert_eq!((schedule.begin(), schedule.begin()), (Some(one.clone()), None));
        schedule.add(one.clone());
        assert_eq!(schedule.begin(), None);
        assert_eq!(schedule.end(&one), Some(one.clone()));
        assert_eq!(schedule.end(&one), None);
    }
}
