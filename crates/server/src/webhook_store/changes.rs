//! Changes to webhooks: each is durable when its call returns.

use std::collections::BTreeSet;

use courant_joblog::ids::{JobId, Owner, Timestamp};
use courant_joblog::notes::Put;

use super::endpoint::{Endpoint, Position, callback_id};
use super::known::Known;
use super::record::{Kind, Record};
use super::registry::WebhookStore;
use super::secrets::{Secret, SigningSecrets};
use crate::error::Error;
use crate::event_kind::EventKind;
use crate::share::{Exhausted, Limit};

/// How long it is remembered that an endpoint was removed, in milliseconds: for servers that were away.
const REMOVED_FOR: i64 = 3_600_000;
/// So many are remembered of a user, for each webhook that it may have.
const REMOVED_PER_WEBHOOK: usize = 10;

impl WebhookStore {
    /// Makes an endpoint.
    pub async fn create(
        &self,
        owner: &Owner,
        url: String,
        description: String,
        events: Vec<EventKind>,
        start: Position,
    ) -> Result<(Known, Secret), Error> {
        let _writing = self.writing.lock().await;
        self.forget_removed().await?;
        self.check_room(owner)?;
        let (id, secret) = (format!("wh_{}", JobId::random()), Secret::random());
        let mut endpoint = self.endpoint(id, owner, events, start, &secret);
        (endpoint.url, endpoint.description) = (url, description);
        Ok((self.put(endpoint, Put::Replace).await?, secret))
    }

    /// Makes the endpoint of an owner's callbacks if it is not there. It begins at a position.
    pub async fn ensure_callback(&self, owner: &Owner, start: impl Into<Position>) -> Result<Known, Error> {
        let id = callback_id(owner);
        if let Some(known) = self.find(&id) {
            return Ok(known);
        }
        let _writing = self.writing.lock().await;
        if let Some(known) = self.find(&id) {
            return Ok(known);
        }
        let endpoint = self.endpoint(id, owner, EventKind::ENDS.to_vec(), start.into(), &Secret::random());
        self.put(endpoint, Put::IfAbsent).await
    }

    /// Changes an endpoint. What is changed is told to who sends at once.
    pub async fn change(
        &self,
        owner: &Owner,
        id: &str,
        change: impl FnOnce(&mut Endpoint) + Send,
    ) -> Result<Known, Error> {
        let _writing = self.writing.lock().await;
        let mut endpoint = (*self.get(owner, id)?.endpoint).clone();
        change(&mut endpoint);
        self.put(endpoint, Put::Replace).await
    }

    /// Gives an endpoint a new secret; the one before signs as well until a time.
    pub async fn rotate(&self, owner: &Owner, id: &str, now: Timestamp, until: i64) -> Result<(Known, Secret), Error> {
        let secret = Secret::random();
        let new = secret.clone();
        let known = self
            .change(owner, id, |endpoint| {
                let old = SigningSecrets::open(endpoint, &self.sealer, now);
                let secrets = old.map_or_else(|| SigningSecrets::one(new.clone()), |old| old.rotated(new.clone()));
                endpoint.sealed_secrets = secrets.seal(&endpoint.id, &self.sealer);
                endpoint.old_secret_until = Some(until);
            })
            .await?;
        Ok((known, secret))
    }

    /// Removes an endpoint, with all that waits.
    pub async fn remove(&self, owner: &Owner, id: &str) -> Result<(), Error> {
        let _writing = self.writing.lock().await;
        let known = self.get(owner, id)?;
        let id = known.endpoint.id.clone();
        let mut gone = (*known.endpoint).clone();
        (gone.removed, gone.sealed_secrets, gone.made) = (true, Vec::new(), Timestamp::now().0);
        gone.version += 1;
        if self.backend.is_shared() {
            self.backend.put(Record::Endpoint(gone.clone()), Put::Replace).await?;
        } else {
            self.backend.remove(Kind::Endpoint, &id).await?;
        }
        self.apply(Record::Endpoint(gone));
        self.backend.remove(Kind::Progress, &id).await?;
        self.forget_removed().await
    }

    fn check_room(&self, owner: &Owner) -> Result<(), Error> {
        let state = self.state.lock();
        let limit = |limit: Limit| Err(Exhausted { what: "webhooks", limit }.into());
        let own = state.by_owner.get(owner).map_or(0, BTreeSet::len);
        // That of callbacks is made by itself, and does not count.
        let callback = state.by_owner.get(owner).is_some_and(|ids| ids.contains(&callback_id(owner)));
        // What was removed is still told to other servers: not without end.
        let removed = state.removed.values().filter(|(whose, _)| whose == owner).count();
        if own - usize::from(callback) >= self.per_user || removed >= REMOVED_PER_WEBHOOK * self.per_user {
            return limit(Limit::PerUser(u32::try_from(self.per_user).unwrap_or(u32::MAX)));
        }
        if state.endpoints.len() >= self.in_all {
            return limit(Limit::InAll(u32::try_from(self.in_all).unwrap_or(u32::MAX)));
        }
        Ok(())
    }

    fn endpoint(
        &self,
        id: String,
        owner: &Owner,
        events: Vec<EventKind>,
        start: Position,
        secret: &Secret,
    ) -> Endpoint {
        let sealed_secrets = SigningSecrets::one(secret.clone()).seal(&id, &self.sealer);
        Endpoint {
            id,
            owner: owner.clone(),
            url: String::new(),
            description: String::new(),
            events,
            sealed_secrets,
            old_secret_until: None,
            enabled: true,
            made: Timestamp::now().0,
            generation: 1,
            start,
            start_generation: 1,
            removed: false,
            version: 0,
        }
    }

    async fn put(&self, mut endpoint: Endpoint, put: Put) -> Result<Known, Error> {
        endpoint.version += 1;
        let (id, record) = (endpoint.id.clone(), Record::Endpoint(endpoint));
        if self.backend.put(record.clone(), put).await? {
            self.apply(record);
        } else {
            // Another server was quicker: it comes with the next records.
            self.catch_up().await?;
        }
        self.pending.lock().insert(id.clone(), true);
        self.signal.notify_one();
        self.find(&id).ok_or(Error::WebhookNotFound(id))
    }

    /// Removes what says that endpoints were removed, once all servers know.
    async fn forget_removed(&self) -> Result<(), Error> {
        let before = Timestamp::now().0 - REMOVED_FOR;
        let old: Vec<String> =
            self.state.lock().removed.extract_if(|_, (_, at)| *at < before).map(|(id, _)| id).collect();
        for id in old {
            self.backend.remove(Kind::Endpoint, &id).await?;
        }
        Ok(())
    }
}
