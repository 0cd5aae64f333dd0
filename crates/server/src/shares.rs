//! What all users of the server use together, with the limit of each.

use std::pin::Pin;
use std::task::{Context, Poll};

use courant_auth::{Identity, Role};
use futures::Stream;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::error::Error;
use crate::share::{UserLimit, UserPermit};

/// The shared resources of a server.
#[derive(Debug)]
pub struct Shares {
    pub lists: UserLimit,
    /// Threads that look jobs through with a filter. Half of the processors: the other half stays for everything else.
    pub filter_slots: Semaphore,
    /// Streams that last: watches of any kind, downloads, streams of workers.
    pub streams: UserLimit,
    /// Watches of a state as a whole: the queue, the workers, the metrics. Each message of them is large, and all change at
    /// once.
    pub state_watches: UserLimit,
    /// Calls that wait for the end of their job.
    pub conversions: UserLimit,
    /// Verifications of log and files.
    pub verifications: UserLimit,
    /// Bytes of memory that documents under way take.
    pub upload_memory: UserLimit,
    /// Test events that are sent to webhooks.
    pub webhook_tests: UserLimit,
    /// Kinds of work that connected workers name, each worker's counted by itself.
    pub worker_kinds: UserLimit,
}

impl Shares {
    /// With the limits of the configuration.
    pub fn new(config: &Config) -> Self {
        let limits = &config.shares;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            lists: UserLimit::new("lists", limits.lists_per_user, limits.max_lists),
            filter_slots: Semaphore::new((processors / 2).max(1)),
            streams: UserLimit::new("streams", config.streams_per_user, config.max_user_streams),
            state_watches: UserLimit::new(
                "watches of the queue, workers, bridges or metrics",
                limits.state_watches_per_user,
                limits.max_state_watches,
            ),
            conversions: UserLimit::new("conversions", limits.conversions_per_user, limits.max_conversions),
            verifications: UserLimit::new("verifications", 1, 1),
            upload_memory: UserLimit::new(
                "bytes of memory for documents under way",
                config.upload_memory_per_user,
                config.upload_memory,
            ),
            webhook_tests: UserLimit::new(
                "tests of webhooks",
                1,
                u32::try_from(config.webhooks.webhook_at_once).unwrap_or(u32::MAX),
            ),
            worker_kinds: UserLimit::new(
                "kinds of connected workers",
                limits.worker_kinds_per_user,
                limits.max_worker_kinds,
            ),
        }
    }
}

impl Shares {
    /// One more stream of the caller. Bridges are not counted here: they carry many users and count each by themselves.
    pub fn stream(&self, identity: &Identity) -> Result<Option<UserPermit>, Error> {
        if identity.has(Role::Bridge) { Ok(None) } else { Ok(Some(self.streams.try_take(&identity.subject, 1)?)) }
    }
}

impl Shares {
    /// One more watch of the caller on a state as a whole. Those of bridges are not counted.
    pub fn state_watch(&self, identity: &Identity) -> Result<Option<UserPermit>, Error> {
        if identity.has(Role::Bridge) { Ok(None) } else { Ok(Some(self.state_watches.try_take(&identity.subject, 1)?)) }
    }
}

/// A stream to a client that counts as one of its user's for as long as it lives.
#[derive(Debug)]
pub struct WithPermit<S> {
    stream: S,
    _used: Option<UserPermit>,
}

impl<S> WithPermit<S> {
    pub fn new(stream: impl Into<S>, used: Option<UserPermit>) -> Self {
        Self { stream: stream.into(), _used: used }
    }
}

impl<S: Stream + Unpin> Stream for WithPermit<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.stream).poll_next(context)
    }
}
