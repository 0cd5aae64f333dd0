//! The notifications and those who wait for them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use courant_engine::clock::Wall;
use courant_joblog::ids::{Revision, Timestamp};
use courant_proto::v1::NotificationSeverity;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::pending_users::PendingUsers;
use super::shared::SharedNotes;
use super::store::{
    Draft, Item, MESSAGE, Operation, Store, StoreError, StoredNotification, endpoint_name, revision_of,
};
use super::subscription::Subscription;

/// Users that are remembered in any case.
const REMEMBERED: usize = 1024;

/// The notifications and those who wait for them.
pub struct NotificationInbox {
    pub(super) store: Arc<Store>,
    /// None: no other server has the log open, and the store is all there is.
    pub(super) shared: Option<SharedNotes>,
    /// In cursors: those of another id mean nothing here.
    pub(super) id: String,
    waiting: Mutex<Waiting>,
    pub(super) pending_users: PendingUsers,
    pub(super) wall: Wall,
    past: Mutex<Past>,
}

/// Those who watch, by user. Users without any are forgotten when there may be as many of them as of the others, so that
/// this costs each who comes a few steps.
#[derive(Default)]
struct Waiting {
    users: HashMap<String, watch::Sender<u64>>,
    /// How many users had watchers when the others were forgotten last.
    kept: usize,
}

/// The number of the newest change as it was at earlier moments, oldest first. By it what is too old goes although the clock
/// that its time was read from was set back since.
#[derive(Default)]
struct Past(VecDeque<(Instant, i64)>);

impl Past {
    /// Takes in the newest change; gives the newest of those that are so old, 0 for none.
    fn before(&mut self, change: i64, age: Duration) -> i64 {
        // A hundredth of the age is near enough, and bounds what is remembered.
        if self.0.back().is_none_or(|(at, _)| at.elapsed() >= age / 100) {
            self.0.push_back((Instant::now(), change));
        }
        let old = self.0.iter().take_while(|(at, _)| at.elapsed() >= age).count();
        self.0.drain(..old).next_back().map_or(0, |(_, change)| change)
    }
}

impl NotificationInbox {
    /// Of this server alone.
    pub fn new(store: Store) -> Self {
        let id = store.id().to_owned();
        Self {
            store: Arc::new(store),
            shared: None,
            id,
            waiting: Mutex::default(),
            pending_users: PendingUsers::default(),
            wall: Wall::default(),
            past: Mutex::default(),
        }
    }

    /// Together with the other servers of a log, which has this epoch. All number changes alike, so their cursors are the same.
    pub fn sharing(store: Store, shared: SharedNotes, epoch: u64) -> Self {
        Self { shared: Some(shared), id: format!("{epoch:016x}"), ..Self::new(store) }
    }

    /// Whether other servers have the same notifications.
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Told when something about a user's notifications has changed.
    pub(super) fn changes(&self, user: &str) -> watch::Receiver<u64> {
        let mut waiting = self.waiting.lock();
        let Waiting { users, kept } = &mut *waiting;
        if users.len() > REMEMBERED.max(2 * *kept) {
            users.retain(|_, sender| sender.receiver_count() > 0);
            *kept = users.len();
        }
        users.entry(user.to_owned()).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    pub(super) fn wake(&self, user: Option<&str>) {
        self.pending_users.add(user);
        let waiting = self.waiting.lock();
        let bump = |sender: &watch::Sender<u64>| sender.send_modify(|times| *times += 1);
        match user {
            Some(user) => waiting.users.get(user).into_iter().for_each(bump),
            None => waiting.users.values().for_each(bump),
        }
    }

    pub(super) async fn with<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.store.clone();
        match tokio::task::spawn_blocking(move || read(&store)).await {
            Ok(done) => done,
            // The store does not panic, and the runtime does not end under its own calls.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Applies what has come, and wakes whom it is about.
    pub(super) async fn apply(&self, items: Vec<Item>, followed: Option<(u64, Revision)>) -> Result<(), StoreError> {
        let by = self.shared.as_ref().map_or(0, |shared| shared.by);
        let applied = self.with(move |store| store.apply(items, followed, by)).await?;
        applied.users.iter().for_each(|user| self.wake(user.as_deref()));
        if let Some(shared) = &self.shared {
            shared.remove(&applied.obsolete).await;
        }
        Ok(())
    }

    pub(super) fn set_applied(&self, revision: Revision) {
        if let Some(shared) = &self.shared {
            shared.set_applied(revision);
        }
    }

    /// Removes what is too old.
    pub(super) async fn sweep(&self) -> Result<(), StoreError> {
        let change = self.with(Store::change).await?;
        let (now, up_to) = (self.wall.now(), self.past.lock().before(change, self.store.age()));
        if let Some(shared) = &self.shared
            && let Some(newest) = self.with(move |store| store.newest_expired(now, up_to)).await?
        {
            shared.remove_older(Revision(revision_of(newest).0 + 1)).await?;
        }
        self.with(move |store| store.sweep(now, up_to)).await
    }

    pub(super) async fn insert(&self, draft: Draft, reader: String) -> Result<Option<StoredNotification>, StoreError> {
        let (owner, id) = (draft.owner.clone(), draft.id.clone());
        match &self.shared {
            Some(shared) => shared.put(Operation::Message { draft, by: shared.by }).await?,
            None => {
                self.with(move |store| store.insert(&[draft], None)).await?;
                self.wake(owner.as_deref());
            }
        }
        self.with(move |store| store.get(&reader, &id)).await
    }

    /// Tells an owner that a webhook is switched off. Of one generation of it once.
    pub async fn webhook_off(
        &self,
        owner: &str,
        webhook: &str,
        generation: u64,
        host: &str,
        why: &str,
    ) -> Result<(), StoreError> {
        let body = format!(
            "Nothing more is sent to {webhook} ({host}): {why}. Nothing is lost: once the receiver works, enable the webhook, \
             and it goes on where it stopped (courant webhooks enable {webhook})."
        );
        let draft = Draft {
            id: format!("{webhook}-off-{generation}"),
            owner: Some(owner.to_owned()),
            kind: MESSAGE,
            severity: NotificationSeverity::Warning.into(),
            title: format!("Webhook to {host} switched off"),
            body,
            job: String::new(),
            made: Timestamp::now(),
            revision: None,
        };
        self.insert(draft, owner.to_owned()).await.map(drop)
    }

    pub(super) async fn mark_read(&self, user: String, ids: Vec<String>) -> Result<i64, StoreError> {
        let (reader, at) = (user.clone(), Timestamp::now());
        match &self.shared {
            Some(shared) => {
                let named = ids.clone();
                // What is read already needs no place in the log.
                if self.with(move |store| store.has_unread(&reader, &named)).await? {
                    shared.put(Operation::Read { user: user.clone(), ids, at }).await?;
                }
            }
            None => {
                if self.with(move |store| store.mark_read(&reader, &ids, at)).await? > 0 {
                    self.wake(Some(&user));
                }
            }
        }
        self.with(move |store| store.unread(&user)).await
    }

    /// Keeps a browser's subscription; `most` of one user.
    pub(super) async fn subscribe(
        &self,
        owner: String,
        subscription: Subscription,
        most: usize,
    ) -> Result<(), StoreError> {
        let at = Timestamp::now();
        let Some(shared) = &self.shared else {
            return self.with(move |store| store.subscribe(&owner, &subscription, most, at)).await;
        };
        let (user, endpoint) = (owner.clone(), subscription.endpoint.clone());
        let sent = self.with(move |store| store.sent(&user, &endpoint)).await?;
        shared.put(Operation::Subscribe { owner, subscription, most, at, sent, by: shared.by }).await
    }

    /// Ends a subscription of a user.
    pub(super) async fn unsubscribe(&self, owner: String, endpoint: String) -> Result<(), StoreError> {
        let Some(shared) = &self.shared else {
            return self.with(move |store| store.unsubscribe(&owner, &endpoint)).await;
        };
        let (user, of) = (owner.clone(), endpoint.clone());
        if self.with(move |store| store.sent(&user, &of)).await?.is_none() {
            return Ok(());
        }
        shared.unsubscribe(owner, endpoint_name(&endpoint)).await
    }

    /// Notifications up to a change were sent to a subscription.
    pub(super) async fn was_sent(&self, owner: String, endpoint: String, change: i64) -> Result<(), StoreError> {
        match &self.shared {
            Some(shared) => {
                let endpoint_name = endpoint_name(&endpoint);
                shared.put(Operation::Sent { owner, endpoint_name, change }).await
            }
            None => self.with(move |store| store.was_sent(&endpoint, change)).await,
        }
    }
}

/// Between two sweeps of notifications that are too old.
pub(super) const SWEEP_EVERY: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use courant_joblog::ids::Timestamp;

    use super::super::store::Bounds;
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn notifications(folder: &std::path::Path, made: Timestamp) -> NotificationInbox {
        let bounds = Bounds { per_user: 10, age_ms: DAY.as_millis() as i64 };
        let notifications = NotificationInbox::new(Store::open(folder, bounds).unwrap());
        let (title, body, job) = (String::new(), String::new(), String::new());
        let (id, owner) = ("n".to_owned(), Some("alice".to_owned()));
        notifications
            .store
            .insert(&[Draft { id, owner, kind: "message", severity: 1, title, body, job, made, revision: None }], None)
            .unwrap();
        notifications
    }

    #[tokio::test]
    async fn users_without_watchers_are_forgotten_and_those_with_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let notifications = notifications(folder.path(), Timestamp::now());
        let mut stay: Vec<_> =
            (0..2 * REMEMBERED).map(|user| notifications.changes(&format!("stays-{user}"))).collect();
        for user in 0..20 * REMEMBERED {
            drop(notifications.changes(&format!("goes-{user}")));
            let waiting = notifications.waiting.lock();
            assert!(waiting.users.len() <= 2 * waiting.kept.max(REMEMBERED) + 1, "{}", waiting.users.len());
        }
        for (user, changes) in stay.iter_mut().enumerate() {
            notifications.wake(Some(&format!("stays-{user}")));
            assert!(changes.has_changed().unwrap());
        }
    }

    #[tokio::test]
    async fn a_wall_clock_that_is_set_removes_no_notice_early() {
        let folder = tempfile::tempdir().unwrap();
        let notifications = notifications(folder.path(), Timestamp::now());
        for days in [2, 40, -2] {
            notifications.wall.set_by.store(days * DAY.as_millis() as i64, Ordering::Relaxed);
            notifications.sweep().await.unwrap();
            assert_eq!(notifications.store.unread("alice").unwrap(), 1, "set by {days} days");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_notice_goes_after_its_time_also_when_it_was_made_by_a_clock_that_was_set_back_since() {
        let folder = tempfile::tempdir().unwrap();
        let notifications = notifications(folder.path(), Timestamp::now().plus_ms(40 * DAY.as_millis() as i64));
        for _ in 0..24 {
            notifications.sweep().await.unwrap();
            assert_eq!(notifications.store.unread("alice").unwrap(), 1);
            tokio::time::advance(SWEEP_EVERY).await;
        }
        notifications.sweep().await.unwrap();
        assert_eq!(notifications.store.unread("alice").unwrap(), 0);
    }
}
