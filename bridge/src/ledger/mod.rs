//! What users hold of the bridge, and how much of it one of them may hold.
//!
//! Each resource has a bound in all and one per user. A user may also hold no more of it than is still free: as a resource
//! gets scarce, shares shrink, so any number of greedy users together leave something for the next one. Whatever is held
//! is a guard: dropping it gives it back, so no way of ending can forget it. Knows nothing of topics, streams or HTTP.

mod bounds;
mod bytes;
mod topics;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use bounds::RESOURCES;
pub use bounds::{Bound, Bounds, Refused, Resource};
pub use bytes::UserBytes;
pub use topics::TopicShare;

use crate::wire::TopicName;
use topics::Topics;

/// Replays and look-ups of one user under way at once, over all connections; more wait for their turn.
const JOINS_PER_USER: usize = 32;

/// Who holds how much.
#[derive(Debug)]
pub struct Ledger {
    bounds: Bounds,
    users: Mutex<HashMap<Arc<str>, Weak<User>>>,
    /// Held by all, by resource. Users' own counts change under this lock, too.
    used: Mutex<[usize; RESOURCES]>,
    /// Bytes that wait in all outboxes.
    bytes: Arc<AtomicUsize>,
}

/// One user, as long as anything of theirs is held.
#[derive(Debug)]
pub struct User {
    name: Arc<str>,
    ledger: Arc<Ledger>,
    used: [AtomicUsize; RESOURCES],
    topics: Arc<Topics>,
    bytes: UserBytes,
    /// Taken for the time of a join.
    pub joins: Arc<Semaphore>,
}

/// One unit of a resource.
#[derive(Debug)]
pub struct Share {
    ledger: Arc<Ledger>,
    resource: Resource,
    /// Whose it is; nobody's while several users share what it stands for.
    user: Option<Arc<User>>,
}

impl Ledger {
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { bounds, users: Mutex::default(), used: Mutex::default(), bytes: Arc::default() })
    }

    /// The user of that name.
    pub fn user(self: &Arc<Self>, name: &str) -> Arc<User> {
        let mut users = self.users.lock();
        if let Some(user) = users.get(name).and_then(Weak::upgrade) {
            return user;
        }
        let name: Arc<str> = name.into();
        let user = Arc::new(User {
            name: name.clone(),
            ledger: self.clone(),
            used: Default::default(),
            topics: Topics::new(self.bounds.topics_per_user),
            bytes: UserBytes::new(self.bounds.outboxes, self.bytes.clone()),
            joins: Arc::new(Semaphore::new(JOINS_PER_USER)),
        });
        users.insert(name, Arc::downgrade(&user));
        user
    }

    /// How much of a resource is held by all users.
    pub fn used(&self, resource: Resource) -> usize {
        self.used.lock()[resource as usize]
    }

    /// How many users hold something.
    pub fn users(&self) -> usize {
        self.users.lock().len()
    }
}

impl User {
    /// The subject of the user's tokens.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The bytes that wait for the user.
    pub fn bytes(&self) -> &UserBytes {
        &self.bytes
    }

    /// Takes one of a resource, if the user may have one more.
    pub fn take(self: &Arc<Self>, resource: Resource) -> Result<Share, Refused> {
        let Bound { total, per_user } = self.ledger.bounds.of(resource);
        let mut used = self.ledger.used.lock();
        let (all, own) = (&mut used[resource as usize], &self.used[resource as usize]);
        let held = own.load(Ordering::Relaxed);
        if held >= per_user {
            return Err(Refused::PerUser(per_user));
        }
        if held >= total.saturating_sub(*all) {
            return Err(Refused::Scarce);
        }
        *all += 1;
        own.store(held + 1, Ordering::Relaxed);
        drop(used);
        Ok(Share { ledger: self.ledger.clone(), resource, user: Some(self.clone()) })
    }

    /// One more subscription to a topic, here or on another connection. Only distinct topics count.
    pub fn take_topic(&self, topic: &TopicName) -> Result<TopicShare, Refused> {
        self.topics.hold(topic)
    }

    /// How much of a resource the user holds.
    pub fn used(&self, resource: Resource) -> usize {
        self.used[resource as usize].load(Ordering::Relaxed)
    }
}

impl Share {
    /// Says whose it is from now on. Never refused: whoever is left with something that was shared keeps it, and gets
    /// nothing more while that is too much.
    pub fn assign_to(&mut self, user: Option<Arc<User>>) {
        let used = self.ledger.used.lock();
        self.count(-1);
        let before = std::mem::replace(&mut self.user, user);
        self.count(1);
        drop(used);
        drop(before);
    }

    /// To be called under the lock of the ledger.
    fn count(&self, by: isize) {
        if let Some(user) = &self.user {
            let own = &user.used[self.resource as usize];
            own.store(own.load(Ordering::Relaxed).saturating_add_signed(by), Ordering::Relaxed);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut used = self.ledger.used.lock();
        used[self.resource as usize] -= 1;
        self.count(-1);
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let mut users = self.ledger.users.lock();
        // Another may have taken its place already.
        if users.get(&self.name).is_some_and(|user| user.strong_count() == 0) {
            users.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(total: usize, per_user: usize) -> Arc<Ledger> {
        Ledger::new(Bounds { streams: Bound { total, per_user }, ..Bounds::default() })
    }

    fn all_of(user: &Arc<User>) -> Vec<Share> {
        std::iter::from_fn(|| user.take(Resource::Streams).ok()).collect()
    }

    #[test]
    fn a_user_gets_no_more_than_its_share_and_gets_it_again_after_giving_back() {
        let ledger = ledger(100, 10);
        let alice = ledger.user("alice");
        let mut held = all_of(&alice);
        assert_eq!((held.len(), alice.take(Resource::Streams).unwrap_err()), (10, Refused::PerUser(10)));
        assert!(ledger.user("bob").take(Resource::Streams).is_ok());
        held.truncate(4);
        assert_eq!(all_of(&alice).len(), 6);
        drop((held, alice));
        assert_eq!((ledger.used(Resource::Streams), ledger.users()), (0, 0));
    }

    #[test]
    fn however_many_are_greedy_something_is_left_for_the_next() {
        let ledger = ledger(1000, 600);
        let mut held = Vec::new();
        for greedy in 0..8 {
            let user = ledger.user(&format!("greedy-{greedy}"));
            held.push(all_of(&user));
        }
        assert!(ledger.used(Resource::Streams) < 1000);
        let next = ledger.user("bob").take(Resource::Streams);
        assert!(next.is_ok());
        assert!(ledger.user("greedy-0").take(Resource::Streams).is_err());
    }

    #[test]
    fn what_is_shared_is_nobodys_and_falls_to_who_is_left() {
        let ledger = ledger(10, 1);
        let (alice, bob) = (ledger.user("alice"), ledger.user("bob"));
        let mut share = alice.take(Resource::Streams).unwrap();
        share.assign_to(None);
        assert_eq!((alice.used(Resource::Streams), ledger.used(Resource::Streams)), (0, 1));
        let other = alice.take(Resource::Streams).unwrap();
        share.assign_to(Some(alice.clone()));
        assert_eq!(alice.used(Resource::Streams), 2);
        share.assign_to(Some(bob.clone()));
        assert_eq!((alice.used(Resource::Streams), bob.used(Resource::Streams)), (1, 1));
        drop((share, other));
        assert_eq!((bob.used(Resource::Streams), ledger.used(Resource::Streams)), (0, 0));
    }
}
