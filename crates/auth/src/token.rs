//! Signing and verifying. HS256 only: the algorithm is fixed by the verifier, never by the token (RFC 8725, section 3.1).

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
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
/// How far clocks may differ.
pub const LEEWAY: Duration = Duration::from_secs(5);

/// What a token allows beyond one's own jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees and changes everything.
    Admin,
    /// Submits for others.
    Service,
    /// Takes jobs and reports on them.
    Worker,
    /// Watches everything, changes nothing: for the browser edge.
    Bridge,
}

/// Who a valid token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user: `sub`.
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
}

/// Why no token could be made.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The subject is empty or too long.
    #[error("a subject has 1 to {MAX_SUBJECT_BYTES} bytes, not {bytes}")]
    Subject {
        /// Its length.
        bytes: usize,
    },
    /// The library failed.
    #[error("cannot sign: {0}")]
    Library(#[from] jsonwebtoken::errors::Error),
}

#[derive(Serialize)]
struct Made<'a> {
    sub: &'a str,
    roles: &'a [Role],
    iss: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

#[derive(Deserialize)]
struct Found {
    sub: String,
    exp: u64,
    #[serde(default)]
    roles: Vec<String>,
    role: Option<String>,
}

/// Makes tokens.
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
        let claims = Made { sub: subject, roles, iss: ISSUER, aud: AUDIENCE, iat, exp };
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.0)?)
    }
}

/// Judges tokens.
#[derive(Clone)]
pub struct Verifier {
    key: DecodingKey,
    rules: Validation,
}

impl Verifier {
    /// With a shared secret.
    pub fn hs256(secret: &Secret) -> Self {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["exp", "sub", "iss", "aud"]);
        rules.validate_nbf = true;
        rules.leeway = LEEWAY.as_secs();
        Self { key: DecodingKey::from_secret(secret.bytes()), rules }
    }

    /// Who the token speaks for.
    pub fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Invalid);
        }
        let found =
            jsonwebtoken::decode::<Found>(token, &self.key, &self.rules).map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => TokenError::Expired,
                _ => TokenError::Invalid,
            })?;
        let Found { sub, exp, roles, role } = found.claims;
        if sub.is_empty() || sub.len() > MAX_SUBJECT_BYTES {
            return Err(TokenError::Invalid);
        }
        let roles = roles.iter().chain(role.iter()).filter_map(|name| name.parse().ok()).collect();
        let expires = UNIX_EPOCH.checked_add(Duration::from_secs(exp)).ok_or(TokenError::Invalid)?;
        Ok(Identity { subject: sub, roles, expires })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret::new([7u8; 32]).unwrap()
    }

    fn forged(header: &Header, claims: &serde_json::Value) -> String {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret().bytes())).unwrap()
    }

    fn claims() -> serde_json::Value {
        serde_json::json!({"sub": "alice", "iss": ISSUER, "aud": AUDIENCE, "exp": 4_000_000_000u64})
    }

    #[test]
    fn what_we_sign_we_accept() {
        let token = Signer::hs256(&secret()).sign("alice", &[Role::Admin], Duration::from_secs(60)).unwrap();
        let identity = Verifier::hs256(&secret()).verify(&token).unwrap();
        assert_eq!(identity.subject, "alice");
        assert!(identity.has(Role::Admin) && identity.sees_all() && !identity.has(Role::Worker));
    }

    #[test]
    fn a_single_role_claim_and_unknown_roles_are_understood() {
        let mut claims = claims();
        claims["role"] = "worker".into();
        claims["roles"] = serde_json::json!(["astronaut", "service"]);
        let identity = Verifier::hs256(&secret()).verify(&forged(&Header::new(Algorithm::HS256), &claims)).unwrap();
        assert_eq!(identity.roles, BTreeSet::from([Role::Service, Role::Worker]));
    }

    #[test]
    fn everything_else_is_refused() {
        let verifier = Verifier::hs256(&secret());
        let hs256 = Header::new(Algorithm::HS256);
        let mut expired = claims();
        expired["exp"] = 1_000.into();
        assert_eq!(verifier.verify(&forged(&hs256, &expired)), Err(TokenError::Expired));
        for (field, value) in [("iss", "other"), ("aud", "other"), ("sub", "")] {
            let mut wrong = claims();
            wrong[field] = value.into();
            assert_eq!(verifier.verify(&forged(&hs256, &wrong)), Err(TokenError::Invalid), "{field}");
        }
        let mut early = claims();
        early["nbf"] = 3_999_999_999u64.into();
        assert_eq!(verifier.verify(&forged(&hs256, &early)), Err(TokenError::Invalid));
        // The right secret under another algorithm, and no algorithm at all.
        assert_eq!(verifier.verify(&forged(&Header::new(Algorithm::HS512), &claims())), Err(TokenError::Invalid));
        let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImlzcyI6ImNvdXJhbnQiLCJhdWQiOiJjb3VyYW50IiwiZXhwIjo0MDAwMDAwMDAwfQ.";
        assert_eq!(verifier.verify(none), Err(TokenError::Invalid));
        assert_eq!(verifier.verify(&"a".repeat(MAX_TOKEN_BYTES + 1)), Err(TokenError::Invalid));
        let stranger = Signer::hs256(&Secret::new([8u8; 32]).unwrap());
        let token = stranger.sign("alice", &[], Duration::from_secs(60)).unwrap();
        assert_eq!(verifier.verify(&token), Err(TokenError::Invalid));
    }
}
