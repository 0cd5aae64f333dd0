//! The log on NATS JetStream instead of in the data folder: the flags, and how it is opened.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use courant_natslog::{Login, NatsLog, OpenError, Options, Tls};

use crate::config::Config;

/// The pause before servers that do not answer are tried again.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// In the data folder: how far the log on NATS once reached.
const REACHED: &str = "log.reached";

/// Where the log is, when it is not in the data folder.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Log on NATS")]
pub struct NatsFlags {
    /// NATS servers whose JetStream keeps the log, instead of the data folder: nats://HOST:PORT, or tls://HOST:PORT to
    /// demand TLS. One of a cluster will do; the others are learnt from it
    #[arg(
        long,
        env = "COURANT_LOG_URL",
        value_name = "URL,…",
        value_delimiter = ',',
        value_parser = server_url,
        requires_all = ["objects", "password_key_file"],
    )]
    log: Vec<String>,

    #[command(flatten)]
    settings: NatsSettings,
}

/// How NATS is reached, and which stream the log is.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Log on NATS")]
pub struct NatsSettings {
    /// Name of the stream, and the first token of its subjects; several Courants on one NATS account need different ones
    #[arg(long, env = "COURANT_LOG_STREAM", value_name = "NAME", default_value = "courant")]
    log_stream: String,

    /// On how many NATS servers each entry is kept: 1, 3 or 5
    #[arg(long, env = "COURANT_LOG_REPLICAS", value_name = "N", default_value_t = 3)]
    log_replicas: usize,

    /// Bytes the stream may have, when it is made; beyond them nothing can be submitted. Default: what the disks have
    #[arg(long, env = "COURANT_LOG_MAX_BYTES", value_name = "BYTES")]
    log_max_bytes: Option<u64>,

    /// File with NATS credentials (.creds)
    #[arg(long, env = "COURANT_LOG_CREDENTIALS_FILE", value_name = "FILE", conflicts_with_all = ["log_user", "log_token_file"])]
    log_credentials_file: Option<PathBuf>,

    /// The NATS user, for servers that ask for a password
    #[arg(long, env = "COURANT_LOG_USER", value_name = "NAME", requires = "log_password_file")]
    log_user: Option<String>,

    /// File with the password of the NATS user
    #[arg(long, env = "COURANT_LOG_PASSWORD_FILE", value_name = "FILE", requires = "log_user")]
    log_password_file: Option<PathBuf>,

    /// File with a NATS token
    #[arg(long, env = "COURANT_LOG_TOKEN_FILE", value_name = "FILE", conflicts_with = "log_user")]
    log_token_file: Option<PathBuf>,

    /// File with NATS credentials (.creds) of a user of the system account, who may ask the servers whether they sync each
    /// write. Without it a single NATS server is refused, and a cluster is taken at its word
    #[arg(long, env = "COURANT_LOG_SYSTEM_CREDENTIALS_FILE", value_name = "FILE", conflicts_with = "log_system_user")]
    log_system_credentials_file: Option<PathBuf>,

    /// The same, for servers that ask for a password
    #[arg(long, env = "COURANT_LOG_SYSTEM_USER", value_name = "NAME", requires = "log_system_password_file")]
    log_system_user: Option<String>,

    /// File with the password of that user
    #[arg(long, env = "COURANT_LOG_SYSTEM_PASSWORD_FILE", value_name = "FILE", requires = "log_system_user")]
    log_system_password_file: Option<PathBuf>,

    /// Certificates of the authorities that NATS servers are trusted by, in PEM; default: the system's
    #[arg(long, env = "COURANT_LOG_TLS_CA", value_name = "FILE")]
    log_tls_ca: Option<PathBuf>,

    /// Certificate to show to NATS servers that ask for one, in PEM
    #[arg(long, env = "COURANT_LOG_TLS_CERT", value_name = "FILE", requires = "log_tls_key")]
    log_tls_cert: Option<PathBuf>,

    /// Private key of that certificate, in PEM
    #[arg(long, env = "COURANT_LOG_TLS_KEY", value_name = "FILE", requires = "log_tls_cert")]
    log_tls_key: Option<PathBuf>,

    /// Open the log also where NATS may lose what it acknowledged when a machine goes down. For trials
    #[arg(long, env = "COURANT_ALLOW_LOSSY")]
    allow_lossy: bool,
}

/// Why the log on NATS cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// A file with a secret cannot be used.
    #[error("{flag} {path}: {reason}")]
    Secret { flag: &'static str, path: PathBuf, reason: String },
    #[error("the log on NATS cannot be opened")]
    Open(#[from] OpenError),
}

impl NatsFlags {
    /// Whether the log is on NATS at all.
    pub fn is_set(&self) -> bool {
        !self.log.is_empty()
    }

    /// The chain to show to NATS servers, if there is one.
    pub fn certificate(&self) -> Option<&Path> {
        self.settings.log_tls_cert.as_deref().filter(|_| self.is_set())
    }

    /// Reads the files with secrets, and gives the other files that are named, each with its flag. Nothing where the log is not on
    /// NATS.
    pub fn check(&self) -> Result<Vec<(&'static str, PathBuf)>, NatsError> {
        if !self.is_set() {
            return Ok(Vec::new());
        }
        self.settings.options(&self.log)?;
        Ok(self.settings.files())
    }

    /// Opens the log, and tries as long as it takes while NATS is not there or has no leader. Dropping the future ends
    /// that.
    pub async fn open(&self, config: &Config) -> Result<NatsLog, NatsError> {
        let options = Options {
            reserve_bytes: config.log_reserve,
            reached: Some(config.data_dir.join(REACHED)),
            accept_loss: config.accept_log_loss,
            ..self.settings.options(&self.log)?
        };
        loop {
            match NatsLog::open(options.clone()).await {
                Err(error) if error.may_pass() => tracing::warn!(%error, "waiting for NATS"),
                opened => return Ok(opened?),
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }
}

impl NatsSettings {
    /// Begins an epoch at the end of a stream that was put back from a backup, see [`NatsLog::begin_epoch`].
    pub async fn begin_epoch(&self, servers: &[String]) -> Result<(), NatsError> {
        Ok(NatsLog::begin_epoch(&self.options(servers)?).await?)
    }

    /// The stream that the log is.
    pub fn stream(&self) -> &str {
        &self.log_stream
    }

    /// How to open the log on these servers.
    pub fn options(&self, servers: &[String]) -> Result<Options, NatsError> {
        Ok(Options {
            stream: self.log_stream.clone(),
            replicas: self.log_replicas,
            max_bytes: self.log_max_bytes,
            login: self.login()?,
            system_login: self.system_login()?,
            tls: Tls {
                required: false,
                ca: self.log_tls_ca.clone(),
                client: self.log_tls_cert.clone().zip(self.log_tls_key.clone()),
            },
            allow_lossy: self.allow_lossy,
            ..Options::new(servers.iter().cloned())
        })
    }

    /// Files that the client of NATS reads.
    fn files(&self) -> Vec<(&'static str, PathBuf)> {
        let named = [
            ("--log-credentials-file", &self.log_credentials_file),
            ("--log-system-credentials-file", &self.log_system_credentials_file),
            ("--log-tls-ca", &self.log_tls_ca),
            ("--log-tls-cert", &self.log_tls_cert),
            ("--log-tls-key", &self.log_tls_key),
        ];
        named.into_iter().filter_map(|(flag, file)| Some((flag, file.clone()?))).collect()
    }

    fn login(&self) -> Result<Login, NatsError> {
        if let Some(path) = &self.log_credentials_file {
            return Ok(Login::Credentials(path.clone()));
        }
        if let Some(path) = &self.log_token_file {
            return Ok(Login::Token(secret("--log-token-file", path)?));
        }
        let password = password(&self.log_user, "--log-password-file", &self.log_password_file)?;
        Ok(password.unwrap_or_default())
    }

    fn system_login(&self) -> Result<Option<Login>, NatsError> {
        match &self.log_system_credentials_file {
            Some(path) => Ok(Some(Login::Credentials(path.clone()))),
            None => password(&self.log_system_user, "--log-system-password-file", &self.log_system_password_file),
        }
    }
}

fn password(user: &Option<String>, flag: &'static str, file: &Option<PathBuf>) -> Result<Option<Login>, NatsError> {
    let (Some(user), Some(file)) = (user, file) else { return Ok(None) };
    Ok(Some(Login::Password { user: user.clone(), password: secret(flag, file)? }))
}

/// What is in a file of one line, with or without the line end that editors and secret stores write.
fn secret(flag: &'static str, path: &Path) -> Result<String, NatsError> {
    let failed = |reason: String| NatsError::Secret { flag, path: path.to_owned(), reason };
    let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(failed("the file is empty".into())),
        secret if secret.contains('\n') => Err(failed("the file has more than one line".into())),
        secret => Ok(secret.to_owned()),
    }
}

/// Says so if this is not the URL of a NATS server.
pub fn server_url(text: &str) -> Result<String, String> {
    match text.split_once("://") {
        Some(("nats" | "tls", rest)) if !rest.is_empty() => Ok(text.to_owned()),
        _ => Err("it must begin with nats:// or tls://".to_owned()),
    }
}
