//! `NotificationService`: what people are told, kept until they have read it, the same on all their devices.

mod follow;
pub mod push;
mod service;
pub mod store;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use courant_joblog::ids::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

pub use follow::run;
pub use service::Notifications;
use store::{Draft, Notice, Store, StoreError};

/// Users whose watchers are woken by name before those without any are forgotten.
const REMEMBERED: usize = 1024;

/// The notices and those who wait for them.
pub struct Notices {
    store: Arc<Store>,
    waiting: Mutex<HashMap<String, watch::Sender<u64>>>,
    due: push::Due,
}

impl Notices {
    /// Over a store.
    pub fn new(store: Store) -> Self {
        Self { store: Arc::new(store), waiting: Mutex::default(), due: push::Due::default() }
    }

    /// Told when something about a user's notices has changed.
    fn changes(&self, user: &str) -> watch::Receiver<u64> {
        let mut waiting = self.waiting.lock();
        if waiting.len() > REMEMBERED {
            waiting.retain(|_, told| told.receiver_count() > 0);
        }
        waiting.entry(user.to_owned()).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    fn wake(&self, user: Option<&str>) {
        self.due.add(user);
        let waiting = self.waiting.lock();
        let tell = |told: &watch::Sender<u64>| told.send_modify(|times| *times += 1);
        match user {
            Some(user) => waiting.get(user).into_iter().for_each(tell),
            None => waiting.values().for_each(tell),
        }
    }

    async fn with<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.store.clone();
        match tokio::task::spawn_blocking(move || look(&store)).await {
            Ok(done) => done,
            // The store does not panic, and the runtime does not end under its own calls.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    async fn keep(&self, draft: Draft, reader: String) -> Result<Option<Notice>, StoreError> {
        let (owner, id) = (draft.owner.clone(), draft.id.clone());
        self.with(move |store| store.keep(&[draft], None)).await?;
        self.wake(owner.as_deref());
        self.with(move |store| store.get(&reader, &id)).await
    }

    async fn mark_read(&self, user: String, ids: Vec<String>) -> Result<i64, StoreError> {
        let reader = user.clone();
        let marked = self.with(move |store| store.mark_read(&reader, &ids, Timestamp::now())).await?;
        if marked > 0 {
            self.wake(Some(&user));
        }
        self.with(move |store| store.unread(&user)).await
    }
}

/// Between two looks for notices that are too old.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
