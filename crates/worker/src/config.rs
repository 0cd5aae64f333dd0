//! What a worker needs to know, checked once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use courant_tls::{AddressError, ClientTls, Servers};
use tonic::transport::Endpoint;

use crate::metrics::WorkerMetrics;
use crate::status::StatusBoard;

/// Gives the token for the next call. Called for every call, so that a process that lives longer than a token can
/// make or read a fresh one. Must be quick.
pub type TokenSource = Arc<dyn Fn() -> String + Send + Sync>;

/// How a worker connects and behaves. [`Config::new`] fills in the defaults.
#[derive(Clone)]
pub struct Config {
    /// Address of the server's gRPC endpoint: `http://host:port`, or `https://host:port` with [`Config::tls`]. Those of several servers
    /// that share a log with commas between them: when one is gone, the next is used, and the worker keeps its jobs.
    pub server: String,
    /// How to verify the server and who to be to it; needed where its address begins with `https://`. Default none.
    pub tls: Option<ClientTls>,
    /// Where tokens come from; they need the role `worker`.
    pub token: TokenSource,
    /// Stable over restarts where possible, unique among workers: 1 to 64 of `[A-Za-z0-9._-]`.
    pub worker_id: String,
    /// The kinds of job to take, for example `pdf`; at least one. The worker gets no job of another kind.
    pub kinds: Vec<String>,
    /// How many jobs to do at once, 1 to 1024. Default 1.
    pub slots: u32,
    /// Whether to take parts of documents that other workers do, too: then the handler has
    /// [`run_part`](crate::Handler::run_part). Default no.
    pub parts: bool,
    /// Name and version of the program, shown to operators in the list of workers. Default `courant-worker/<version>`.
    pub software: String,
    /// How long a connection may take to be made. Default 5 s.
    pub connect_timeout: Duration,
    /// The longest first wait before a new stream is opened; it doubles with every failure. Default 0.2 s.
    pub backoff_min: Duration,
    /// The longest wait before a new stream is opened. Default 5 s.
    pub backoff_max: Duration,
    /// How long reading and writing are tried again while the server is away. Default 60 s.
    pub patience: Duration,
    /// How long tasks may go on after a shutdown was asked for, before they are stopped and handed back. Default 15 s.
    pub grace: Duration,
    /// How long a stopped task and the last reports may take at a shutdown. Default 5 s.
    pub stop_timeout: Duration,
    /// The longest that an attempt at a job, or a part of one, may take. The task is then stopped, and the job has failed for
    /// good with `JOB_TIMED_OUT`, so that no handler holds a job for ever. Default 6 h.
    pub max_job_duration: Duration,
    /// Reports of one attempt that may wait for the server's acknowledgement before the task is held up. Default 64.
    pub outbox: usize,
    /// Follows the state of the connection to the server. For health checks: a worker without a connection is not ready,
    /// even if its process lives.
    pub status: StatusBoard,
    /// Counts what the worker does. Several workers may share one.
    pub metrics: WorkerMetrics,
    /// Where to answer Prometheus and probes, over plain HTTP and to anybody who can reach it: `/metrics`, `/livez`, `/readyz`
    /// and `/startupz`. Default none. A program that shows more than its worker registers [`Config::metrics`] with a
    /// [`Monitor`](crate::Monitor) of its own instead.
    pub metrics_addr: Option<SocketAddr>,
}

/// Why a configuration cannot work.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// [`Config::server`] is no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The scheme of [`Config::server`] does not go with [`Config::tls`].
    #[error("the server's address {address:?} is not usable: {reason}; write it like http://127.0.0.1:50051")]
    Server {
        /// The address as it was given.
        address: String,
        /// What is wrong with it, in a sentence.
        reason: String,
    },
    /// [`Config::worker_id`] is empty, too long, or has other characters than allowed.
    #[error("the worker id {0:?} must be 1 to 64 of A-Z, a-z, 0-9, dot, underscore and hyphen")]
    WorkerId(String),
    /// [`Config::kinds`] is empty.
    #[error("name at least one kind of job to take")]
    NoKinds,
    /// [`Config::slots`] is out of its range.
    #[error("slots must be 1 to 1024, not {0}")]
    Slots(u32),
    /// [`Config::max_job_duration`] is zero: every job would time out.
    #[error("the longest duration of a job must be more than nothing")]
    MaxJobDuration,
    /// [`Config::outbox`] is zero: no report could ever be sent.
    #[error("the outbox must hold at least 1 report")]
    Outbox,
}

impl Config {
    /// A configuration for a server, with tokens, an id and kinds of jobs; everything else has its default. Nothing is checked
    /// before [`run`](crate::run).
    pub fn new(
        server: impl Into<String>,
        token: TokenSource,
        worker_id: impl Into<String>,
        kinds: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            server: server.into(),
            tls: None,
            token,
            worker_id: worker_id.into(),
            kinds: kinds.into_iter().map(Into::into).collect(),
            slots: 1,
            parts: false,
            software: concat!("courant-worker/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(200),
            backoff_max: Duration::from_secs(5),
            patience: Duration::from_secs(60),
            grace: Duration::from_secs(15),
            stop_timeout: Duration::from_secs(5),
            max_job_duration: Duration::from_secs(6 * 3600),
            outbox: 64,
            status: StatusBoard::default(),
            metrics: WorkerMetrics::default(),
            metrics_addr: None,
        }
    }

    /// Whether [`run`](crate::run) would take it. Nothing is connected to.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.endpoint().map(drop)
    }

    /// Checks everything and gives what to connect to.
    pub(crate) fn endpoint(&self) -> Result<(Endpoint, Servers), ConfigError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.worker_id.is_empty() || self.worker_id.len() > 64 || !self.worker_id.chars().all(plain) {
            return Err(ConfigError::WorkerId(self.worker_id.clone()));
        }
        if self.kinds.is_empty() {
            return Err(ConfigError::NoKinds);
        }
        if !(1..=1024).contains(&self.slots) {
            return Err(ConfigError::Slots(self.slots));
        }
        if self.max_job_duration.is_zero() {
            return Err(ConfigError::MaxJobDuration);
        }
        if self.outbox == 0 {
            return Err(ConfigError::Outbox);
        }
        let unusable = |reason: String| ConfigError::Server { address: self.server.clone(), reason };
        match (self.server.starts_with("https://"), &self.tls) {
            (true, None) => return Err(unusable("https:// needs TLS: set `tls`".into())),
            (false, Some(_)) => return Err(unusable("with TLS it must begin with https://".into())),
            _ => {}
        }
        let servers = Servers::parse(&self.server)?;
        let endpoint = servers
            .endpoint()
            .connect_timeout(self.connect_timeout)
            .tcp_nodelay(true)
            .http2_adaptive_window(true)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(true);
        Ok((endpoint, servers))
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("server", &self.server)
            .field("worker_id", &self.worker_id)
            .field("kinds", &self.kinds)
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new("http://127.0.0.1:1", Arc::new(String::new), "w-1", ["text"])
    }

    #[tokio::test]
    async fn bad_settings_are_refused_with_the_reason() {
        assert!(config().endpoint().is_ok());
        let refused = |change: fn(&mut Config)| {
            let mut config = config();
            change(&mut config);
            config.endpoint().unwrap_err().to_string()
        };
        assert!(refused(|c| c.server = "127.0.0.1:50051".into()).contains("http://127.0.0.1:50051"));
        assert!(refused(|c| c.server = "https://core".into()).contains("TLS"));
        assert!(refused(|c| c.server = "ftp://core".into()).contains("https://"));
        assert!(refused(|c| c.worker_id = "a b".into()).contains("1 to 64"));
        assert!(refused(|c| c.slots = 0).contains("1 to 1024"));
        assert!(refused(|c| c.kinds.clear()).contains("kind"));
        assert!(refused(|c| c.max_job_duration = Duration::ZERO).contains("duration"));
        assert!(refused(|c| c.outbox = 0).contains("outbox"));
    }
}
