//! Configuration: every limit of the service has its name, default and range here. Checked once, then fixed.

mod audit;
mod fairness;
mod presence;
mod push;
mod retention;
mod shares;
mod webhooks;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use courant_engine::quota;
use courant_engine::retry::RetryWaits;
use courant_joblog::log::MAX_BLOB_BYTES;

pub use self::audit::AuditConfig;
pub use self::fairness::Fairness;
pub use self::presence::PresenceConfig;
pub use self::push::{PushConfig, PushService};
pub use self::retention::Retention;
pub use self::shares::ShareLimits;
pub use self::webhooks::WebhookConfig;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The least memory for documents under way: of a remote store one takes up to 16 MiB.
const UPLOAD_MEMORY: u32 = 64 << 20;
/// What S3 copies at once, which is how a document gets to its place.
const S3_COPY_BYTES: u64 = 5 << 30;
/// What one piece of an upload may have.
const PIECE_BYTES: std::ops::RangeInclusive<usize> = 64 << 10..=64 << 20;

/// What the service needs to know. Also a group of flags: each has an environment variable `COURANT_…`.
#[derive(Args, Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Folder of the log and, unless --objects says otherwise, of documents and results
    #[arg(
        help_heading = "Storage",
        long,
        env = "COURANT_DATA_DIR",
        default_value = "courant-data",
        value_name = "DIR"
    )]
    pub data_dir: PathBuf,

    /// Where documents and results live: a URL (s3://…, gs://…, az://…, file:///…); default: DATA_DIR/objects
    #[arg(help_heading = "Storage", long, env = "COURANT_OBJECTS", value_name = "URL")]
    pub objects: Option<String>,

    /// File with the credentials of S3, as AWS' programs share it: aws_access_key_id and aws_secret_access_key below
    /// [default]. It is read again while the server runs; default: AWS_SHARED_CREDENTIALS_FILE, and the other variables of AWS
    #[arg(
        help_heading = "Storage",
        long,
        env = "COURANT_OBJECTS_CREDENTIALS_FILE",
        value_name = "FILE",
        requires = "objects"
    )]
    pub objects_credentials_file: Option<PathBuf>,

    /// File with the key that passwords of documents are sealed with, mode 0600, the same for all servers of one log;
    /// default: DATA_DIR/password.key, made on first start
    #[arg(help_heading = "Sign-in", long, env = "COURANT_PASSWORD_KEY_FILE", value_name = "FILE")]
    pub password_key_file: Option<PathBuf>,

    /// Largest document in bytes
    #[arg(help_heading = "Documents", long, env = "COURANT_MAX_DOCUMENT_BYTES", default_value_t = 512 << 20, value_name = "BYTES")]
    pub max_document_bytes: u64,

    /// Documents over this many bytes go to the large lane by themselves
    #[arg(help_heading = "Documents", long, env = "COURANT_LARGE_DOCUMENT_BYTES", default_value_t = 32 << 20, value_name = "BYTES")]
    pub large_document_bytes: u64,

    /// Documents over this many pages go to the large lane, once their pages are known
    #[arg(
        help_heading = "Documents",
        long,
        env = "COURANT_LARGE_DOCUMENT_PAGES",
        default_value_t = 500,
        value_name = "N"
    )]
    pub large_document_pages: u32,

    /// Largest page result or export in bytes
    #[arg(help_heading = "Documents", long, env = "COURANT_MAX_ARTIFACT_BYTES", default_value_t = 256 << 20, value_name = "BYTES")]
    pub max_artifact_bytes: u64,

    /// Documents, page results and exports up to this many bytes are kept in the log, where they are durable sooner; larger
    /// ones in the object store (0 to 262144)
    #[arg(help_heading = "Log and files", long, env = "COURANT_SMALL_FILE_BYTES", default_value_t = 64 << 10, value_name = "BYTES")]
    pub small_file_bytes: usize,

    /// Attempts in a row without a finished page after which a job fails (1 to 100)
    #[arg(help_heading = "Jobs and leases", long, env = "COURANT_MAX_ATTEMPTS", default_value_t = 3, value_name = "N")]
    pub max_attempts: u32,

    /// What this server is called among others on the same log; default: the host's name
    #[arg(help_heading = "Start and stop", long, env = "COURANT_SERVER_NAME", value_name = "NAME")]
    pub server_name: Option<String>,

    /// How long a job stays with a worker that is silent
    #[arg(help_heading = "Jobs and leases", long, env = "COURANT_LEASE", default_value = "30s", value_parser = humantime::parse_duration)]
    pub lease: Duration,

    /// How long a worker may take to accept an assignment
    #[arg(help_heading = "Jobs and leases", long, env = "COURANT_ACCEPT_WITHIN", default_value = "5s", value_parser = humantime::parse_duration)]
    pub accept_within: Duration,

    /// How long a worker may take to stop a cancelled job before the job is cancelled without it
    #[arg(help_heading = "Jobs and leases", long, env = "COURANT_CANCEL_GRACE", default_value = "10s", value_parser = humantime::parse_duration)]
    pub cancel_grace: Duration,

    /// Longest first wait before a retry; doubles with each attempt, with full jitter
    #[arg(help_heading = "Jobs and leases", long, env = "COURANT_RETRY_BASE", default_value = "1s", value_parser = humantime::parse_duration)]
    pub retry_base: Duration,

    /// Longest wait before a retry
    #[arg(help_heading = "Jobs and leases", long, env = "COURANT_RETRY_MAX", default_value = "60s", value_parser = humantime::parse_duration)]
    pub retry_max: Duration,

    /// Silence on a watch after which a bookmark is sent
    #[arg(help_heading = "Watches", long, env = "COURANT_BOOKMARK_INTERVAL", default_value = "25s", value_parser = humantime::parse_duration)]
    pub bookmark_interval: Duration,

    /// Events a slow watcher may have waiting in memory before it is served from the log instead
    #[arg(help_heading = "Watches", long, env = "COURANT_WATCH_BUFFER", default_value_t = 1024, value_name = "N")]
    pub watch_buffer: usize,

    /// The longest that a call of ConvertDocument may wait for the end of its job (1s to 1h)
    #[arg(help_heading = "Watches", long, env = "COURANT_MAX_CONVERSION_WAIT", default_value = "10m", value_parser = humantime::parse_duration)]
    pub max_conversion_wait: Duration,

    /// How long a stopping server waits for its workers to hand back their jobs
    #[arg(help_heading = "Start and stop", long, env = "COURANT_DRAIN_GRACE", default_value = "5s", value_parser = humantime::parse_duration)]
    pub drain_grace: Duration,

    /// Calls and streams one connection may have open at once
    #[arg(help_heading = "Limits", long, env = "COURANT_MAX_STREAMS", default_value_t = 4096, value_name = "N")]
    pub max_streams: u32,

    /// Watches, downloads, uploads and streams of workers that one user may have open at once (1 to 1000000)
    #[arg(help_heading = "Limits", long, env = "COURANT_STREAMS_PER_USER", default_value_t = 2_000, value_name = "N")]
    pub streams_per_user: u32,

    /// Streams that all users together may have open at once; those of bridges are not counted (1 to 10000000)
    #[arg(help_heading = "Limits", long, env = "COURANT_MAX_USER_STREAMS", default_value_t = 20_000, value_name = "N")]
    pub max_user_streams: u32,

    /// Bytes of memory for documents that are arriving, of all users; who comes when they are used up waits (at least
    /// 64 MiB)
    #[arg(help_heading = "Uploads", long, env = "COURANT_UPLOAD_MEMORY", default_value_t = 512 << 20, value_name = "BYTES")]
    pub upload_memory: u32,

    /// The same for the documents of one user
    #[arg(help_heading = "Uploads", long, env = "COURANT_UPLOAD_MEMORY_PER_USER", default_value_t = 128 << 20, value_name = "BYTES")]
    pub upload_memory_per_user: u32,

    /// How long the sender of a document may pause before the upload is ended (at least 100ms)
    #[arg(help_heading = "Uploads", long, env = "COURANT_UPLOAD_IDLE", default_value = "30s", value_parser = humantime::parse_duration)]
    pub upload_idle: Duration,

    /// Bytes per second that a document must arrive with on average, after the first minute; 0 for any
    #[arg(
        help_heading = "Uploads",
        long,
        env = "COURANT_UPLOAD_MIN_RATE",
        default_value_t = 4096,
        value_name = "BYTES"
    )]
    pub upload_min_rate: u64,

    /// How long a finished job is kept, with its document, results and events: a time like 7d, or `forever` (also 0)
    #[arg(help_heading = "Storage", long, env = "COURANT_RETENTION", default_value = "7d", value_name = "TIME")]
    pub retention: Retention,

    /// Jobs of one owner that may wait at once; 0 for any number
    #[arg(help_heading = "Quotas", long, env = "COURANT_QUOTA_WAITING", default_value_t = 10_000, value_name = "N")]
    pub quota_waiting: u64,

    /// Bytes of documents one owner may submit within any 24 hours; 0 for any number
    #[arg(help_heading = "Quotas", long, env = "COURANT_QUOTA_BYTES_PER_DAY", default_value_t = 256 << 30, value_name = "BYTES")]
    pub quota_bytes_per_day: u64,

    /// Jobs one owner may submit within any 60 seconds; 0 for any number
    #[arg(
        help_heading = "Quotas",
        long,
        env = "COURANT_QUOTA_SUBMITS_PER_MINUTE",
        default_value_t = 6_000,
        value_name = "N"
    )]
    pub quota_submits_per_minute: u64,

    /// Unfinished uploads of one owner at once (1 to 10000)
    #[arg(help_heading = "Uploads", long, env = "COURANT_UPLOADS_PER_USER", default_value_t = 100, value_name = "N")]
    pub uploads_per_user: usize,

    /// Bytes that the unfinished uploads of one owner may come to, by the sizes they were begun with; 0 for any number
    #[arg(help_heading = "Uploads", long, env = "COURANT_UPLOAD_BYTES_PER_USER", default_value_t = 8 << 30, value_name = "BYTES")]
    pub upload_bytes_per_user: u64,

    /// How long an unfinished upload is kept after its last piece came (1m to 30d)
    #[arg(help_heading = "Uploads", long, env = "COURANT_UPLOAD_RETENTION", default_value = "24h", value_parser = humantime::parse_duration)]
    pub upload_retention: Duration,

    /// Bytes of an upload that are stored as one piece; so many are in memory for each upload (65536 to 67108864)
    #[arg(help_heading = "Uploads", long, env = "COURANT_UPLOAD_PIECE_BYTES", default_value_t = 4 << 20, value_name = "BYTES")]
    pub upload_piece_bytes: usize,

    /// Pieces of one upload; an upload in smaller pieces than that needs is refused (1 to 100000)
    #[arg(help_heading = "Uploads", long, env = "COURANT_UPLOAD_PIECES", default_value_t = 10_000, value_name = "N")]
    pub upload_pieces: usize,

    /// Waiting jobs of one watch over many jobs whose positions are sent as they change, those that are next (0 to 10000)
    #[arg(
        help_heading = "Watches",
        long,
        alias = "watch-places",
        env = "COURANT_WATCH_POSITIONS",
        default_value_t = 1000,
        value_name = "N"
    )]
    pub watch_positions: usize,

    /// How long a notification is kept, read or not
    #[arg(
        help_heading = "Notifications",
        long,
        alias = "notice-retention",
        env = "COURANT_NOTIFICATION_RETENTION",
        default_value = "30d",
        value_parser = humantime::parse_duration
    )]
    pub notification_retention: Duration,

    /// Notifications kept of one user; over it the oldest go (1 to 10000)
    #[arg(
        help_heading = "Notifications",
        long,
        alias = "notices-per-user",
        env = "COURANT_NOTIFICATIONS_PER_USER",
        default_value_t = 500,
        value_name = "N"
    )]
    pub notifications_per_user: usize,

    /// Who is served how often
    #[command(flatten)]
    pub fairness: Fairness,

    /// What users share
    #[command(flatten)]
    pub shares: ShareLimits,

    /// Space on the disk of the log in bytes that is kept so that jobs can be cancelled and end when it is full (0: none)
    #[arg(help_heading = "Log and files", long, env = "COURANT_LOG_RESERVE", default_value_t = 4 << 20, value_name = "BYTES")]
    pub log_reserve: u64,

    /// Connections to the gRPC port
    #[command(flatten)]
    pub connections: courant_tls::ConnectionLimits,

    /// Web Push: notifications for browsers in which no page is open
    #[command(flatten)]
    pub push: PushConfig,

    /// What is sent to URLs of users
    #[command(flatten)]
    pub webhooks: WebhookConfig,

    /// Who is connected
    #[command(flatten)]
    pub presence: PresenceConfig,

    /// Who did what
    #[command(flatten)]
    pub audit: AuditConfig,

    /// Open a log that has lost its end, and report a gap to every watcher
    #[arg(help_heading = "Log and files", long, env = "COURANT_ACCEPT_LOG_LOSS")]
    pub accept_log_loss: bool,
}

/// A value that cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{flag} {problem}")]
pub struct ConfigError {
    pub flag: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Config {
    /// The defaults, on this folder.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            objects: None,
            objects_credentials_file: None,
            password_key_file: None,
            max_document_bytes: 512 << 20,
            large_document_bytes: 32 << 20,
            large_document_pages: 500,
            max_artifact_bytes: 256 << 20,
            small_file_bytes: 64 << 10,
            max_attempts: 3,
            server_name: None,
            lease: Duration::from_secs(30),
            accept_within: Duration::from_secs(5),
            cancel_grace: Duration::from_secs(10),
            retry_base: Duration::from_secs(1),
            retry_max: Duration::from_secs(60),
            bookmark_interval: Duration::from_secs(25),
            watch_buffer: 1024,
            max_conversion_wait: Duration::from_secs(600),
            drain_grace: Duration::from_secs(5),
            max_streams: 4096,
            streams_per_user: 2_000,
            max_user_streams: 20_000,
            upload_memory: 512 << 20,
            upload_memory_per_user: 128 << 20,
            upload_idle: Duration::from_secs(30),
            upload_min_rate: 4096,
            retention: Retention::default(),
            quota_waiting: 10_000,
            quota_bytes_per_day: 256 << 30,
            quota_submits_per_minute: 6_000,
            uploads_per_user: 100,
            upload_bytes_per_user: 8 << 30,
            upload_retention: Duration::from_secs(24 * 3600),
            upload_piece_bytes: 4 << 20,
            upload_pieces: 10_000,
            fairness: Fairness::default(),
            watch_positions: 1000,
            notification_retention: Duration::from_secs(30 * 24 * 3600),
            notifications_per_user: 500,
            shares: ShareLimits::default(),
            log_reserve: 4 << 20,
            connections: courant_tls::ConnectionLimits::default(),
            push: PushConfig::default(),
            webhooks: WebhookConfig::default(),
            presence: PresenceConfig::default(),
            audit: AuditConfig::default(),
            accept_log_loss: false,
        }
    }

    /// What this server is called among others.
    pub fn name(&self) -> String {
        let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.server_name.clone().unwrap_or_else(host)
    }

    /// How often a worker must send something: three signs of life fit into a lease.
    pub fn heartbeat_interval(&self) -> Duration {
        self.lease / 3
    }

    /// What of it the engine keeps to.
    pub fn engine(&self) -> courant_engine::Config {
        courant_engine::Config {
            weights: self.fairness.lane_weights(),
            owner_weights: self.fairness.owner_weights(),
            owner_share: self.fairness.owner_share,
            owner_running: self.fairness.owner_running,
            kind_running: self.fairness.kind_running(),
            watch_buffer: self.watch_buffer,
            bookmark_interval: self.bookmark_interval,
        }
    }

    /// What one owner may submit and have waiting.
    pub fn quotas(&self) -> quota::Limits {
        quota::Limits {
            waiting: self.quota_waiting,
            bytes_per_day: self.quota_bytes_per_day,
            submits_per_minute: self.quota_submits_per_minute,
        }
    }

    pub fn retry_waits(&self) -> RetryWaits {
        RetryWaits { base: self.retry_base, longest: self.retry_max }
    }

    fn is_too_large_for_s3(&self) -> bool {
        let is_s3 = self.objects.as_deref().is_some_and(|url| url.starts_with("s3"));
        is_s3 && self.max_document_bytes > S3_COPY_BYTES
    }

    /// Refuses values that cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        let devices = self.presence.presence_devices_per_user;
        let users = self.presence.presence_users_per_bridge;
        let rules = [
            ("--presence-devices-per-user", !(1..=1000).contains(&devices), "must be 1 to 1000"),
            ("--presence-users-per-bridge", !(1..=10_000_000).contains(&users), "must be 1 to 10000000"),
            ("--max-document-bytes", self.max_document_bytes == 0, "must be at least 1"),
            (
                "--max-document-bytes",
                self.is_too_large_for_s3(),
                "must be at most 5368709120 with s3://, which copies no more",
            ),
            ("--large-document-pages", self.large_document_pages == 0, "must be at least 1"),
            ("--max-artifact-bytes", self.max_artifact_bytes == 0, "must be at least 1"),
            ("--small-file-bytes", self.small_file_bytes > MAX_BLOB_BYTES, "must be 0 to 262144"),
            ("--max-attempts", !(1..=100).contains(&self.max_attempts), "must be 1 to 100"),
            ("--lease", self.lease < Duration::from_millis(300), "must be at least 300ms"),
            ("--accept-within", self.accept_within.is_zero(), "must be longer than 0s"),
            ("--retry-max", self.retry_max < self.retry_base, "must not be shorter than --retry-base"),
            (
                "--max-conversion-wait",
                !(Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&self.max_conversion_wait),
                "must be 1s to 1h",
            ),
            ("--bookmark-interval", self.bookmark_interval < Duration::from_millis(100), "must be at least 100ms"),
            ("--watch-buffer", self.watch_buffer == 0, "must be at least 1"),
            ("--large-document-pages", self.large_document_pages == 0, "must be at least 1"),
            ("--streams-per-user", !(1..=1_000_000).contains(&self.streams_per_user), "must be 1 to 1000000"),
            ("--max-user-streams", !(1..=10_000_000).contains(&self.max_user_streams), "must be 1 to 10000000"),
            ("--upload-memory", self.upload_memory < UPLOAD_MEMORY, "must be at least 67108864"),
            ("--upload-memory-per-user", self.upload_memory_per_user < UPLOAD_MEMORY, "must be at least 67108864"),
            ("--upload-idle", self.upload_idle < Duration::from_millis(100), "must be at least 100ms"),
            ("--retention", self.retention.is_too_long(), "must be at most 36500d, or forever"),
            ("--log-reserve", self.log_reserve > 1 << 40, "must be at most 1099511627776"),
            ("--watch-positions", self.watch_positions > 10_000, "must be 0 to 10000"),
            ("--notifications-per-user", !(1..=10_000).contains(&self.notifications_per_user), "must be 1 to 10000"),
            ("--push-per-user", !(1..=1000).contains(&self.push.push_per_user), "must be 1 to 1000"),
            ("--push-at-once", !(1..=10_000).contains(&self.push.push_at_once), "must be 1 to 10000"),
            ("--push-per-host-at-once", !(1..=10_000).contains(&self.push.push_per_host_at_once), "must be 1 to 10000"),
            ("--push-per-user-at-once", !(1..=10_000).contains(&self.push.push_per_user_at_once), "must be 1 to 10000"),
            ("--uploads-per-user", !(1..=10_000).contains(&self.uploads_per_user), "must be 1 to 10000"),
            ("--upload-retention", !(MINUTE..=30 * DAY).contains(&self.upload_retention), "must be 1m to 30d"),
            ("--upload-piece-bytes", !PIECE_BYTES.contains(&self.upload_piece_bytes), "must be 65536 to 67108864"),
            ("--upload-pieces", !(1..=100_000).contains(&self.upload_pieces), "must be 1 to 100000"),
        ];
        let of_parts = (self.connections.problem())
            .or_else(|| self.shares.problem())
            .or_else(|| self.fairness.problem())
            .or_else(|| self.audit.problem())
            .or_else(|| self.webhooks.problem());
        if let Some((flag, problem)) = of_parts {
            return Err(ConfigError { flag, problem });
        }
        match rules.into_iter().find(|(_, broken, _)| *broken) {
            Some((flag, _, problem)) => Err(ConfigError { flag, problem }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        config: Config,
    }

    #[test]
    fn flags_and_code_have_the_same_defaults() {
        let flags = Flags::parse_from(["test", "--data-dir", "d"]).config;
        assert_eq!(format!("{flags:?}"), format!("{:?}", Config::new("d")));
        flags.check().unwrap();
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_flag() {
        let mut config = Config::new("d");
        config.max_attempts = 0;
        assert_eq!(config.check().unwrap_err().to_string(), "--max-attempts must be 1 to 100");
        let mut config = Config::new("d");
        config.fairness.large_weight = 0;
        assert_eq!(config.check().unwrap_err().to_string(), "--large-weight must be 1 to 1000");
        type Spoil = fn(&mut Config);
        let rules: [(&str, Spoil); 15] = [
            ("--audit-log-bytes", |config| config.audit.audit_log_bytes = 1),
            ("--audit-log-files", |config| config.audit.audit_log_files = 1),
            ("--audit-rate-per-user", |config| config.audit.audit_rate_per_user = 0),
            ("--max-document-bytes", |config| {
                (config.objects, config.max_document_bytes) = (Some("s3://bucket".into()), (5 << 30) + 1);
            }),
            ("--owner-share", |config| config.fairness.owner_share = 0.0),
            ("--owner-share", |config| config.fairness.owner_share = 1.01),
            ("--owner-share", |config| config.fairness.owner_share = f64::NAN),
            ("--lists-per-user", |config| config.shares.lists_per_user = 0),
            ("--max-worker-kinds", |config| config.shares.max_worker_kinds = 63),
            ("--push-per-host-at-once", |config| config.push.push_per_host_at_once = 0),
            ("--uploads-per-user", |config| config.uploads_per_user = 0),
            ("--upload-retention", |config| config.upload_retention = Duration::from_secs(59)),
            ("--upload-piece-bytes", |config| config.upload_piece_bytes = 1000),
            ("--upload-pieces", |config| config.upload_pieces = 0),
            ("--upload-retention", |config| config.upload_retention = 31 * DAY),
        ];
        for (flag, spoil) in rules {
            let mut config = Config::new("d");
            spoil(&mut config);
            assert_eq!(config.check().unwrap_err().flag, flag);
        }
    }
}
