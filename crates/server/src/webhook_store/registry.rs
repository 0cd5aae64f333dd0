//! The webhooks in memory.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use courant_auth::Secret as SharedSecret;
use courant_joblog::ids::{Owner, Revision, Timestamp};
use courant_joblog::log::Log;
use courant_joblog::notes::Put;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::backend::Backend;
use super::endpoint::{Endpoint, callback_id};
use super::error::WebhookStoreError;
use super::known::Known;
use super::progress::Progress;
use super::record::Record;
use super::secrets::SigningSecrets;
use super::stats::WebhookStats;
use crate::changed_owners::ChangedOwners;
use crate::config::WebhookConfig;
use crate::error::Error;
use crate::seal::Sealer;

/// What callers may say instead of the id of their callbacks' endpoint.
const CALLBACK: &str = "callback";

/// All webhooks.
pub struct WebhookStore {
    pub(super) backend: Backend,
    pub(super) sealer: Sealer,
    pub(super) per_user: usize,
    pub(super) in_all: usize,
    /// This server's number, random.
    pub(super) by: u64,
    /// Records up to here are applied.
    pub(super) read: Mutex<Revision>,
    pub(super) state: Mutex<State>,
    /// One change of endpoints at a time.
    pub(super) writing: tokio::sync::Mutex<()>,
    pub(super) owners: Arc<ChangedOwners>,
    /// Endpoints that may have something to send, and whether their owner asked for it.
    pub(super) pending: Mutex<HashMap<String, bool>>,
    pub(super) signal: Notify,
    pub stats: WebhookStats,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) endpoints: HashMap<String, Known>,
    pub(super) by_owner: HashMap<Owner, BTreeSet<String>>,
    /// Progress of endpoints that are not known yet.
    pub(super) early: HashMap<String, Arc<Progress>>,
    /// Endpoints that were removed, whose and when, as long as that is shared with other servers.
    pub(super) removed: HashMap<String, (Owner, i64)>,
}

impl WebhookStore {
    pub async fn open(
        log: &dyn Log,
        data_dir: &Path,
        secret: &SharedSecret,
        config: &WebhookConfig,
        owners: Arc<ChangedOwners>,
    ) -> Result<Self, WebhookStoreError> {
        let backend = Backend::open(log, data_dir)?;
        let (records, read) = backend.read().await?;
        let store = Self {
            backend,
            sealer: Sealer::new(secret, "webhook secrets"),
            per_user: config.webhooks_per_user,
            in_all: config.max_webhooks,
            by: fastrand::u64(..),
            read: Mutex::new(read),
            state: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            owners,
            pending: Mutex::default(),
            signal: Notify::new(),
            stats: WebhookStats::default(),
        };
        records.into_iter().for_each(|record| store.apply(record));
        Ok(store)
    }

    /// Endpoints of an owner, oldest first.
    pub fn list(&self, owner: &Owner) -> Vec<Known> {
        let state = self.state.lock();
        let ids = state.by_owner.get(owner).into_iter().flatten();
        let mut found: Vec<Known> = ids.filter_map(|id| state.endpoints.get(id).cloned()).collect();
        found.sort_by(|one, other| {
            (one.endpoint.made, &one.endpoint.id).cmp(&(other.endpoint.made, &other.endpoint.id))
        });
        found
    }

    /// An owner's endpoint; `callback` is that of its callbacks.
    pub fn get(&self, owner: &Owner, id: &str) -> Result<Known, Error> {
        let found = if id == CALLBACK { self.find(&callback_id(owner)) } else { self.find(id) };
        found.filter(|known| known.endpoint.owner == *owner).ok_or_else(|| Error::WebhookNotFound(id.to_owned()))
    }

    pub fn find(&self, id: &str) -> Option<Known> {
        self.state.lock().endpoints.get(id).cloned()
    }

    /// What signs now; none when it was sealed under another key.
    pub fn secrets(&self, endpoint: &Endpoint, now: Timestamp) -> Option<SigningSecrets> {
        SigningSecrets::open(endpoint, &self.sealer, now)
    }

    /// How many are sent to, and how many are not.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        let on = state.endpoints.values().filter(|known| known.is_on()).count();
        (on, state.endpoints.len() - on)
    }

    /// Jobs of all endpoints that wait to be sent again.
    pub fn jobs_waiting(&self) -> usize {
        let state = self.state.lock();
        state
            .endpoints
            .values()
            .filter_map(|known| known.progress.as_ref())
            .map(|progress| progress.waiting.len())
            .sum()
    }

    /// How far an endpoint was sent to. `durably`: also over a crash of this process.
    pub async fn set_progress(&self, progress: Progress, durably: bool) -> Result<(), WebhookStoreError> {
        {
            let mut state = self.state.lock();
            // It may have been removed meanwhile.
            let Some(known) = state.endpoints.get_mut(&progress.id) else { return Ok(()) };
            known.progress = Some(Arc::new(progress.clone()));
        }
        if durably {
            self.backend.put(Record::Progress { by: self.by, progress }, Put::Replace).await?;
        }
        Ok(())
    }

    /// The endpoints that may have something to send since the last call, and whether their owner asked for it.
    pub fn take_pending(&self) -> Vec<(Arc<Endpoint>, bool)> {
        let mut pending = std::mem::take(&mut *self.pending.lock());
        let owners = self.owners.take();
        let state = self.state.lock();
        for id in owners.iter().filter_map(|owner| state.by_owner.get(owner)).flatten() {
            pending.entry(id.clone()).or_insert(false);
        }
        let found =
            pending.into_iter().filter_map(|(id, urgent)| Some((state.endpoints.get(&id)?.endpoint.clone(), urgent)));
        found.collect()
    }

    /// Waits until [`take_pending`](Self::take_pending) may give something.
    pub async fn pending(&self) {
        tokio::select! {
            () = self.signal.notified() => {}
            () = self.owners.changed() => {}
        }
    }

    /// All endpoints may have something to send.
    pub fn all_pending(&self) {
        let ids: Vec<String> = self.state.lock().endpoints.keys().cloned().collect();
        let mut pending = self.pending.lock();
        for id in ids {
            pending.entry(id).or_insert(false);
        }
        drop(pending);
        self.signal.notify_one();
    }

    /// Puts a record into memory. One's own progress is there already, and may be newer.
    pub(super) fn apply(&self, record: Record) {
        match record {
            Record::Progress { by, .. } if by == self.by => {}
            Record::Progress { progress, .. } => {
                let mut state = self.state.lock();
                let (id, progress) = (progress.id.clone(), Arc::new(progress));
                if let Some(known) = state.endpoints.get_mut(&id) {
                    known.progress = Some(progress);
                } else if !state.removed.contains_key(&id) {
                    // What is written of one that was removed says nothing any more.
                    state.early.insert(id, progress);
                }
            }
            Record::Endpoint(endpoint) => self.apply_endpoint(endpoint),
        }
    }

    fn apply_endpoint(&self, endpoint: Endpoint) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let (id, owner) = (endpoint.id.clone(), endpoint.owner.clone());
        if state.endpoints.get(&id).is_some_and(|known| known.endpoint.version > endpoint.version) {
            return;
        }
        if endpoint.removed {
            if self.backend.is_shared() {
                state.removed.insert(id.clone(), (owner.clone(), endpoint.made));
            }
            state.early.remove(&id);
            state.endpoints.remove(&id);
            if let Some(ids) = state.by_owner.get_mut(&owner) {
                ids.remove(&id);
                if ids.is_empty() {
                    state.by_owner.remove(&owner);
                    self.owners.set_asked(&owner, false);
                }
            }
            return;
        }
        let before = state.endpoints.remove(&id).and_then(|known| known.progress).or_else(|| state.early.remove(&id));
        state.by_owner.entry(owner.clone()).or_default().insert(id.clone());
        state.endpoints.insert(id.clone(), Known { endpoint: Arc::new(endpoint), progress: before });
        self.owners.set_asked(&owner, true);
        drop(guard);
        self.pending.lock().entry(id).or_insert(false);
        self.signal.notify_one();
    }
}
