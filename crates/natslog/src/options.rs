//! How the log is opened, and why it may not be.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use courant_joblog::ids::Revision;
use courant_joblog::log::Epoch;

/// How to open a log. Start from [`Options::new`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the NATS servers are: `nats://host:port`, or `tls://host:port` to demand TLS; without user and password. One that
    /// answers is enough; the others of its cluster are learnt from it.
    pub servers: Vec<String>,
    /// The name of the stream, and the first token of all its subjects: 1 to 32 of `[A-Za-z0-9_-]`. Several Courants on one
    /// NATS account need different ones. Default `courant`.
    pub stream: String,
    /// On how many nodes the stream is kept: 1, 3 or 5. A stream that has more is fine, one that has fewer is refused.
    /// Default 3.
    pub replicas: usize,
    /// Who the servers take this for. Default: nobody.
    pub login: Login,
    /// Default: no TLS, unless a URL or the server demands it.
    pub tls: Tls,
    /// A user of the system account. Only such a one may ask the servers whether they sync each write; without it a single
    /// node is refused, and a cluster is taken at its word with a warning. Default: none.
    pub system_login: Option<Login>,
    /// Open the log even where acknowledged entries may be lost when a machine goes down: on servers that sync lazily, or of
    /// which that is not known. Their revisions are given again then, which nobody notices. For trials. Default false.
    pub allow_lossy: bool,
    /// Entries kept per job, at least 2, for as long as the stream is there; of one that exists, what it was made with counts.
    /// Default 120,000: a document may have 100,000 pages, and each is an entry.
    pub history_per_job: u32,
    /// Bytes the stream may have, when it is made; of a stream that exists, what it says counts. Beyond it appends are
    /// refused as [`Full`](courant_joblog::log::AppendError::Full). Default none: then what the servers' disks have, and a
    /// server whose disk was full takes nothing until it is started again.
    pub max_bytes: Option<u64>,
    /// How many of `max_bytes` are kept for ends of jobs ([`Change::is_end`](courant_joblog::event::Change::is_end)) and for
    /// removals. Default 16 MiB, and at most a tenth of `max_bytes`.
    pub reserve_bytes: u64,
    /// Tombstones of forgotten jobs kept for followers; over it (by an eighth) the oldest go. Default 100,000.
    pub forgotten_kept: usize,
    /// Entries kept in memory for readers of what is new. Default 16,384.
    pub recent_entries: usize,
    /// Bytes of those entries, as stored. Default 64 MiB.
    pub recent_bytes: usize,
    /// A file of this server that records how far the stream once reached: one that was cut or put back from a backup since is noticed
    /// by it. Default none: it is not.
    pub reached: Option<PathBuf>,
    /// Open a stream that ends before that all the same, with a new epoch. Default false.
    pub accept_loss: bool,
    /// The epochs of the log that is about to be copied into the stream, which must be empty, or have the beginning of that copy. Until
    /// [`NatsLog::finish_copy`](crate::NatsLog::finish_copy) nobody else can open it. Default empty: nothing is copied.
    pub copy_of: Vec<Epoch>,
    /// How long making a connection may take. Default 5 s.
    pub connect_timeout: Duration,
    /// How long one request may take, and the acknowledgement of one append, before it is asked what became of it. Default
    /// 2.5 s.
    pub request_timeout: Duration,
    /// How long an append is pursued while NATS does not answer, or changes its leader, before it is
    /// [`Unknown`](courant_joblog::log::AppendError::Unknown). A cluster needs some 10 s for a new leader. Default 20 s.
    pub patience: Duration,
}

/// Who the servers take this for.
#[derive(Clone, Default)]
pub enum Login {
    #[default]
    None,
    Password {
        user: String,
        password: String,
    },
    Token(String),
    /// A `.creds` file: a JWT and the seed that signs for it.
    Credentials(PathBuf),
}

/// TLS to the servers; all files are PEM.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Refuse servers without TLS.
    pub required: bool,
    /// Certificates to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// The certificate and the key to present, for servers that verify their clients.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Leaves out passwords and tokens.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Password { user, .. } => write!(f, "Password {{ user: {user:?} }}"),
            Self::Token(_) => f.write_str("Token"),
            Self::Credentials(path) => write!(f, "Credentials({path:?})"),
        }
    }
}

impl Options {
    /// The defaults, for the log on these servers.
    pub fn new(servers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            servers: servers.into_iter().map(Into::into).collect(),
            stream: "courant".into(),
            replicas: 3,
            login: Login::None,
            tls: Tls::default(),
            system_login: None,
            allow_lossy: false,
            history_per_job: 120_000,
            max_bytes: None,
            reserve_bytes: 16 * 1024 * 1024,
            forgotten_kept: 100_000,
            recent_entries: 16_384,
            recent_bytes: 64 * 1024 * 1024,
            reached: None,
            accept_loss: false,
            copy_of: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_millis(2_500),
            patience: Duration::from_secs(20),
        }
    }

    /// Says so if a value cannot be.
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let invalid = |name, value: String, wanted| Err(OpenError::Option { name, value, wanted });
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if self.stream.is_empty() || self.stream.len() > 32 || !self.stream.bytes().all(fits) {
            return invalid("stream", self.stream.clone(), "1 to 32 letters, digits, - or _");
        }
        if ![1, 3, 5].contains(&self.replicas) {
            return invalid("replicas", self.replicas.to_string(), "1, 3 or 5");
        }
        if self.history_per_job < 2 {
            return invalid("history_per_job", self.history_per_job.to_string(), "at least 2");
        }
        if self.servers.is_empty() {
            return invalid("servers", "none".into(), "at least one URL");
        }
        if let Some((_, rest)) = self.servers.iter().find_map(|server| server.rsplit_once('@')) {
            // URLs are logged.
            return invalid("servers", format!("…@{rest}"), "URLs without user and password, which belong into login");
        }
        Ok(())
    }
}

/// Why a log was not opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{name} is {value:?}; it must be {wanted}")]
    Option { name: &'static str, value: String, wanted: &'static str },
    /// No server answers, or none lets this in.
    #[error(
        "no NATS server of {servers} can be reached: {reason}; check the URL, that the server runs, and the credentials"
    )]
    Connect { servers: String, reason: String },
    #[error("{servers} does not let this login in: {reason}; check the credentials, and that the servers know them")]
    Login { servers: String, reason: String },
    /// A file with credentials or certificates cannot be used.
    #[error("{path} cannot be used: {reason}; it must be a readable {wanted}")]
    File { path: PathBuf, reason: String, wanted: &'static str },
    #[error(
        "the NATS server {server} has version {found}, and the log needs {needed} or newer: atomic batches came with 2.12, \
         and only 2.15 syncs the writes of a cluster together; update the servers"
    )]
    Version { server: String, found: String, needed: &'static str },
    #[error(
        "the NATS server takes messages of {found} bytes, and the log needs {needed}; set max_payload: {needed} or more in \
         its configuration"
    )]
    Payload { found: usize, needed: usize },
    #[error(
        "JetStream does not answer: {reason}; check that it is enabled for this account, and that the cluster has a leader"
    )]
    JetStream { reason: String },
    /// The stream was made by somebody else.
    #[error("the stream {stream} was not made by Courant; choose another name for the stream")]
    Foreign { stream: String },
    /// Written by a newer version of this program.
    #[error(
        "the stream {stream} has format {found}, and this version knows up to {known} only; use the newer version again"
    )]
    Newer { stream: String, found: String, known: u32 },
    /// A setting without which a guarantee would not hold.
    #[error("the stream {stream} has {setting} {found}, and the log needs {wanted}; {advice}")]
    Setting { stream: String, setting: &'static str, wanted: String, found: String, advice: String },
    /// What is acknowledged may be lost with a machine.
    #[error(
        "{reason}, so acknowledged entries may be lost when a machine goes down. Set sync_interval: always in the jetstream \
         block of the servers' configuration{advice}, or open the log with --allow-lossy"
    )]
    Lossy { reason: String, advice: &'static str },
    /// Somebody copies into it, or has begun to.
    #[error(
        "the stream {stream} holds a part of a log that is being copied into it; run `courant migrate` with that log again until it \
         is done, or delete the stream"
    )]
    Unfinished { stream: String },
    /// There is something in it, and copying would mix two logs.
    #[error(
        "the stream {stream} is not empty ({messages} messages); choose another name for the stream with --log-stream, or delete it"
    )]
    NotEmpty { stream: String, messages: u64 },
    /// There is nothing left to do.
    #[error("this log has been copied into the stream {stream} before; start servers on it")]
    CopiedBefore { stream: String },
    /// The stream ends before a revision that this server has seen.
    #[error(
        "the stream {stream} ends at revision {have}, but it once reached {expected}: entries are missing, or a backup was put \
         back. If it was, run `courant begin-epoch` once, so that clients resync, or start with --accept-log-loss"
    )]
    Truncated { stream: String, have: Revision, expected: Revision },
    /// The file that records how far the stream reached cannot be used.
    #[error("{path} cannot be used: {source}; check that the data folder is writable")]
    Reached { path: PathBuf, source: std::io::Error },
    /// Entries of the stream cannot be read.
    #[error("the stream {stream} cannot be read: {reason}; check the cluster, or put back a backup")]
    Load { stream: String, reason: String },
}

impl OpenError {
    /// Whether it may open later with nothing changed here: NATS is being started, or has no leader just now.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::JetStream { .. } | Self::Load { .. })
    }
}
