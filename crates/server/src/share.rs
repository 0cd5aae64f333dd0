//! Shared resources and how much of each one user may use: so much in all, and so much for one user, so that nobody can
//! take all of it from the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Users are looked through for idle ones whenever their number reaches a power of two from here on.
const TIDY_FROM: usize = 1024;

/// A resource that all users share. Counted in units: calls, streams or bytes.
#[derive(Debug)]
pub struct UserLimit {
    /// In the plural, for the message: "streams".
    what: &'static str,
    per_user: u32,
    in_all: u32,
    all: Arc<Semaphore>,
    users: Mutex<HashMap<Box<str>, Arc<Semaphore>>>,
}

/// Part of a resource. Dropping it gives it back.
#[derive(Debug)]
pub struct UserPermit {
    // The user's own goes back first, so that a user who waits finds room in all.
    _of_user: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// A share is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {limit}; try again when some have ended")]
pub struct Exhausted {
    /// The resource, in the plural.
    pub what: &'static str,
    pub limit: Limit,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// That of one user.
    PerUser(u32),
    /// That of the whole server.
    InAll(u32),
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PerUser(most) => write!(f, "one user may have {most} at once"),
            Self::InAll(most) => write!(f, "the server's {most} are all in use"),
        }
    }
}

impl UserLimit {
    /// `per_user` and `in_all` are units; a user never gets more than there is in all.
    pub fn new(what: &'static str, per_user: u32, in_all: u32) -> Self {
        let per_user = per_user.min(in_all);
        Self { what, per_user, in_all, all: Arc::new(Semaphore::new(in_all as usize)), users: Mutex::default() }
    }

    /// Takes units at once or refuses.
    pub fn try_take(&self, user: &str, units: u32) -> Result<UserPermit, Exhausted> {
        let of_user = self.user(user).try_acquire_many_owned(units).map_err(|_| self.refuse(self.user_limit()))?;
        let of_all = self.all.clone().try_acquire_many_owned(units).map_err(|_| self.refuse(self.all_limit()))?;
        Ok(UserPermit { _of_user: of_user, _of_all: of_all })
    }

    /// Takes units, waiting for them no longer than `within`. Users take turns: in the queue for the whole nobody has more
    /// entries than a user's limit.
    pub async fn take(&self, user: &str, units: u32, within: Duration) -> Result<UserPermit, Exhausted> {
        let deadline = tokio::time::Instant::now() + within;
        let of_user = self.user(user).acquire_many_owned(units);
        let of_user = tokio::time::timeout_at(deadline, of_user).await;
        let Ok(Ok(of_user)) = of_user else { return Err(self.refuse(self.user_limit())) };
        let of_all = tokio::time::timeout_at(deadline, self.all.clone().acquire_many_owned(units)).await;
        let Ok(Ok(of_all)) = of_all else { return Err(self.refuse(self.all_limit())) };
        Ok(UserPermit { _of_user: of_user, _of_all: of_all })
    }

    /// Units that are taken now.
    pub fn in_use(&self) -> u32 {
        self.in_all.saturating_sub(u32::try_from(self.all.available_permits()).unwrap_or(u32::MAX))
    }

    fn user_limit(&self) -> Limit {
        Limit::PerUser(self.per_user)
    }

    fn all_limit(&self) -> Limit {
        Limit::InAll(self.in_all)
    }

    fn refuse(&self, limit: Limit) -> Exhausted {
        Exhausted { what: self.what, limit }
    }

    fn user(&self, user: &str) -> Arc<Semaphore> {
        let mut users = self.users.lock();
        if let Some(known) = users.get(user) {
            return known.clone();
        }
        if users.len() >= TIDY_FROM && users.len().is_power_of_two() {
            // Whoever holds or waits for something holds the semaphore.
            users.retain(|_, known| Arc::strong_count(known) > 1);
        }
        let new = Arc::new(Semaphore::new(self.per_user as usize));
        users.insert(user.into(), new.clone());
        new
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn limit(refused: Result<UserPermit, Exhausted>) -> Limit {
        refused.unwrap_err().limit
    }

    #[tokio::test]
    async fn one_user_at_the_limit_leaves_room_for_another() {
        let share = UserLimit::new("streams", 2, 3);
        let (first, _second) = (share.try_take("alice", 1).unwrap(), share.try_take("alice", 1).unwrap());
        assert_eq!(limit(share.try_take("alice", 1)), Limit::PerUser(2));
        let _bob = share.try_take("bob", 1).unwrap();
        assert_eq!(limit(share.try_take("carol", 1)), Limit::InAll(3));
        drop(first);
        share.try_take("carol", 1).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_what_is_given_back_or_is_refused_in_time() {
        let share = UserLimit::new("bytes", 10, 10);
        let used = share.try_take("alice", 10).unwrap();
        let within = Duration::from_secs(5);
        assert_eq!(limit(share.take("alice", 1, within).await), Limit::PerUser(10));
        let waiting = share.take("bob", 4, within);
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(used);
        waiting.await.unwrap();
    }

    #[test]
    fn users_who_hold_nothing_are_forgotten() {
        let share = UserLimit::new("calls", 1, 1_000_000);
        let _held = share.try_take("held", 1).unwrap();
        for n in 0..2 * TIDY_FROM {
            share.try_take(&n.to_string(), 1).unwrap();
        }
        let users = share.users.lock();
        assert!(users.len() <= 2 * TIDY_FROM && users.contains_key("held"), "{}", users.len());
    }
}
