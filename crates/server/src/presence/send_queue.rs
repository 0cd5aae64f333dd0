//! What one bridge is still to be sent: users, not messages, so that however often one changes it waits once.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The users that a bridge is to be sent. As many as it follows, at most.
#[derive(Debug, Default)]
pub struct SendQueue {
    users: Mutex<BTreeSet<Arc<str>>>,
    filled: Notify,
}

impl SendQueue {
    /// Something about the user has changed.
    pub fn put(&self, user: &Arc<str>) {
        self.users.lock().insert(user.clone());
        self.filled.notify_one();
    }

    /// Takes all, without waiting.
    pub fn take(&self) -> BTreeSet<Arc<str>> {
        std::mem::take(&mut *self.users.lock())
    }

    /// Waits until there are some, and takes all.
    pub async fn next(&self) -> BTreeSet<Arc<str>> {
        loop {
            let users = self.take();
            if !users.is_empty() {
                return users;
            }
            self.filled.notified().await;
        }
    }
}
