//! The metrics of a bridge. `docs/metrics.md` has the list.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use courant_runtime::stats::LATENCIES;
use http::Method;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
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

#[derive(Debug)]
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
    /// Connections that were let in.
    pub admitted: Counter,
    pub requests: Family<RequestLabels, Counter>,
    pub request_durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
}

/// A request over HTTP. Routes are those of the router, so there are only so many.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// As in `GET /v1/jobs/{id}`; `console` for files of the console and whatever is at no route.
    pub route: String,
    pub method: &'static str,
    /// The status code.
    pub code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteLabels {
    pub route: String,
}

impl Default for All {
    fn default() -> Self {
        Self {
            connections: Gauge::default(),
            refused: Family::default(),
            topics: Gauge::default(),
            subscriptions: Gauge::default(),
            encoded: Counter::default(),
            encoded_binary: Counter::default(),
            sent: Counter::default(),
            sent_bytes: Counter::default(),
            coalesced: Counter::default(),
            dropped: Counter::default(),
            too_slow: Counter::default(),
            upstream_losses: Counter::default(),
            admitted: Counter::default(),
            requests: Family::default(),
            request_durations: Family::new_with_constructor(|| Histogram::new(LATENCIES.iter().copied())),
        }
    }
}

impl Deref for Metrics {
    type Target = All;

    fn deref(&self) -> &All {
        &self.0
    }
}

impl Metrics {
    /// The text a scraper reads, in the OpenMetrics format.
    pub fn text(&self) -> String {
        let mut registry = Registry::default();
        self.register(&mut registry);
        let mut text = String::new();
        match encode(&mut text, &registry) {
            Ok(()) => text,
            Err(_) => String::new(),
        }
    }

    /// A request was answered; an answer that lasts goes on.
    pub fn request(&self, route: &str, method: &Method, code: u16, took: Duration) {
        let labels = RequestLabels { route: route.to_owned(), method: name_of(method), code };
        self.requests.get_or_create(&labels).inc();
        let route = RouteLabels { route: labels.route };
        self.request_durations.get_or_create(&route).observe(took.as_secs_f64());
    }

    /// Shows them, with what else is in a registry.
    pub fn register(&self, registry: &mut Registry) {
        let all = registry.sub_registry_with_prefix("courant_bridge");
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
        all.register("admitted", "Connections let in: WebSockets, event streams and polls", self.admitted.clone());
        all.register("http_requests", "Requests over HTTP, by route, method and status code", self.requests.clone());
        all.register(
            "http_request_duration_seconds",
            "How long requests took until the head of their answer, by route",
            self.request_durations.clone(),
        );
    }
}

/// Whatever else is asked for is one.
fn name_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
