//! An issuer of tokens besides ourselves: its keys, from a file or by URL, and what its tokens must say.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use clap::Args;
use jsonwebtoken::{Algorithm, DecodingKey};

use crate::keys::{Keys, KeysError};

/// A set that is larger is not read.
const MAX_SET_BYTES: usize = 1 << 20;
/// How long an issuer may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Between two fetches because a token names an unknown key: whoever makes such tokens up must not make us busy.
const NOT_SOONER: Duration = Duration::from_secs(30);

/// Whose tokens are accepted besides our own. Also a group of flags: each has an environment variable `COURANT_…`.
#[derive(Args, Clone, Debug, Default)]
pub struct Trust {
    /// Public keys of another issuer of tokens: a file (JSON Web Key Set, or a key in PEM form) or the https URL of a set
    #[arg(long, env = "COURANT_JWT_KEYS", value_name = "FILE|URL")]
    pub jwt_keys: Option<String>,

    /// What `iss` its tokens must have
    #[arg(long, env = "COURANT_JWT_ISSUER", value_name = "TEXT", requires = "jwt_keys")]
    pub jwt_issuer: Option<String>,

    /// What `aud` its tokens must have
    #[arg(long, env = "COURANT_JWT_AUDIENCE", value_name = "TEXT", requires = "jwt_keys")]
    pub jwt_audience: Option<String>,

    /// Where its tokens have the roles: names divided by dots (realm_access.roles)
    #[arg(long, env = "COURANT_JWT_ROLES", value_name = "CLAIM", default_value = "roles")]
    pub jwt_roles: String,

    /// How often keys are fetched anew from a URL; a token with an unknown key makes it sooner
    #[arg(long, env = "COURANT_JWT_REFRESH", value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pub jwt_refresh: Duration,
}

/// Why an issuer cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A token of this issuer meant for somebody else must not open our doors.
    #[error("--jwt-keys needs --jwt-issuer and --jwt-audience: what `iss` and `aud` its tokens must have")]
    Incomplete,
    /// The file cannot be read.
    #[error("--jwt-keys {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Anybody on the way could put keys of their own in.
    #[error("--jwt-keys {0}: keys are fetched by https only (plain http from this machine alone)")]
    Insecure(String),
    /// No keys.
    #[error("--jwt-keys {from}: {source}")]
    Keys {
        /// The file or URL.
        from: String,
        /// The cause.
        source: KeysError,
    },
    /// The URL does not answer as it should.
    #[error("--jwt-keys {url}: {reason}")]
    Fetch {
        /// The URL.
        url: String,
        /// The cause.
        reason: String,
    },
    /// Less would be an attack.
    #[error("--jwt-refresh must be at least 10s")]
    Refresh,
}

/// Another issuer, ready to judge by.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// What `iss` must be.
    pub(crate) name: String,
    /// What `aud` must be.
    pub(crate) audience: String,
    /// Where the roles are.
    pub(crate) roles: String,
    keys: Arc<Source>,
}

#[derive(Debug)]
struct Source {
    keys: RwLock<Keys>,
    fetch: Option<Fetch>,
}

#[derive(Debug)]
struct Fetch {
    url: reqwest::Url,
    client: reqwest::Client,
    wanted: tokio::sync::Notify,
    asked: Mutex<Option<Instant>>,
}

/// Whether a key is there.
pub(crate) enum Found {
    /// This one.
    Key(Box<DecodingKey>),
    /// No, but the keys are being fetched anew: ask again.
    Soon,
    /// No.
    No,
}

impl Trust {
    /// Reads or fetches the keys; fetches them anew from time to time as long as the issuer is used. None when no other
    /// issuer is trusted.
    pub async fn load(&self) -> Result<Option<Issuer>, TrustError> {
        let Some(from) = &self.jwt_keys else { return Ok(None) };
        let (Some(name), Some(audience)) = (self.jwt_issuer.clone(), self.jwt_audience.clone()) else {
            return Err(TrustError::Incomplete);
        };
        if self.jwt_refresh < Duration::from_secs(10) {
            return Err(TrustError::Refresh);
        }
        let source = if from.contains("://") { self.by_url(from).await? } else { file(from)? };
        Ok(Some(Issuer { name, audience, roles: self.jwt_roles.clone(), keys: source }))
    }

    async fn by_url(&self, from: &str) -> Result<Arc<Source>, TrustError> {
        let fetch = Fetch::new(from)?;
        let keys = fetch.fetch().await?;
        tracing::info!(url = %fetch.url, ?keys, "keys fetched");
        let source = Arc::new(Source { keys: RwLock::new(keys), fetch: Some(fetch) });
        tokio::spawn(keep_fresh(Arc::downgrade(&source), self.jwt_refresh));
        Ok(source)
    }
}

fn file(path: &str) -> Result<Arc<Source>, TrustError> {
    let text = std::fs::read_to_string(path).map_err(|source| TrustError::File { path: path.into(), source })?;
    let keys = Keys::parse(&text).map_err(|source| TrustError::Keys { from: path.to_owned(), source })?;
    Ok(Arc::new(Source { keys: RwLock::new(keys), fetch: None }))
}

impl Issuer {
    /// The key for a token's header.
    pub(crate) fn key(&self, id: Option<&str>, algorithm: Algorithm) -> Found {
        let keys = self.keys.keys.read().unwrap_or_else(PoisonError::into_inner);
        match keys.find(id, algorithm) {
            Some(key) => Found::Key(Box::new(key.clone())),
            None if id.is_some() && self.keys.fetch.as_ref().is_some_and(Fetch::hurry) => Found::Soon,
            None => Found::No,
        }
    }
}

impl Fetch {
    fn new(from: &str) -> Result<Self, TrustError> {
        let refuse = |reason: String| TrustError::Fetch { url: from.to_owned(), reason };
        let url: reqwest::Url = from.parse().map_err(|error| refuse(format!("{error}")))?;
        let local = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        if url.scheme() != "https" && !(url.scheme() == "http" && local) {
            return Err(TrustError::Insecure(from.to_owned()));
        }
        let client = reqwest::Client::builder().timeout(ANSWER_WITHIN).redirect(reqwest::redirect::Policy::none());
        let client = client.build().map_err(|error| refuse(error.to_string()))?;
        Ok(Self { url, client, wanted: tokio::sync::Notify::new(), asked: Mutex::new(None) })
    }

    /// Asks for a fetch out of turn; `true` when one is under way or was asked for.
    fn hurry(&self) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let may = asked.is_none_or(|at| at.elapsed() >= NOT_SOONER);
        if may {
            *asked = Some(Instant::now());
            self.wanted.notify_one();
        }
        may
    }

    async fn fetch(&self) -> Result<Keys, TrustError> {
        let refuse = |reason: String| TrustError::Fetch { url: self.url.to_string(), reason };
        let answer = self.client.get(self.url.clone()).send().await.and_then(reqwest::Response::error_for_status);
        let mut answer = answer.map_err(|error| refuse(error.without_url().to_string()))?;
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| refuse(error.without_url().to_string()))? {
            if bytes.len() + piece.len() > MAX_SET_BYTES {
                return Err(refuse(format!("the answer has more than {MAX_SET_BYTES} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
        let text = String::from_utf8(bytes).map_err(|_| refuse("the answer is not UTF-8".into()))?;
        Keys::parse(&text).map_err(|source| TrustError::Keys { from: self.url.to_string(), source })
    }
}

/// Fetches for as long as somebody uses the keys. A fetch that fails leaves the old ones in use.
async fn keep_fresh(source: std::sync::Weak<Source>, every: Duration) {
    loop {
        {
            let Some(source) = source.upgrade() else { return };
            let Some(fetch) = &source.fetch else { return };
            // Woken now and then to see whether anybody is left.
            let _ = tokio::time::timeout(every, fetch.wanted.notified()).await;
            match fetch.fetch().await {
                Ok(keys) => *source.keys.write().unwrap_or_else(PoisonError::into_inner) = keys,
                Err(error) => tracing::warn!(%error, "the keys could not be fetched anew; the old ones stay"),
            }
        }
        tokio::task::yield_now().await;
    }
}
