//! An issuer of tokens besides ourselves: its keys, from a file or by URL, and what its tokens must say.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey};

use crate::keyring::Keyring;
use crate::keys::KeysError;
use crate::source::Source;

/// `--jwt-refresh` and `--jwt-max-stale` are at least this.
const MIN_REFRESH: Duration = Duration::from_secs(10);
/// `--jwt-min-interval` is at least this.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Whose tokens are accepted besides our own. Also a group of flags: each has an environment variable `COURANT_…`.
#[cfg_attr(feature = "flags", derive(clap::Args), command(next_help_heading = "Sign-in"))]
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Public keys of another issuer of tokens: a file (JSON Web Key Set, or a key in PEM form) or the https URL of a set
    #[cfg_attr(feature = "flags", arg(long, env = "COURANT_JWT_KEYS", value_name = "FILE|URL"))]
    pub jwt_keys: Option<String>,

    /// What `iss` its tokens must have
    #[cfg_attr(feature = "flags", arg(long, env = "COURANT_JWT_ISSUER", value_name = "TEXT", requires = "jwt_keys"))]
    pub jwt_issuer: Option<String>,

    /// What `aud` its tokens must have
    #[cfg_attr(feature = "flags", arg(long, env = "COURANT_JWT_AUDIENCE", value_name = "TEXT", requires = "jwt_keys"))]
    pub jwt_audience: Option<String>,

    /// Where its tokens have the roles: names divided by dots (realm_access.roles)
    #[cfg_attr(feature = "flags", arg(long, env = "COURANT_JWT_ROLES", value_name = "CLAIM", default_value = "roles"))]
    pub jwt_roles: String,

    /// How often keys are read or fetched again; a token with an unknown key makes it sooner. Keys that are gone then are trusted no
    /// longer
    #[cfg_attr(feature = "flags", arg(long, env = "COURANT_JWT_REFRESH", value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration))]
    pub jwt_refresh: Duration,

    /// Shortest time between two fetches of keys. After a failed one it doubles, up to --jwt-refresh
    #[cfg_attr(feature = "flags", arg(long, env = "COURANT_JWT_MIN_INTERVAL", value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration))]
    pub jwt_min_interval: Duration,

    /// How long keys are trusted while they cannot be fetched again
    #[cfg_attr(feature = "flags", arg(long, env = "COURANT_JWT_MAX_STALE", value_name = "TIME", default_value = "24h", value_parser = humantime::parse_duration))]
    pub jwt_max_stale: Duration,
}

/// Why an issuer cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A token of this issuer meant for somebody else must not open our doors.
    #[error("--jwt-keys needs --jwt-issuer and --jwt-audience: what `iss` and `aud` its tokens must have")]
    Incomplete,
    /// The file cannot be read.
    #[error("--jwt-keys {path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    /// Anybody on the way could put keys of their own in.
    #[error("--jwt-keys {0}: keys are fetched by https only (plain http from this machine alone)")]
    Insecure(String),
    #[error("--jwt-keys {from}: {source}")]
    Keys {
        /// The file or URL.
        from: String,
        source: KeysError,
    },
    /// The URL does not answer as it should.
    #[error("--jwt-keys {url}: {reason}")]
    Fetch {
        /// The URL, without what may be secret in it.
        url: String,
        reason: String,
    },
    /// Less would be an attack.
    #[error("--jwt-refresh must be at least 10s")]
    Refresh,
    /// Less would be an attack.
    #[error("--jwt-min-interval must be at least 100ms and not longer than --jwt-refresh")]
    Interval,
    /// Keys would go between two fetches.
    #[error("--jwt-max-stale must not be shorter than --jwt-refresh")]
    Stale,
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
    keys: Keyring,
}

/// Whether a key is there.
pub(crate) enum KeyLookup {
    Key(Box<DecodingKey>),
    /// Not known yet: the keys are being fetched, or cannot be fetched. Ask again.
    Pending,
    /// A key of this id is there, for another algorithm.
    OtherAlgorithm,
    NotFound,
}

impl Trust {
    /// Begins to read or fetch the keys, and goes on as long as the issuer is used. A file must be there and have a key; a URL is
    /// not waited for: until it has answered, the issuer's tokens are answered by [`crate::TokenError::KeysStale`]. None when no
    /// other issuer is trusted.
    pub async fn load(&self) -> Result<Option<Issuer>, TrustError> {
        let Some(from) = &self.jwt_keys else { return Ok(None) };
        let (Some(name), Some(audience)) = (self.jwt_issuer.clone(), self.jwt_audience.clone()) else {
            return Err(TrustError::Incomplete);
        };
        self.check_times()?;
        let source = Source::new(from)?;
        let first = if source.is_local() { Some(source.read().await?.not_empty()?) } else { None };
        let keys = Keyring::keep(source, first, self.jwt_refresh, self.jwt_min_interval, self.jwt_max_stale);
        Ok(Some(Issuer { name, audience, roles: self.jwt_roles.clone(), keys }))
    }

    /// Whether [`Self::load`] would work, without keeping anything. A URL is not asked: it may be away at a start.
    pub fn check(&self) -> Result<(), TrustError> {
        let Some(from) = &self.jwt_keys else { return Ok(()) };
        if self.jwt_issuer.is_none() || self.jwt_audience.is_none() {
            return Err(TrustError::Incomplete);
        }
        self.check_times()?;
        Source::new(from)?.check()
    }

    fn check_times(&self) -> Result<(), TrustError> {
        if self.jwt_refresh < MIN_REFRESH {
            return Err(TrustError::Refresh);
        }
        if self.jwt_min_interval < MIN_INTERVAL || self.jwt_min_interval > self.jwt_refresh {
            return Err(TrustError::Interval);
        }
        if self.jwt_max_stale < self.jwt_refresh { Err(TrustError::Stale) } else { Ok(()) }
    }
}

impl Issuer {
    /// The key for a token's header.
    pub(crate) fn key(&self, id: Option<&str>, algorithm: Algorithm) -> KeyLookup {
        self.keys.find(id, algorithm)
    }

    /// Which set of keys counts now; none while they are stale.
    pub(crate) fn key_set(&self) -> Option<u64> {
        self.keys.key_set()
    }
}
