//! Judging tokens: ours by the shared secret, those of another issuer by its public keys.
//!
//! Which algorithm may be used is decided by the key, never by the token (RFC 8725, section 3.1). Each issuer's tokens must
//! have that issuer's `iss` and `aud`: a key opens no other door than its own.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Secret;
use crate::issuer::{Found, Issuer};
use crate::token::{AUDIENCE, ISSUER, Identity, LEEWAY, MAX_SUBJECT_BYTES, MAX_TOKEN_BYTES, Role, TokenError};

/// Judges tokens.
#[derive(Clone)]
pub struct Verifier {
    own: DecodingKey,
    other: Option<Issuer>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl Verifier {
    /// With a shared secret.
    pub fn hs256(secret: &Secret) -> Self {
        Self { own: DecodingKey::from_secret(secret.bytes()), other: None }
    }

    /// Accepts the tokens of another issuer as well.
    pub fn trusting(self, other: Option<Issuer>) -> Self {
        Self { other, ..self }
    }

    /// Who the token speaks for.
    pub fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        if header.alg == Algorithm::HS256 {
            let claims = decode(token, &self.own, &rules(Algorithm::HS256, ISSUER, AUDIENCE))?;
            return identity(claims, "roles");
        }
        let other = self.other.as_ref().ok_or(TokenError::Invalid)?;
        match other.key(header.kid.as_deref(), header.alg) {
            Found::Key(key) => {
                let claims = decode(token, &key, &rules(header.alg, &other.name, &other.audience))?;
                identity(claims, &other.roles)
            }
            Found::Soon => Err(TokenError::KeysStale),
            Found::No => Err(TokenError::Invalid),
        }
    }
}

fn rules(algorithm: Algorithm, issuer: &str, audience: &str) -> Validation {
    let mut rules = Validation::new(algorithm);
    rules.set_issuer(&[issuer]);
    rules.set_audience(&[audience]);
    rules.set_required_spec_claims(&["exp", "sub", "iss", "aud"]);
    rules.validate_nbf = true;
    rules.leeway = LEEWAY.as_secs();
    rules
}

fn decode(token: &str, key: &DecodingKey, rules: &Validation) -> Result<Claims, TokenError> {
    match jsonwebtoken::decode::<Claims>(token, key, rules) {
        Ok(found) => Ok(found.claims),
        Err(error) if *error.kind() == ErrorKind::ExpiredSignature => Err(TokenError::Expired),
        Err(_) => Err(TokenError::Invalid),
    }
}

fn identity(claims: Claims, roles: &str) -> Result<Identity, TokenError> {
    let Claims { sub, exp, more } = claims;
    if sub.is_empty() || sub.len() > MAX_SUBJECT_BYTES {
        return Err(TokenError::Invalid);
    }
    let expires = UNIX_EPOCH.checked_add(Duration::from_secs(exp)).ok_or(TokenError::Invalid)?;
    let named = names(find(&more, roles)).chain(names(more.get("role")));
    let roles: BTreeSet<Role> = named.filter_map(|name| name.parse().ok()).collect();
    Ok(Identity { subject: sub, roles, expires })
}

/// A claim by its path of names divided by dots.
fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    // A name may have dots itself (`https://app.example/roles`).
    claims.get(path).or_else(|| find(claims.get(first)?.as_object()?, rest?))
}

/// The names in a claim that is a list or a single one.
fn names(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let (one, many) = match claim {
        Some(Value::String(one)) => (Some(one.as_str()), None),
        Some(Value::Array(many)) => (None, Some(many)),
        _ => (None, None),
    };
    one.into_iter().chain(many.into_iter().flatten().filter_map(Value::as_str))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header};

    use super::*;
    use crate::Signer;

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
