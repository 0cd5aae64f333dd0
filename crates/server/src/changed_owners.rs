//! Owners of whose jobs something has happened, of those that somebody asked about.

use std::collections::HashSet;
use std::sync::Arc;

use courant_engine::projection::{JobChange, Projection};
use courant_joblog::ids::Owner;
use courant_joblog::log::Record;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::event_kind::EventKind;

/// Who is asked about, and who has changed since they were taken. Both are bounded by the webhooks there are.
#[derive(Debug, Default)]
pub struct ChangedOwners {
    asked: Mutex<HashSet<Owner>>,
    changed: Mutex<HashSet<Owner>>,
    signal: Notify,
}

impl ChangedOwners {
    /// Asks about an owner from now on, or no more.
    pub fn set_asked(&self, owner: &Owner, asked: bool) {
        if asked {
            self.asked.lock().insert(owner.clone());
        } else {
            self.asked.lock().remove(owner);
        }
    }

    /// Those who have changed since this was called last.
    pub fn take(&self) -> HashSet<Owner> {
        std::mem::take(&mut *self.changed.lock())
    }

    /// Waits until there is one.
    pub async fn changed(&self) {
        self.signal.notified().await;
    }
}

/// Watches entries for [`ChangedOwners`].
#[derive(Debug, Default)]
pub struct OwnerWatch(Arc<ChangedOwners>);

impl OwnerWatch {
    pub fn owners(&self) -> Arc<ChangedOwners> {
        self.0.clone()
    }
}

impl Projection for OwnerWatch {
    fn on_change(&mut self, change: &JobChange<'_>) {
        let owner = &change.entry.key.owner;
        let Record::Changed { event, .. } = &change.entry.record else { return };
        if EventKind::of(&event.change).is_none() || !self.0.asked.lock().contains(owner) {
            return;
        }
        self.0.changed.lock().insert(owner.clone());
        self.0.signal.notify_one();
    }
}
