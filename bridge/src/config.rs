//! The configuration of a bridge. Checked once at the start, then never changed.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use courant_auth::Verifier;
use courant_monitoring::Monitor;
use courant_tls::{AddressError, ClientTls, ServerTls, Servers};

use crate::ledger::Bounds;

/// Makes a fresh token with the role `bridge`, whenever one is needed.
pub type TokenSource = Arc<dyn Fn() -> String + Send + Sync>;

/// The configuration of a bridge.
#[derive(Clone)]
pub struct Config {
    /// Where the server is: `http://host:port`; several that share a log with commas between them.
    pub server: String,
    /// Judges the users' tokens.
    pub verifier: Verifier,
    /// For the bridge's own watches.
    pub server_token: TokenSource,
    /// Where people reach us, as a browser writes an origin, if that is not where we listen.
    pub public_url: Option<String>,
    /// Origins besides our own that may connect, as a browser writes them (`https://app.example`).
    pub allow_origins: Vec<String>,
    /// Take a client's address from the last `X-Forwarded-For`. Only behind a proxy that sets it.
    pub trust_forwarded: bool,
    /// How long browsers are to use https only (HSTS); None: not sent. Sent only over https.
    pub hsts_max_age: Option<Duration>,
    /// TLS for browsers; without it plain HTTP is served, maybe behind a proxy that terminates TLS.
    pub tls: Option<ServerTls>,
    /// TLS to the server, whose address then begins with `https://`.
    pub server_tls: Option<ClientTls>,
    /// What is served at paths that are nothing else.
    pub console: Console,
    /// How much of everything.
    pub limits: Limits,
    /// How long everything may take.
    pub times: Times,
    /// Where it shows its metrics and how it does, beside its own `/metrics`.
    pub monitor: Monitor,
}

/// The bytes of a file of the console, and their SHA-256.
pub type Console = fn(&str) -> Option<(Cow<'static, [u8]>, [u8; 32])>;

/// How much of everything.
#[derive(Clone, Debug)]
pub struct Limits {
    /// HTTP connections at once, before they become WebSockets, event streams or polls. More get 503.
    pub sockets: usize,
    /// Of these from one address. More get 429.
    pub sockets_per_address: usize,
    /// Requests at once on one HTTP/2 connection, event streams included. More wait at the client.
    pub http2_streams: u32,
    /// WebSocket connections at once. More are closed with 4429.
    pub connections: usize,
    /// WebSocket connections of one user.
    pub connections_per_user: usize,
    /// Devices of one user at this bridge that are shown; surplus ones are let in and not shown.
    pub devices_per_user: usize,
    /// WebSocket connections from one address.
    pub connections_per_address: usize,
    /// New WebSocket connections from one address per minute. More get HTTP 429.
    pub attempts_per_minute: u32,
    /// HTTP requests from one address per second, on average over two. More get 429.
    pub requests_per_second: u32,
    /// Messages a connection may send per second, on average. More get an error, and far more 4429.
    pub messages_per_second: u32,
    /// Messages and requests per second of one user, over all connections, on average over two. More get an error, or 429.
    pub per_user_per_second: u32,
    /// Subscriptions of one connection. More get an error.
    pub subscriptions: usize,
    /// Bytes of a client's message. More: 1009.
    pub message_bytes: usize,
    /// Bytes of a packed message above which it is compressed, where the format can.
    pub compress_above: usize,
    /// Bytes that may wait for one connection. More: 4508.
    pub outbox_bytes: usize,
    /// Bytes of a document.
    pub upload_bytes: u64,
    /// Bytes that must come of an upload per second, on average over two of the pauses it may make. Less: it is ended.
    pub upload_bytes_per_second: u64,
    /// What users may hold, one and all together. More get 429, or an error.
    pub bounds: Bounds,
}

/// Messages at once besides one for each subscription: `auth`, `ping`, `ack` and what else a client says when it begins.
const BURST_SPARE: u32 = 32;

/// How long everything may take.
#[derive(Clone, Debug)]
pub struct Times {
    /// Until the token is there. Then 4408.
    pub auth: Duration,
    /// Before a token runs out: when the client is reminded to renew it. Half of its life for tokens that live shorter.
    pub token_warning: Duration,
    /// Between WebSocket pings; clients that miss two are disconnected.
    pub ping: Duration,
    /// Silence after which a client should send `ping`, and an event stream gets one.
    pub client_ping: Duration,
    /// How long a client should wait for the `pong`.
    pub client_pong: Duration,
    /// The longest wait of a poll.
    pub poll: Duration,
    /// For the `closing` message and the closing handshake.
    pub close: Duration,
    /// For a request's head.
    pub header: Duration,
    /// Between two pieces of an upload.
    pub body: Duration,
    /// For a call to the server that is not a stream.
    pub call: Duration,
    /// Between two health checks of the server.
    pub health: Duration,
    /// How long requests wait for a server that is away, and its absence is no reason not to be ready: it may be restarting.
    pub server_wait: Duration,
    /// After which all connections are closed with 4504 while the server is gone.
    pub server_grace: Duration,
    /// How long a device that is gone is shown as if it were there.
    pub presence_grace: Duration,
    /// After its answer: when the next poll of a client is overdue.
    pub poll_overdue: Duration,
    /// How long a topic outlives its last subscriber.
    pub topic_grace: Duration,
    /// The longest pause before a topic tries the server again.
    pub backoff: Duration,
    /// Over which the clients of a stopping bridge are asked to leave, at the longest: one after another.
    pub drain_spread: Duration,
    /// After the signal to stop: how long the bridge serves on while it is not ready.
    pub lame_duck: Duration,
    /// For everything to end when the bridge stops.
    pub drain: Duration,
}

impl Limits {
    /// Of the flags as well.
    pub const DEFAULT: Self = Self {
        sockets: 4_000,
        sockets_per_address: 1_000,
        http2_streams: 128,
        connections: 10_000,
        connections_per_user: 100,
        devices_per_user: 100,
        connections_per_address: 1_000,
        attempts_per_minute: 6_000,
        requests_per_second: 2_000,
        messages_per_second: 50,
        per_user_per_second: 500,
        subscriptions: 128,
        message_bytes: 64 << 10,
        compress_above: 1 << 10,
        outbox_bytes: 1 << 20,
        upload_bytes: 512 << 20,
        upload_bytes_per_second: 1 << 10,
        bounds: Bounds::DEFAULT,
    };

    /// Messages a connection may send at once: enough to subscribe to all it may one by one.
    pub fn message_burst(&self) -> u32 {
        let all = u32::try_from(self.subscriptions).unwrap_or(u32::MAX).saturating_add(BURST_SPARE);
        self.messages_per_second.saturating_mul(2).max(all)
    }
}

impl Times {
    /// Of the flags as well.
    pub const DEFAULT: Self = Self {
        auth: Duration::from_secs(10),
        token_warning: Duration::from_secs(60),
        ping: Duration::from_secs(30),
        client_ping: Duration::from_secs(25),
        client_pong: Duration::from_secs(8),
        poll: Duration::from_secs(25),
        close: Duration::from_secs(5),
        header: Duration::from_secs(10),
        body: Duration::from_secs(30),
        call: Duration::from_secs(10),
        health: Duration::from_secs(2),
        server_wait: Duration::from_secs(5),
        server_grace: Duration::from_secs(60),
        presence_grace: Duration::from_secs(5),
        poll_overdue: Duration::from_secs(15),
        topic_grace: Duration::from_secs(10),
        backoff: Duration::from_secs(5),
        drain_spread: Duration::from_secs(5),
        lame_duck: Duration::from_secs(5),
        drain: Duration::from_secs(10),
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Default for Times {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The longest pause before a lost stream of the server is opened again for the first time; it doubles up to [`Times::backoff`].
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Connections to the server for streams of users. With the bound on streams in all (8,192) each has about 1,024, a quarter
/// of what the server takes on one.
pub const STREAM_CONNECTIONS: usize = 8;
/// The server follows 100,000 scopes for one bridge; the rest is for those that end while others begin.
pub const MOST_STREAMS: usize = 90_000;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not an address of a server, or of several.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Its scheme does not go with the settings of TLS.
    #[error("server {address:?} is not an address like http://127.0.0.1:50051: {why}")]
    Server {
        /// The address as it was given.
        address: String,
        /// What is wrong with it, for people.
        why: String,
    },
    /// An origin that is not written as browsers write it.
    #[error("{flag} {origin:?} is not an origin; write it as https://app.example[:port], and never *")]
    Origin { flag: &'static str, origin: String },
    /// Nothing would work with a limit of 0.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// The server would not take so many.
    #[error("--max-upstream-streams {0} is more than {MOST_STREAMS}: the server follows 100000 scopes for one bridge")]
    Streams(usize),
}

impl Config {
    /// A configuration with the default limits and times.
    pub fn new(server: impl Into<String>, verifier: Verifier, server_token: TokenSource) -> Self {
        Self {
            server: server.into(),
            verifier,
            server_token,
            public_url: None,
            allow_origins: Vec::new(),
            trust_forwarded: false,
            hsts_max_age: None,
            tls: None,
            server_tls: None,
            console: |_| None,
            limits: Limits::default(),
            times: Times::default(),
            monitor: Monitor::new("courant-bridge", env!("CARGO_PKG_VERSION")),
        }
    }

    /// Whether browsers reach us by https alone.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some() || self.public_url.as_ref().is_some_and(|url| url.starts_with("https://"))
    }

    /// Refuses what cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_server(&self.server, self.server_tls.is_some())?;
        let allowed = self.allow_origins.iter().map(|origin| ("--allow-origin", origin));
        for (flag, origin) in allowed.chain(self.public_url.iter().map(|origin| ("--public-url", origin))) {
            check_origin(flag, origin)?;
        }
        let limits = &self.limits;
        let counts = [
            ("--max-http-connections", limits.sockets),
            ("--max-http-connections-per-address", limits.sockets_per_address),
            ("--max-http2-streams", limits.http2_streams as usize),
            ("--max-connections", limits.connections),
            ("--max-connections-per-user", limits.connections_per_user),
            ("--max-devices-per-user", limits.devices_per_user),
            ("--max-connections-per-address", limits.connections_per_address),
            ("--max-attempts-per-minute", limits.attempts_per_minute as usize),
            ("--max-requests-per-second", limits.requests_per_second as usize),
            ("--max-messages-per-second", limits.messages_per_second as usize),
            ("--max-per-user-per-second", limits.per_user_per_second as usize),
            ("--max-subscriptions", limits.subscriptions),
            ("--max-message-bytes", limits.message_bytes),
            ("--outbox-bytes", limits.outbox_bytes),
            ("--max-topics-per-user", limits.bounds.topics_per_user),
            ("--max-upstream-streams", limits.bounds.streams.total),
            ("--max-streams-per-user", limits.bounds.streams.per_user),
            ("--max-uploads", limits.bounds.uploads.total),
            ("--max-uploads-per-user", limits.bounds.uploads.per_user),
            ("--max-downloads", limits.bounds.downloads.total),
            ("--max-downloads-per-user", limits.bounds.downloads.per_user),
            ("--max-requests", limits.bounds.requests.total),
            ("--max-requests-per-user", limits.bounds.requests.per_user),
            ("--outbox-bytes-total", limits.bounds.outboxes.total),
            ("--outbox-bytes-per-user", limits.bounds.outboxes.per_user),
            ("--ping-interval", usize::from(!self.times.ping.is_zero())),
            ("--header-timeout", usize::from(!self.times.header.is_zero())),
            ("--auth-timeout", usize::from(!self.times.auth.is_zero())),
            ("--body-timeout", usize::from(!self.times.body.is_zero())),
            ("--client-ping-interval", usize::from(!self.times.client_ping.is_zero())),
            ("--client-pong-timeout", usize::from(!self.times.client_pong.is_zero())),
            ("--poll-timeout", usize::from(!self.times.poll_overdue.is_zero())),
            ("health interval", usize::from(!self.times.health.is_zero())),
        ];
        if limits.bounds.streams.total > MOST_STREAMS {
            return Err(ConfigError::Streams(limits.bounds.streams.total));
        }
        counts.into_iter().find(|(_, count)| *count == 0).map_or(Ok(()), |(name, _)| Err(ConfigError::Zero(name)))
    }
}

fn check_server(addresses: &str, tls: bool) -> Result<(), ConfigError> {
    Servers::parse(addresses)?;
    let refuse = |why: &str| Err(ConfigError::Server { address: addresses.to_owned(), why: why.to_owned() });
    match (addresses.starts_with("https://"), tls) {
        (true, false) => refuse("with https:// it needs TLS"),
        (false, true) => refuse("with TLS it must begin with https://"),
        _ => Ok(()),
    }
}

fn check_origin(flag: &'static str, origin: &str) -> Result<(), ConfigError> {
    let good = origin.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.path() == "/"
            && uri.query().is_none()
            && !origin.ends_with('/')
    });
    if good { Ok(()) } else { Err(ConfigError::Origin { flag, origin: origin.to_owned() }) }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("server", &self.server)
            .field("public_url", &self.public_url)
            .field("allow_origins", &self.allow_origins)
            .field("trust_forwarded", &self.trust_forwarded)
            .field("hsts_max_age", &self.hsts_max_age)
            .field("limits", &self.limits)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_addresses_and_origins_are_refused() {
        for good in ["http://127.0.0.1:50051", "http://server:1", "http://[::1]:50051"] {
            assert!(check_server(good, false).is_ok(), "{good}");
            assert!(check_server(good, true).is_err(), "{good}");
        }
        for bad in ["", "127.0.0.1:50051", "https://server", "http://", "server"] {
            assert!(check_server(bad, false).is_err(), "{bad}");
        }
        assert!(check_server("https://server:1", true).is_ok());
        assert!(check_server("http://one:1,http://two:2", false).is_ok());
        assert!(check_server("http://one:1,two:2", false).is_err());
        for good in ["https://app.example", "http://127.0.0.1:5173"] {
            assert!(check_origin("--allow-origin", good).is_ok(), "{good}");
        }
        for bad in ["*", "app.example", "https://app.example/", "https://a/b", "null"] {
            assert!(check_origin("--allow-origin", bad).is_err(), "{bad}");
        }
    }
}
