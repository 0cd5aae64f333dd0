//! Several HTTP/2 connections for the streams of users, the emptiest first: the server bounds the streams of one connection,
//! and what is lost with a connection should not be everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use courant_proto::v1::job_service_client::JobServiceClient;
use courant_proto::v1::notification_service_client::NotificationServiceClient;
use tonic::transport::Channel;

use crate::config::STREAM_CONNECTIONS as CHANNELS;

/// The largest message from the server, in bytes.
pub(super) const MAX_MESSAGE: usize = 8 << 20;

/// All connections for streams of users.
pub struct ChannelPool(Vec<PooledChannel>);

struct PooledChannel {
    channel: Channel,
    /// Streams that are open on this channel.
    open: AtomicUsize,
}

/// One stream's place on a connection.
pub struct ChannelLease {
    pool: Arc<ChannelPool>,
    index: usize,
}

impl ChannelPool {
    /// Connects when first needed.
    pub fn new(connect: impl Fn() -> Channel) -> Arc<Self> {
        Arc::new(Self((0..CHANNELS).map(|_| PooledChannel { channel: connect(), open: AtomicUsize::new(0) }).collect()))
    }

    /// A place on the connection with the fewest streams.
    pub fn lease(self: &Arc<Self>) -> ChannelLease {
        let emptiest = self.0.iter().enumerate().min_by_key(|(_, pooled)| pooled.open.load(Ordering::Relaxed));
        let index = emptiest.map_or(0, |(index, _)| index);
        self.0[index].open.fetch_add(1, Ordering::Relaxed);
        ChannelLease { pool: self.clone(), index }
    }
}

impl ChannelLease {
    fn channel(&self) -> Channel {
        self.pool.0[self.index].channel.clone()
    }

    /// For watches of jobs.
    pub fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// For watches of notifications.
    pub fn notifications(&self) -> NotificationServiceClient<Channel> {
        NotificationServiceClient::new(self.channel()).max_decoding_message_size(MAX_MESSAGE)
    }
}

impl Drop for ChannelLease {
    fn drop(&mut self) {
        self.pool.0[self.index].open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tonic::transport::Endpoint;

    use super::*;

    #[tokio::test]
    async fn streams_are_spread_and_given_back() {
        let pool = ChannelPool::new(|| Endpoint::from_static("http://127.0.0.1:1").connect_lazy());
        let held: Vec<_> = (0..3 * CHANNELS).map(|_| pool.lease()).collect();
        assert!(pool.0.iter().all(|pooled| pooled.open.load(Ordering::Relaxed) == 3));
        drop(held);
        assert!(pool.0.iter().all(|pooled| pooled.open.load(Ordering::Relaxed) == 0));
    }
}
