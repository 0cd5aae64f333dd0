//! Documents and artifacts while they arrive: how much memory one takes, how long its sender may pause, how slow it may be.
//!
//! A sender decides when it goes on. So what it holds meanwhile is a share of its user ([`Shares::upload_memory`]), and who
//! stops sending is ended. Only the time in which the server waited for the sender counts against it.
//!
//! [`Shares::upload_memory`]: crate::shares::Shares::upload_memory

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::error::Error;
use crate::services::Services;
use crate::share::UserPermit;

/// The largest message with a piece of a document in it: 1 MiB, and room for what is around it.
pub const MAX_PIECE_MESSAGE: usize = (1 << 20) + (64 << 10);
/// Memory of an upload in any case: one message that is not complete yet.
const FIRST: u32 = 5 << 18;
/// Below this many bytes nothing is taken for the buffers of the store: they grow with what comes.
const SMALL: u64 = 256 << 10;
/// How long a sender may be slower than the least rate.
const SLOW_FOR: Duration = Duration::from_secs(60);

/// One document that arrives.
pub struct IncomingBody<'a> {
    services: &'a Services,
    user: &'a str,
    /// Bytes that the store keeps in memory of a large document.
    buffers: u32,
    bytes: u64,
    /// How long the server has waited for the sender.
    waited: Duration,
    _message: UserPermit,
    _buffers: Option<UserPermit>,
}

impl<'a> IncomingBody<'a> {
    /// Waits for memory. `buffers` is how many bytes are kept in memory of a large document.
    pub async fn begin(services: &'a Services, user: &'a str, buffers: usize) -> Result<Self, Error> {
        let buffers = u32::try_from(buffers).unwrap_or(u32::MAX);
        let message = services.shares.upload_memory.take(user, FIRST, services.config.upload_idle).await?;
        let waited = Duration::ZERO;
        Ok(Self { services, user, buffers, bytes: 0, waited, _message: message, _buffers: None })
    }

    /// Waits for the sender, no longer than it may take.
    pub async fn next<T>(&mut self, next: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let config = &self.services.config;
        let left = self.allowed().map(|allowed| allowed.saturating_sub(self.waited));
        let asked = Instant::now();
        let within = config.upload_idle.min(left.unwrap_or(config.upload_idle));
        let came = timeout(within, next).await;
        self.waited += asked.elapsed();
        came.unwrap_or_else(|_| match left {
            Some(left) if left < config.upload_idle => Err(Error::UploadTooSlow(config.upload_min_rate)),
            _ => Err(Error::UploadStalled(config.upload_idle)),
        })
    }

    /// A piece has come for which no more memory is needed.
    pub fn arrived(&mut self, piece: usize) {
        self.bytes += piece as u64;
    }

    /// A piece has come: takes the memory that keeping it needs.
    pub async fn grow(&mut self, piece: usize) -> Result<(), Error> {
        self.arrived(piece);
        if self.bytes > SMALL && self._buffers.is_none() {
            let shares = &self.services.shares;
            let taken = shares.upload_memory.take(self.user, self.buffers, self.services.config.upload_idle).await?;
            self._buffers = Some(taken);
        }
        Ok(())
    }

    /// How long the sender may take in all for what has come so far.
    fn allowed(&self) -> Option<Duration> {
        let rate = self.services.config.upload_min_rate;
        (rate > 0).then(|| SLOW_FOR + Duration::from_secs(self.bytes / rate))
    }
}
