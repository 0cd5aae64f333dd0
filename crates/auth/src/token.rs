//! What a token says, and making our own.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};

use crate::Secret;

/// `iss` of tokens we make, and the only one we accept.
pub const ISSUER: &str = "courant";
/// `aud` of tokens we make, and the only one we accept.
pub const AUDIENCE: &str = "courant";
/// Longer tokens are refused unread.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// Longer subjects are refused.
pub const MAX_SUBJECT_BYTES: usize = 255;
/// How far clocks may differ, at both ends of a token's life.
pub const LEEWAY: Duration = Duration::from_secs(5);

/// What a token allows beyond one's own jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees and changes everything.
    Admin,
    Service,
    /// Takes jobs and reports on them.
    Worker,
    /// Watches everything, changes nothing: for the web server.
    Bridge,
}

/// Who a valid token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub subject: String,
    /// What is allowed beyond one's own jobs. Roles unknown to this version are left out.
    pub roles: BTreeSet<Role>,
    /// When the token runs out: `exp`.
    pub expires: SystemTime,
}

impl Identity {
    /// Whether the token carries the role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Until when the token is accepted, with what clocks may differ. Streams that were opened with it go on as long.
    pub fn accepted_until(&self) -> SystemTime {
        self.expires + LEEWAY
    }

    /// Whether this identity may see everybody's jobs.
    pub fn sees_all(&self) -> bool {
        self.has(Role::Admin) || self.has(Role::Bridge)
    }
}

/// Why a token is refused. Says nothing that helps to forge one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token of ours.
    #[error("the token is not valid here; get a new one")]
    Invalid,
    /// It was valid once.
    #[error("the token has expired; get a new one")]
    Expired,
    /// Its issuer has a key that is not known yet, or its keys could not be fetched so far.
    #[error("the keys of the token's issuer are being fetched; try again")]
    KeysStale,
}

/// Why no token could be made.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The subject is empty or too long.
    #[error("a subject has 1 to {MAX_SUBJECT_BYTES} bytes, not {bytes}")]
    Subject { bytes: usize },
    #[error("cannot sign: {0}")]
    Library(#[from] jsonwebtoken::errors::Error),
}

#[derive(Serialize)]
struct SignedClaims<'a> {
    sub: &'a str,
    roles: &'a [Role],
    iss: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

#[derive(Clone)]
pub struct Signer(EncodingKey);

impl Signer {
    /// With a shared secret.
    pub fn hs256(secret: &Secret) -> Self {
        Self(EncodingKey::from_secret(secret.bytes()))
    }

    /// A token for `subject` that lives for `ttl`.
    pub fn sign(&self, subject: &str, roles: &[Role], ttl: Duration) -> Result<String, SignError> {
        if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES {
            return Err(SignError::Subject { bytes: subject.len() });
        }
        let iat = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let exp = iat.saturating_add(ttl.as_secs());
        let claims = SignedClaims { sub: subject, roles, iss: ISSUER, aud: AUDIENCE, iat, exp };
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.0)?)
    }
}

/// Not the name of a role.
#[derive(Debug, thiserror::Error)]
#[error("not a role; the roles are admin, service, worker and bridge")]
pub struct UnknownRole;

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        match name {
            "admin" => Ok(Self::Admin),
            "service" => Ok(Self::Service),
            "worker" => Ok(Self::Worker),
            "bridge" => Ok(Self::Bridge),
            _ => Err(UnknownRole),
        }
    }
}
