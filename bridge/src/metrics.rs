//! The few numbers a bridge counts about itself, in the Prometheus text format.

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Which limit refused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Refusal {
    /// The limit.
    pub limit: Limit,
}

/// The limits that refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs, reason = "each is described in `config::Limits`")]
pub enum Limit {
    Connections,
    ConnectionsPerUser,
    DevicesPerUser,
    ConnectionsPerAddress,
    AttemptsPerMinute,
    RequestsPerSecond,
    MessagesPerSecond,
    PerUserPerSecond,
    MessageBytes,
    Subscriptions,
    TopicsPerUser,
    StreamsPerUser,
    RequestsPerUser,
    UploadsPerUser,
    DownloadsPerUser,
    Sockets,
    SocketsPerAddress,
    Pings,
}

impl Limit {
    /// As it is written in the audit trail.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerUser => "connections-per-user",
            Self::DevicesPerUser => "devices-per-user",
            Self::ConnectionsPerAddress => "connections-per-address",
            Self::AttemptsPerMinute => "attempts-per-minute",
            Self::RequestsPerSecond => "requests-per-second",
            Self::MessagesPerSecond => "messages-per-second",
            Self::PerUserPerSecond => "per-user-per-second",
            Self::MessageBytes => "message-bytes",
            Self::Subscriptions => "subscriptions",
            Self::TopicsPerUser => "topics-per-user",
            Self::StreamsPerUser => "streams-per-user",
            Self::RequestsPerUser => "requests-per-user",
            Self::UploadsPerUser => "uploads-per-user",
            Self::DownloadsPerUser => "downloads-per-user",
            Self::Sockets => "sockets",
            Self::SocketsPerAddress => "sockets-per-address",
            Self::Pings => "pings",
        }
    }
}

/// Everything counted. Cloning shares.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the help texts below say it")]
pub struct Metrics {
    pub connections: Gauge,
    pub refused: Family<Refusal, Counter>,
    pub topics: Gauge,
    pub subscriptions: Gauge,
    pub encoded: Counter,
    pub encoded_binary: Counter,
    pub sent: Counter,
    pub sent_bytes: Counter,
    pub coalesced: Counter,
    pub dropped: Counter,
    pub too_slow: Counter,
    pub upstream_losses: Counter,
}

impl Metrics {
    /// The text a scraper reads.
    pub fn text(&self) -> String {
        let mut all = Registry::with_prefix("courant_bridge");
        all.register("connections", "WebSocket connections now", self.connections.clone());
        all.register("refused", "What limits have refused", self.refused.clone());
        all.register("topics", "Topics now, each followed once on the server", self.topics.clone());
        all.register("subscriptions", "Subscriptions now", self.subscriptions.clone());
        all.register("encoded", "Messages encoded, each once for all subscribers of a topic", self.encoded.clone());
        all.register(
            "encoded_binary",
            "Messages packed as MessagePack for all who get them",
            self.encoded_binary.clone(),
        );
        all.register("sent", "Messages handed to connections", self.sent.clone());
        all.register("sent_bytes", "Bytes of them", self.sent_bytes.clone());
        all.register("coalesced", "Transient messages replaced by newer ones", self.coalesced.clone());
        all.register("dropped", "Transient messages left out for a full outbox", self.dropped.clone());
        all.register("too_slow", "Connections closed because they did not read", self.too_slow.clone());
        all.register("upstream_losses", "Watches lost and taken up again", self.upstream_losses.clone());
        let mut text = String::new();
        match encode(&mut text, &all) {
            Ok(()) => text,
            Err(_) => String::new(),
        }
    }
}
