//! Whose notifications are to be sent.

use std::collections::HashSet;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Users with new notifications since the last [`take`](Self::take). Bounded: with too many it is everybody.
#[derive(Default)]
pub struct PendingUsers {
    users: Mutex<Users>,
    changed_signal: Notify,
}

/// More users than this are everybody.
const MOST: usize = 10_000;

#[derive(Default)]
struct Users {
    some: HashSet<String>,
    all: bool,
}

impl PendingUsers {
    /// A user has a new notification; everybody when none is named.
    pub fn add(&self, user: Option<&str>) {
        let mut users = self.users.lock();
        match user {
            Some(user) if !users.all && users.some.len() < MOST => {
                users.some.insert(user.to_owned());
            }
            _ => *users = Users { some: HashSet::new(), all: true },
        }
        drop(users);
        self.changed_signal.notify_one();
    }

    /// Takes the users; `None` for everybody.
    pub(super) fn take(&self) -> Option<Vec<String>> {
        let Users { some, all } = std::mem::take(&mut *self.users.lock());
        (!all).then(|| some.into_iter().collect())
    }

    /// Waits until there is a user.
    pub(super) async fn changed(&self) {
        self.changed_signal.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn users_are_remembered_until_they_are_taken() {
        let pending_users = PendingUsers::default();
        pending_users.add(Some("alice"));
        pending_users.add(Some("alice"));
        pending_users.changed().await;
        assert_eq!(pending_users.take(), Some(vec!["alice".to_owned()]));
        assert_eq!(pending_users.take(), Some(Vec::new()));
        pending_users.add(None);
        pending_users.add(Some("bob"));
        assert_eq!(pending_users.take(), None, "everybody");
        (0..=MOST).for_each(|user| pending_users.add(Some(&user.to_string())));
        assert_eq!(pending_users.take(), None, "too many are everybody");
    }
}
