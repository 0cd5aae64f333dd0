//! The metrics of a bridge, in the OpenMetrics text format.

use std::ops::Deref;
use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Which limit refused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Refusal {
    pub limit: Limit,
}

/// The limits that refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
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
    /// As it is written in the audit log.
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

/// All metrics. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<All>);

#[derive(Debug, Default)]
pub struct All {
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

impl Deref for Metrics {
    type Target = All;

    fn deref(&self) -> &All {
        &self.0
    }
}

impl Metrics {
    /// The text a scraper reads.
    pub fn text(&self) -> String {
        let mut all = Registry::with_prefix("courant_bridge");
        all.register(
            "connections",
            "Connections that follow topics: WebSockets, event streams and polls",
            self.connections.clone(),
        );
        all.register("refused", "Requests refused, by limit", self.refused.clone());
        all.register("topics", "Current topics, each followed once on the server", self.topics.clone());
        all.register("subscriptions", "Current subscriptions", self.subscriptions.clone());
        all.register("encoded", "Messages encoded, each once for all subscribers of a topic", self.encoded.clone());
        all.register(
            "encoded_binary",
            "Messages encoded as MessagePack, each once for all subscribers of a topic",
            self.encoded_binary.clone(),
        );
        all.register("sent", "Messages taken by connections to be written", self.sent.clone());
        all.register("sent_bytes", "Bytes of messages taken by connections to be written", self.sent_bytes.clone());
        all.register("coalesced", "Transient messages replaced by newer ones", self.coalesced.clone());
        all.register("dropped", "Transient messages dropped because the outbox was full", self.dropped.clone());
        all.register("too_slow", "Connections closed because they did not read fast enough", self.too_slow.clone());
        all.register("upstream_losses", "Streams from the server lost and opened again", self.upstream_losses.clone());
        let mut text = String::new();
        match encode(&mut text, &all) {
            Ok(()) => text,
            Err(_) => String::new(),
        }
    }
}
