//! Several HTTP/2 connections for the streams of users, the emptiest first: the server bounds the streams of one connection,
//! and what is lost with a connection should not be everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use courant_proto::v1::job_service_client::JobServiceClient;
use courant_proto::v1::notification_service_client::NotificationServiceClient;
use tonic::transport::Channel;

use super::MAX_MESSAGE;

/// Connections. With the bound on streams in all (8,192) each has about 1,024, a quarter of what the server takes on one.
pub const LANES: usize = 8;

/// All connections for streams of users.
pub struct Lanes(Vec<Lane>);

struct Lane {
    channel: Channel,
    /// Streams now.
    open: AtomicUsize,
}

/// One stream's place on a connection.
pub struct LaneHold {
    lanes: Arc<Lanes>,
    index: usize,
}

impl Lanes {
    /// Connects when first needed.
    pub fn new(connect: impl Fn() -> Channel) -> Arc<Self> {
        Arc::new(Self((0..LANES).map(|_| Lane { channel: connect(), open: AtomicUsize::new(0) }).collect()))
    }

    /// A place on the connection with the fewest streams.
    pub fn hold(self: &Arc<Self>) -> LaneHold {
        let emptiest = self.0.iter().enumerate().min_by_key(|(_, lane)| lane.open.load(Ordering::Relaxed));
        let index = emptiest.map_or(0, |(index, _)| index);
        self.0[index].open.fetch_add(1, Ordering::Relaxed);
        LaneHold { lanes: self.clone(), index }
    }
}

impl LaneHold {
    fn channel(&self) -> Channel {
        self.lanes.0[self.index].channel.clone()
    }

    /// For watches of jobs.
    pub fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// For watches of what people are told.
    pub fn notices(&self) -> NotificationServiceClient<Channel> {
        NotificationServiceClient::new(self.channel()).max_decoding_message_size(MAX_MESSAGE)
    }
}

impl Drop for LaneHold {
    fn drop(&mut self) {
        self.lanes.0[self.index].open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tonic::transport::Endpoint;

    use super::*;

    #[tokio::test]
    async fn streams_are_spread_and_given_back() {
        let lanes = Lanes::new(|| Endpoint::from_static("http://127.0.0.1:1").connect_lazy());
        let held: Vec<_> = (0..3 * LANES).map(|_| lanes.hold()).collect();
        assert!(lanes.0.iter().all(|lane| lane.open.load(Ordering::Relaxed) == 3));
        drop(held);
        assert!(lanes.0.iter().all(|lane| lane.open.load(Ordering::Relaxed) == 0));
    }
}
