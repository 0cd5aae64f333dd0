//! What all users of the server use together, with the limit of each.

use std::pin::Pin;
use std::task::{Context, Poll};

use clap::Args;
use courant_auth::{Identity, Role};
use futures::Stream;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::error::Error;
use crate::share::{Share, Used};

/// How much of what all users share one user and all together may have.
#[derive(Args, Clone, Debug)]
pub struct ShareLimits {
    /// Lists of jobs that one user may have computed at once; more wait for their turn (1 to 10000)
    #[arg(long, env = "COURANT_LISTS_PER_USER", default_value_t = 2, value_name = "N")]
    pub lists_per_user: u32,

    /// Lists of jobs of all users that are computed or wait for a processor (1 to 1000000)
    #[arg(long, env = "COURANT_MAX_LISTS", default_value_t = 256, value_name = "N")]
    pub max_lists: u32,

    /// Watches of the queue, the workers, the bridges and the metrics that one user may have open at once (1 to 1000000)
    #[arg(long, env = "COURANT_STATE_WATCHES_PER_USER", default_value_t = 64, value_name = "N")]
    pub state_watches_per_user: u32,

    /// The same of all users together; those of bridges are not counted (1 to 10000000)
    #[arg(long, env = "COURANT_MAX_STATE_WATCHES", default_value_t = 4096, value_name = "N")]
    pub max_state_watches: u32,

    /// Kinds of jobs that the connected workers of one user may name, each worker's counted by itself (64 to 10000000)
    #[arg(long, env = "COURANT_WORKER_KINDS_PER_USER", default_value_t = 16_384, value_name = "N")]
    pub worker_kinds_per_user: u32,

    /// The same of all workers together (64 to 10000000)
    #[arg(long, env = "COURANT_MAX_WORKER_KINDS", default_value_t = 65_536, value_name = "N")]
    pub max_worker_kinds: u32,
}

impl Default for ShareLimits {
    fn default() -> Self {
        Self {
            lists_per_user: 2,
            max_lists: 256,
            state_watches_per_user: 64,
            max_state_watches: 4096,
            worker_kinds_per_user: 16_384,
            max_worker_kinds: 65_536,
        }
    }
}

impl ShareLimits {
    /// A flag whose value cannot be used, and what it must be.
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        // One worker may name as many kinds as there may be.
        let kinds = |kinds: u32| !(64..=10_000_000).contains(&kinds);
        let rules = [
            ("--lists-per-user", !(1..=10_000).contains(&self.lists_per_user), "must be 1 to 10000"),
            ("--max-lists", !(1..=1_000_000).contains(&self.max_lists), "must be 1 to 1000000"),
            (
                "--state-watches-per-user",
                !(1..=1_000_000).contains(&self.state_watches_per_user),
                "must be 1 to 1000000",
            ),
            ("--max-state-watches", !(1..=10_000_000).contains(&self.max_state_watches), "must be 1 to 10000000"),
            ("--worker-kinds-per-user", kinds(self.worker_kinds_per_user), "must be 64 to 10000000"),
            ("--max-worker-kinds", kinds(self.max_worker_kinds), "must be 64 to 10000000"),
        ];
        rules.into_iter().find(|(_, broken, _)| *broken).map(|(flag, _, problem)| (flag, problem))
    }
}

/// The shared resources of a server.
#[derive(Debug)]
pub struct Shares {
    /// Lists being computed.
    pub lists: Share,
    /// Threads that look jobs through with a filter. Half of the processors: the other half stays for everything else.
    pub filter_slots: Semaphore,
    /// Streams that last: watches of any kind, downloads, streams of workers.
    pub streams: Share,
    /// Watches of a state as a whole: the queue, the workers, the metrics. Each message of them is large, and all change at
    /// once.
    pub state_watches: Share,
    /// Bytes of memory that documents under way take.
    pub upload_memory: Share,
    /// Kinds of work that connected workers name, each worker's counted by itself.
    pub worker_kinds: Share,
}

impl Shares {
    /// With the limits of the configuration.
    pub fn new(config: &Config) -> Self {
        let limits = &config.shares;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            lists: Share::new("lists", limits.lists_per_user, limits.max_lists),
            filter_slots: Semaphore::new((processors / 2).max(1)),
            streams: Share::new("streams", config.streams_per_user, config.max_user_streams),
            state_watches: Share::new(
                "watches of the queue, workers, bridges or metrics",
                limits.state_watches_per_user,
                limits.max_state_watches,
            ),
            upload_memory: Share::new(
                "bytes of memory for documents under way",
                config.upload_memory_per_user,
                config.upload_memory,
            ),
            worker_kinds: Share::new(
                "kinds of connected workers",
                limits.worker_kinds_per_user,
                limits.max_worker_kinds,
            ),
        }
    }
}

impl Shares {
    /// One more stream of the caller. Bridges are not counted here: they carry many users and count each by themselves.
    pub fn stream(&self, identity: &Identity) -> Result<Option<Used>, Error> {
        if identity.has(Role::Bridge) { Ok(None) } else { self.streams.try_take(&identity.subject, 1).map(Some) }
    }
}

impl Shares {
    /// One more watch of the caller on a state as a whole. Those of bridges are not counted.
    pub fn state_watch(&self, identity: &Identity) -> Result<Option<Used>, Error> {
        if identity.has(Role::Bridge) { Ok(None) } else { self.state_watches.try_take(&identity.subject, 1).map(Some) }
    }
}

/// A stream to a client that counts as one of its user's for as long as it lives.
#[derive(Debug)]
pub struct Counted<S> {
    stream: S,
    _used: Option<Used>,
}

impl<S> Counted<S> {
    /// Counts a stream.
    pub fn new(stream: impl Into<S>, used: Option<Used>) -> Self {
        Self { stream: stream.into(), _used: used }
    }
}

impl<S: Stream + Unpin> Stream for Counted<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.stream).poll_next(context)
    }
}
