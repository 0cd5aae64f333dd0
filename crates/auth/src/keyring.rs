//! The keys of an issuer, kept fresh, and what is known of keys that are not there.
//!
//! A token may name a key that its issuer made a moment ago. It is answered by "try again" until a fetch that began after
//! the token came has ended without that key, and refused for a while then. Anybody can make ids up: what is remembered of them
//! is bounded, fetches have a shortest interval for all together, and forgetting an id only means to fetch once more.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use courant_runtime::doubled;
use jsonwebtoken::Algorithm;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::TrustError;
use crate::issuer::KeyLookup;
use crate::keys::{Keys, Lookup};
use crate::source::Source;

/// Ids of keys that are not there, remembered at once. Over it any of them is forgotten.
const UNKNOWN_KEPT: usize = 1024;
/// Longer ids are of no issuer: they are refused without a fetch.
const MAX_ID_BYTES: usize = 512;
/// How long a key is taken to be unknown after a fetch did not bring it.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);

/// The keys. Cloning shares.
#[derive(Clone, Debug)]
pub(crate) struct Keyring(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wanted: Arc<Notify>,
    max_stale: Duration,
}

#[derive(Debug, Default)]
struct State {
    keys: Keys,
    /// When the last fetch that brought a set began: the keys are as old as that.
    fetched_at: Option<Instant>,
    /// The number of the fetch that began last.
    begun: u64,
    /// The number of the last fetch that brought a set.
    completed: u64,
    unknown: HashMap<Box<str>, Unknown>,
}

/// A key that is not there.
#[derive(Clone, Copy, Debug)]
struct Unknown {
    /// The fetch that decides: the first that began after a token named the key.
    decided_by: u64,
    since: Instant,
}

impl Keyring {
    /// Keeps keys fresh as long as they are used.
    pub(crate) fn keep(
        source: Source,
        first: Option<Keys>,
        refresh: Duration,
        interval: Duration,
        max_stale: Duration,
    ) -> Self {
        let wanted = Arc::new(Notify::new());
        let mut state = State::default();
        if let Some(keys) = first {
            tracing::info!(from = source.name(), ?keys, "keys read");
            (state.keys, state.fetched_at) = (keys, Some(Instant::now()));
        }
        let at_once = state.fetched_at.is_none();
        let shared = Arc::new(Shared { state: Mutex::new(state), wanted: wanted.clone(), max_stale });
        let refresher = Refresher { source, keys: Arc::downgrade(&shared), wanted, refresh, interval, max_stale };
        tokio::spawn(refresher.run(at_once));
        Self(shared)
    }

    /// The key for a token's header.
    pub(crate) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> KeyLookup {
        let mut state = self.0.state.lock();
        let found = if self.0.is_stale(&state) { KeyLookup::Pending } else { state.find(id, algorithm) };
        drop(state);
        if matches!(found, KeyLookup::Pending) {
            self.0.wanted.notify_one();
        }
        found
    }

    /// The number of the fetch that brought the keys, 0 for those of the start; none while they are stale.
    pub(crate) fn key_set(&self) -> Option<u64> {
        let state = self.0.state.lock();
        (!self.0.is_stale(&state)).then_some(state.completed)
    }
}

impl Shared {
    fn is_stale(&self, state: &State) -> bool {
        state.fetched_at.is_none_or(|fetched_at| fetched_at.elapsed() > self.max_stale)
    }
}

impl State {
    fn find(&mut self, id: Option<&str>, algorithm: Algorithm) -> KeyLookup {
        match self.keys.find(id, algorithm) {
            Lookup::Key(key) => KeyLookup::Key(Box::new(key.clone())),
            Lookup::OtherAlgorithm => KeyLookup::OtherAlgorithm,
            Lookup::Unknown => match id.filter(|id| id.len() <= MAX_ID_BYTES) {
                Some(id) if !self.is_unknown(id) => KeyLookup::Pending,
                Some(_) | None => KeyLookup::NotFound,
            },
        }
    }

    /// Whether a key is known not to be there. Remembers to find out otherwise.
    fn is_unknown(&mut self, id: &str) -> bool {
        let next = Unknown { decided_by: self.begun + 1, since: Instant::now() };
        match self.unknown.get_mut(id) {
            Some(known) if known.decided_by > self.completed => false,
            Some(known) if known.since.elapsed() < UNKNOWN_FOR => true,
            Some(known) => {
                *known = next;
                false
            }
            None => {
                self.evict_unknown();
                self.unknown.insert(id.into(), next);
                false
            }
        }
    }

    fn evict_unknown(&mut self) {
        if self.unknown.len() < UNKNOWN_KEPT {
            return;
        }
        self.unknown.retain(|_, known| known.since.elapsed() < UNKNOWN_FOR);
        if self.unknown.len() >= UNKNOWN_KEPT
            && let Some(any) = self.unknown.keys().next().cloned()
        {
            self.unknown.remove(&any);
        }
    }

    fn begin(&mut self) -> u64 {
        self.begun += 1;
        self.begun
    }

    fn completed(&mut self, number: u64, began: Instant, keys: Keys) {
        (self.keys, self.fetched_at, self.completed) = (keys, Some(began), number);
        // From now on it counts how long a key has been unknown.
        for known in self.unknown.values_mut().filter(|known| known.decided_by == number) {
            known.since = Instant::now();
        }
    }
}

/// The task that fetches.
struct Refresher {
    source: Source,
    keys: Weak<Shared>,
    wanted: Arc<Notify>,
    refresh: Duration,
    interval: Duration,
    max_stale: Duration,
}

impl Refresher {
    /// Runs for as long as somebody uses the keys. A fetch that fails leaves the old ones in use.
    async fn run(self, at_once: bool) {
        let (mut failed, mut logged) = (0_u32, None);
        if !at_once {
            self.pause(tokio::time::Instant::now(), failed).await;
        }
        loop {
            let began = tokio::time::Instant::now();
            // Who asked before this fetch is served by it.
            let _ = tokio::time::timeout(Duration::ZERO, self.wanted.notified()).await;
            let Some(number) = self.keys.upgrade().map(|keys| keys.state.lock().begin()) else { return };
            let read = self.source.read().await;
            let Some(keys) = self.keys.upgrade() else { return };
            match read {
                Ok(read) => {
                    self.log_change(&keys, &read.keys, failed);
                    keys.state.lock().completed(number, began.into_std(), read.keys);
                    (failed, logged) = (0, None);
                }
                Err(error) => {
                    failed = failed.saturating_add(1);
                    let fetched_at = keys.state.lock().fetched_at;
                    self.log_failure(&error, fetched_at, &mut logged);
                }
            }
            drop(keys);
            self.pause(began, failed).await;
        }
    }

    /// Until it is time again, or a token names an unknown key; never sooner than the shortest interval.
    async fn pause(&self, began: tokio::time::Instant, failed: u32) {
        let soonest = began + self.interval;
        let wait = if failed == 0 { self.refresh } else { doubled(self.interval, failed - 1, self.refresh) };
        let _ = tokio::time::timeout_at(began + wait, self.wanted.notified()).await;
        tokio::time::sleep_until(soonest).await;
    }

    fn log_change(&self, known: &Shared, keys: &Keys, failed: u32) {
        let state = known.state.lock();
        let from = self.source.name();
        if keys.is_empty() {
            if state.fetched_at.is_none() || !state.keys.is_empty() {
                tracing::warn!(from, "the issuer has no key that can be used: none of its tokens is accepted");
            }
        } else if state.fetched_at.is_none() || failed > 0 || format!("{keys:?}") != format!("{:?}", state.keys) {
            tracing::info!(from, ?keys, "keys fetched");
        }
    }

    /// Says each cause once, and again when it changes or the keys become too old.
    fn log_failure(&self, error: &TrustError, fetched_at: Option<Instant>, logged: &mut Option<(String, bool)>) {
        let too_old = fetched_at.is_none_or(|fetched_at| fetched_at.elapsed() > self.max_stale);
        let now = Some((error.to_string(), too_old));
        if *logged == now {
            tracing::debug!(%error, "the keys of the issuer still cannot be fetched");
            return;
        }
        *logged = now;
        if too_old {
            tracing::error!(%error, "the keys of the issuer cannot be fetched: none of its tokens is accepted until they are");
        } else {
            tracing::warn!(%error, "the keys of the issuer cannot be fetched again; the old ones stay in use");
        }
    }
}
