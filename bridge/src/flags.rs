//! The flags of a bridge that runs in whichever program: `courant-bridge`, or `courant up` with everything else.

use std::time::Duration;

use clap::Args;

use crate::config::{Config, Limits, Times};
use crate::ledger::{Bound, Bounds};

/// Who may come, how much, and for how long. Each flag has an environment variable `COURANT_…`.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Where people reach this bridge, as a browser writes an origin (https://courant.example). Needed behind a proxy that
    /// terminates TLS: it makes the session cookie secure
    #[arg(help_heading = "Browsers", long, env = "COURANT_PUBLIC_URL", value_name = "ORIGIN")]
    pub public_url: Option<String>,

    /// Web origins besides our own that may connect, as a browser writes them (https://app.example); comma list
    #[arg(help_heading = "Browsers", long, env = "COURANT_ALLOW_ORIGIN", value_delimiter = ',', value_name = "ORIGIN")]
    pub allow_origin: Vec<String>,

    /// Take a client's address from the last X-Forwarded-For; only behind a proxy that sets it
    #[arg(help_heading = "Browsers", long, env = "COURANT_TRUST_FORWARDED")]
    pub trust_forwarded: bool,

    /// Tell browsers to use https only, for this long (Strict-Transport-Security); sent only over https, that is with TLS or a
    /// --public-url that begins so [default: not sent]
    #[arg(help_heading = "Browsers", long, env = "COURANT_HSTS_MAX_AGE", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub hsts_max_age: Option<Duration>,

    /// HTTP connections at once
    #[arg(help_heading = "Connections of browsers", long, env = "COURANT_MAX_HTTP_CONNECTIONS", default_value_t = Limits::DEFAULT.sockets, value_name = "N")]
    pub max_http_connections: usize,

    /// HTTP connections at once from one address; not with --trust-forwarded, where all come from the proxy
    #[arg(help_heading = "Connections of browsers", long, env = "COURANT_MAX_HTTP_CONNECTIONS_PER_ADDRESS", default_value_t = Limits::DEFAULT.sockets_per_address, value_name = "N")]
    pub max_http_connections_per_address: usize,

    /// Requests at once on one HTTP/2 connection, event streams included; more wait at the client
    #[arg(help_heading = "Connections of browsers", long, env = "COURANT_MAX_HTTP2_STREAMS", default_value_t = Limits::DEFAULT.http2_streams, value_name = "N")]
    pub max_http2_streams: u32,

    /// WebSocket connections at once
    #[arg(help_heading = "Connections of browsers", long, env = "COURANT_MAX_CONNECTIONS", default_value_t = Limits::DEFAULT.connections, value_name = "N")]
    pub max_connections: usize,

    /// WebSocket connections of one user
    #[arg(help_heading = "Connections of browsers", long, env = "COURANT_MAX_CONNECTIONS_PER_USER", default_value_t = Limits::DEFAULT.connections_per_user, value_name = "N")]
    pub max_connections_per_user: usize,

    /// Devices of one user that are shown as connected to this bridge; further ones may connect and are not shown
    #[arg(help_heading = "Connections of browsers", long, env = "COURANT_MAX_DEVICES_PER_USER", default_value_t = Limits::DEFAULT.devices_per_user, value_name = "N")]
    pub max_devices_per_user: usize,

    /// WebSocket connections from one address
    #[arg(help_heading = "Connections of browsers", long, env = "COURANT_MAX_CONNECTIONS_PER_ADDRESS", default_value_t = Limits::DEFAULT.connections_per_address, value_name = "N")]
    pub max_connections_per_address: usize,

    /// New WebSocket connections per minute from one address
    #[arg(help_heading = "Rates", long, env = "COURANT_MAX_ATTEMPTS_PER_MINUTE", default_value_t = Limits::DEFAULT.attempts_per_minute, value_name = "N")]
    pub max_attempts_per_minute: u32,

    /// HTTP requests per second from one address
    #[arg(help_heading = "Rates", long, env = "COURANT_MAX_REQUESTS_PER_SECOND", default_value_t = Limits::DEFAULT.requests_per_second, value_name = "N")]
    pub max_requests_per_second: u32,

    /// Messages per second of one connection
    #[arg(help_heading = "Rates", long, env = "COURANT_MAX_MESSAGES_PER_SECOND", default_value_t = Limits::DEFAULT.messages_per_second, value_name = "N")]
    pub max_messages_per_second: u32,

    /// Messages and requests per second of one user, over all connections
    #[arg(help_heading = "Rates", long, env = "COURANT_MAX_PER_USER_PER_SECOND", default_value_t = Limits::DEFAULT.per_user_per_second, value_name = "N")]
    pub max_per_user_per_second: u32,

    /// Subscriptions of one connection
    #[arg(help_heading = "Messages and topics", long, env = "COURANT_MAX_SUBSCRIPTIONS", default_value_t = Limits::DEFAULT.subscriptions, value_name = "N")]
    pub max_subscriptions: usize,

    /// Bytes of a message from a browser
    #[arg(help_heading = "Messages and topics", long, env = "COURANT_MAX_MESSAGE_BYTES", default_value_t = Limits::DEFAULT.message_bytes, value_name = "BYTES")]
    pub max_message_bytes: usize,

    /// Bytes above which messages are compressed on connections with the subprotocol courant.v1.msgpack
    #[arg(help_heading = "Messages and topics", long, env = "COURANT_COMPRESS_ABOVE", default_value_t = Limits::DEFAULT.compress_above, value_name = "BYTES")]
    pub compress_above: usize,

    /// Bytes that may wait for one slow connection
    #[arg(help_heading = "Messages and topics", long, env = "COURANT_OUTBOX_BYTES", default_value_t = Limits::DEFAULT.outbox_bytes, value_name = "BYTES")]
    pub outbox_bytes: usize,

    /// Distinct topics of one user, over all connections
    #[arg(help_heading = "Messages and topics", long, env = "COURANT_MAX_TOPICS_PER_USER", default_value_t = Limits::DEFAULT.bounds.topics_per_user, value_name = "N")]
    pub max_topics_per_user: usize,

    /// Topics followed at the server and streams from it at once, of all users; a topic of several users counts once
    #[arg(help_heading = "Messages and topics", long, env = "COURANT_MAX_UPSTREAM_STREAMS", default_value_t = Limits::DEFAULT.bounds.streams.total, value_name = "N")]
    pub max_upstream_streams: usize,

    /// Of these, streams that one user alone needs. No user gets more than are still free
    #[arg(help_heading = "Messages and topics", long, env = "COURANT_MAX_STREAMS_PER_USER", default_value_t = Limits::DEFAULT.bounds.streams.per_user, value_name = "N")]
    pub max_streams_per_user: usize,

    /// Bytes that may wait for all slow connections of one user
    #[arg(help_heading = "Messages and topics", long, env = "COURANT_OUTBOX_BYTES_PER_USER", default_value_t = Limits::DEFAULT.bounds.outboxes.per_user, value_name = "BYTES")]
    pub outbox_bytes_per_user: usize,

    /// Bytes that may wait for all slow connections
    #[arg(help_heading = "Messages and topics", long, env = "COURANT_OUTBOX_BYTES_TOTAL", default_value_t = Limits::DEFAULT.bounds.outboxes.total, value_name = "BYTES")]
    pub outbox_bytes_total: usize,

    /// HTTP requests of all users that are being answered at once
    #[arg(help_heading = "Requests", long, env = "COURANT_MAX_REQUESTS", default_value_t = Limits::DEFAULT.bounds.requests.total, value_name = "N")]
    pub max_requests: usize,

    /// HTTP requests of one user that are being answered at once
    #[arg(help_heading = "Requests", long, env = "COURANT_MAX_REQUESTS_PER_USER", default_value_t = Limits::DEFAULT.bounds.requests.per_user, value_name = "N")]
    pub max_requests_per_user: usize,

    /// Uploads at once, of all users
    #[arg(help_heading = "Requests", long, env = "COURANT_MAX_UPLOADS", default_value_t = Limits::DEFAULT.bounds.uploads.total, value_name = "N")]
    pub max_uploads: usize,

    /// Uploads of one user at once
    #[arg(help_heading = "Requests", long, env = "COURANT_MAX_UPLOADS_PER_USER", default_value_t = Limits::DEFAULT.bounds.uploads.per_user, value_name = "N")]
    pub max_uploads_per_user: usize,

    /// Downloads at once, of all users
    #[arg(help_heading = "Requests", long, env = "COURANT_MAX_DOWNLOADS", default_value_t = Limits::DEFAULT.bounds.downloads.total, value_name = "N")]
    pub max_downloads: usize,

    /// Downloads of one user at once
    #[arg(help_heading = "Requests", long, env = "COURANT_MAX_DOWNLOADS_PER_USER", default_value_t = Limits::DEFAULT.bounds.downloads.per_user, value_name = "N")]
    pub max_downloads_per_user: usize,

    /// How long requests wait for a server that is away, for example because it is restarted, before they are answered with 503 and
    /// /readyz is
    #[arg(help_heading = "Times", long, env = "COURANT_SERVER_WAIT", default_value_t = Times::DEFAULT.server_wait.into(), value_name = "TIME")]
    pub server_wait: humantime::Duration,

    /// Time between WebSocket pings; clients that miss two are disconnected
    #[arg(help_heading = "Times", long, env = "COURANT_PING_INTERVAL", default_value_t = Times::DEFAULT.ping.into(), value_name = "TIME")]
    pub ping_interval: humantime::Duration,

    /// Silence after which a client should send a ping, and an event stream gets one
    #[arg(help_heading = "Times", long, env = "COURANT_CLIENT_PING_INTERVAL", default_value_t = Times::DEFAULT.client_ping.into(), value_name = "TIME")]
    pub client_ping_interval: humantime::Duration,

    /// How long a client should wait for the answer before it goes elsewhere
    #[arg(help_heading = "Times", long, env = "COURANT_CLIENT_PONG_TIMEOUT", default_value_t = Times::DEFAULT.client_pong.into(), value_name = "TIME")]
    pub client_pong_timeout: humantime::Duration,

    /// How long a request's head may take, also the next one on a connection that is kept
    #[arg(help_heading = "Times", long, env = "COURANT_HEADER_TIMEOUT", default_value_t = Times::DEFAULT.header.into(), value_name = "TIME")]
    pub header_timeout: humantime::Duration,

    /// How long an upload may pause
    #[arg(help_heading = "Times", long, env = "COURANT_BODY_TIMEOUT", default_value_t = Times::DEFAULT.body.into(), value_name = "TIME")]
    pub body_timeout: humantime::Duration,

    /// Bytes per second that must come of an upload on average, so that a slow client cannot hold an upload open; 0: no minimum
    #[arg(help_heading = "Rates", long, env = "COURANT_MIN_UPLOAD_RATE", default_value_t = Limits::DEFAULT.upload_bytes_per_second, value_name = "BYTES")]
    pub min_upload_rate: u64,

    /// How long a WebSocket may stay without a token
    #[arg(help_heading = "Times", long, env = "COURANT_AUTH_TIMEOUT", default_value_t = Times::DEFAULT.auth.into(), value_name = "TIME")]
    pub auth_timeout: humantime::Duration,

    /// How long a client that polls counts as connected after an answer, until its next poll
    #[arg(help_heading = "Times", long, env = "COURANT_POLL_TIMEOUT", default_value_t = Times::DEFAULT.poll_overdue.into(), value_name = "TIME")]
    pub poll_timeout: humantime::Duration,

    /// How long a device that is gone is still shown as connected, so that a page reload does not flicker
    #[arg(help_heading = "Times", long, env = "COURANT_PRESENCE_GRACE", default_value_t = Times::DEFAULT.presence_grace.into(), value_name = "TIME")]
    pub presence_grace: humantime::Duration,

    /// Time to serve on after a signal to stop while /readyz answers 503, so that load balancers stop sending requests first;
    /// Ctrl-C skips it [default: 5s]
    #[arg(help_heading = "Start and stop", long, env = "COURANT_LAME_DUCK", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub lame_duck: Option<Duration>,

    /// Time after that for all connections of browsers to end
    #[arg(help_heading = "Start and stop", long = "drain", env = "COURANT_DRAIN", default_value_t = Times::DEFAULT.drain.into(), value_name = "TIME")]
    pub drain_within: humantime::Duration,
}

impl Flags {
    /// Puts them into a configuration.
    pub fn apply(self, config: &mut Config) {
        config.public_url = self.public_url;
        config.allow_origins = self.allow_origin;
        config.trust_forwarded = self.trust_forwarded;
        config.hsts_max_age = self.hsts_max_age;
        let limits = &mut config.limits;
        limits.connections = self.max_connections;
        limits.sockets = self.max_http_connections;
        limits.sockets_per_address = self.max_http_connections_per_address;
        limits.http2_streams = self.max_http2_streams;
        limits.connections_per_user = self.max_connections_per_user;
        limits.devices_per_user = self.max_devices_per_user;
        limits.connections_per_address = self.max_connections_per_address;
        limits.attempts_per_minute = self.max_attempts_per_minute;
        limits.requests_per_second = self.max_requests_per_second;
        limits.messages_per_second = self.max_messages_per_second;
        limits.per_user_per_second = self.max_per_user_per_second;
        limits.subscriptions = self.max_subscriptions;
        limits.message_bytes = self.max_message_bytes;
        limits.compress_above = self.compress_above;
        limits.outbox_bytes = self.outbox_bytes;
        let bound = |total, per_user| Bound { total, per_user };
        limits.bounds = Bounds {
            topics_per_user: self.max_topics_per_user,
            streams: bound(self.max_upstream_streams, self.max_streams_per_user),
            uploads: bound(self.max_uploads, self.max_uploads_per_user),
            downloads: bound(self.max_downloads, self.max_downloads_per_user),
            requests: bound(self.max_requests, self.max_requests_per_user),
            outboxes: bound(self.outbox_bytes_total, self.outbox_bytes_per_user),
        };
        limits.upload_bytes_per_second = self.min_upload_rate;
        config.times.ping = self.ping_interval.into();
        config.times.client_ping = self.client_ping_interval.into();
        config.times.client_pong = self.client_pong_timeout.into();
        config.times.header = self.header_timeout.into();
        config.times.body = self.body_timeout.into();
        config.times.auth = self.auth_timeout.into();
        config.times.poll_overdue = self.poll_timeout.into();
        config.times.presence_grace = self.presence_grace.into();
        if let Some(lame_duck) = self.lame_duck {
            config.times.lame_duck = lame_duck;
        }
        config.times.drain = self.drain_within.into();
        config.times.server_wait = self.server_wait.into();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clap::{Args as _, FromArgMatches as _};
    use courant_auth::{Secret, Verifier};

    use super::*;

    fn config(given: &[&str]) -> Config {
        let command = Flags::augment_args(clap::Command::new("test"));
        let flags = Flags::from_arg_matches(&command.get_matches_from([&["test"], given].concat())).unwrap();
        let verifier = Verifier::hs256(&Secret::new([7u8; 32]).unwrap());
        let mut config = Config::new("http://server:1", verifier, Arc::new(String::new));
        flags.apply(&mut config);
        config
    }

    #[test]
    fn the_defaults_of_flags_are_those_of_the_configuration() {
        let verifier = Verifier::hs256(&Secret::new([7u8; 32]).unwrap());
        let plain = Config::new("http://server:1", verifier, Arc::new(String::new));
        assert_eq!(format!("{:?}", config(&[])), format!("{plain:?}"));
    }

    #[test]
    fn every_flag_changes_something_and_nothing_works_with_zero() {
        let plain = format!("{:?}", config(&[]));
        let command = Flags::augment_args(clap::Command::new("test"));
        let flags: Vec<_> = command.get_arguments().filter_map(|flag| Some(flag.get_long()?.to_owned())).collect();
        assert!(flags.len() > 20, "{flags:?}");
        for flag in flags {
            let flag = format!("--{flag}");
            let (given, zero) = match flag.as_str() {
                "--trust-forwarded" => (vec![flag.as_str()], None),
                "--public-url" | "--allow-origin" => (vec![flag.as_str(), "https://a.example"], None),
                _ if plain_is_time(&flag) => (vec![flag.as_str(), "77s"], Some("0s")),
                _ => (vec![flag.as_str(), "77"], Some("0")),
            };
            assert_ne!(format!("{:?}", config(&given)), plain, "{flag} changes nothing");
            // Compressing everything, stopping at once and waiting for nothing are valid choices.
            if let Some(zero) = zero.filter(|_| {
                !matches!(
                    flag.as_str(),
                    "--compress-above"
                        | "--min-upload-rate"
                        | "--hsts-max-age"
                        | "--lame-duck"
                        | "--drain"
                        | "--presence-grace"
                        | "--server-wait"
                )
            }) {
                assert!(config(&[&flag, zero]).check().is_err(), "{flag} {zero}");
            }
        }
    }

    fn plain_is_time(flag: &str) -> bool {
        flag.ends_with("-timeout")
            || flag.ends_with("-interval")
            || matches!(flag, "--hsts-max-age" | "--lame-duck" | "--drain" | "--presence-grace" | "--server-wait")
    }
}
