//! Judging tokens: ours by the shared secret, those of another issuer by its public keys.
//!
//! Which algorithm may be used is decided by the key, never by the token (RFC 8725, section 3.1). Each issuer's tokens must
//! have that issuer's `iss` and `aud`: a key opens no other door than its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde_json::{Map, Value};

use crate::Secret;
use crate::claims::Claims;
use crate::issuer::{Issuer, KeyLookup};
use crate::refusal::{Refusal, RefusalLog};
use crate::token::{AUDIENCE, ISSUER, Identity, LEEWAY, MAX_SUBJECT_BYTES, MAX_TOKEN_BYTES, Role, TokenError};
use crate::verified::{TokenDigest, VerifiedBy, VerifiedTokens};

/// What `typ` may be (RFC 7515, section 4.1.9; RFC 9068). Tokens of other kinds, such as logout tokens, must not pass for these
/// (RFC 8725, section 3.11).
const TYPES: [&str; 3] = ["JWT", "at+jwt", "JOSE"];
/// The end of the year 9999: later ends count as this one, which calendars can still write.
const LATEST: Duration = Duration::from_secs(253_402_300_799);

/// Cloning shares what is remembered of verified tokens.
#[derive(Clone)]
pub struct Verifier {
    own: DecodingKey,
    other: Option<Issuer>,
    refusals: RefusalLog,
    verified: Arc<VerifiedTokens>,
}

impl Verifier {
    /// With a shared secret.
    pub fn hs256(secret: &Secret) -> Self {
        let own = DecodingKey::from_secret(secret.bytes());
        Self { own, other: None, refusals: RefusalLog::default(), verified: Arc::default() }
    }

    /// Accepts the tokens of another issuer as well.
    pub fn trusting(self, other: Option<Issuer>) -> Self {
        Self { other, ..self }
    }

    /// Who the token speaks for. Why a token is refused goes to the log.
    pub fn verify(&self, token: &str) -> Result<Arc<Identity>, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(self.refuse(Refusal::TooLong, None));
        }
        // Asked before the token is judged by it: should the keys change meanwhile, the token does not count for the new set.
        let key_set = self.other.as_ref().and_then(Issuer::key_set);
        let digest = TokenDigest::of(token);
        if let Some(identity) = self.verified.get(&digest, key_set, SystemTime::now()) {
            return Ok(identity);
        }
        let header = header(token).map_err(|reason| self.refuse(reason, None))?;
        let identity = self.judge(token, &header).map_err(|reason| self.refuse(reason, Some(&header)))?;
        let identity = Arc::new(identity);
        let by =
            if header.alg == Algorithm::HS256 { Some(VerifiedBy::Secret) } else { key_set.map(VerifiedBy::KeySet) };
        if let Some(by) = by {
            self.verified.put(&digest, by, &identity);
        }
        Ok(identity)
    }

    fn refuse(&self, reason: Refusal, header: Option<&Header>) -> TokenError {
        self.refusals.note(reason, header.map(|header| header.alg), header.and_then(|header| header.kid.as_deref()));
        reason.token_error()
    }

    fn judge(&self, token: &str, header: &Header) -> Result<Identity, Refusal> {
        check_header(header)?;
        if header.alg == Algorithm::HS256 {
            return identity(decode(token, &self.own, header.alg)?, (ISSUER, AUDIENCE), "roles");
        }
        let other = self.other.as_ref().ok_or(Refusal::NoIssuer)?;
        match other.key(header.kid.as_deref(), header.alg) {
            KeyLookup::Key(key) => {
                identity(decode(token, &key, header.alg)?, (&other.name, &other.audience), &other.roles)
            }
            KeyLookup::Pending => Err(Refusal::KeysStale),
            KeyLookup::OtherAlgorithm => Err(Refusal::Algorithm),
            KeyLookup::NotFound => Err(Refusal::UnknownKey),
        }
    }
}

fn header(token: &str) -> Result<Header, Refusal> {
    jsonwebtoken::decode_header(token).map_err(|_| Refusal::Malformed)
}

fn check_header(header: &Header) -> Result<(), Refusal> {
    // Extensions that must be understood (RFC 7515, section 4.1.11): none is.
    if header.crit.is_some() {
        return Err(Refusal::Critical);
    }
    // An unencoded payload is never a JWT (RFC 7797, section 7).
    if header.extras.inner().get("b64").is_some_and(|encoded| *encoded != Value::Bool(true)) {
        return Err(Refusal::Critical);
    }
    let known = |name: &str| {
        let tail = name.split_once('/').filter(|(kind, _)| kind.eq_ignore_ascii_case("application"));
        let name = tail.map_or(name, |(_, tail)| tail);
        TYPES.iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    if header.typ.as_deref().is_some_and(|name| !known(name)) {
        return Err(Refusal::Type);
    }
    Ok(())
}

/// The claims of a token with a good signature. What they must say is checked by [`identity`]: the library knows only times
/// that are whole.
fn decode(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<Claims, Refusal> {
    let mut rules = Validation::new(algorithm);
    rules.required_spec_claims.clear();
    (rules.validate_exp, rules.validate_nbf, rules.validate_aud) = (false, false, false);
    let found = jsonwebtoken::decode::<Claims>(token, key, &rules);
    found.map(|found| found.claims).map_err(|error| Refusal::of(error.kind()))
}

fn identity(claims: Claims, (issuer, audience): (&str, &str), roles: &str) -> Result<Identity, Refusal> {
    let Claims(claims) = claims;
    if claims.get("iss").and_then(Value::as_str) != Some(issuer) {
        return Err(Refusal::Issuer);
    }
    if !names(claims.get("aud")).any(|name| name == audience) {
        return Err(Refusal::Audience);
    }
    let expires = lifetime(&claims, SystemTime::now())?;
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES {
        return Err(Refusal::Subject);
    }
    let named = names(find(&claims, roles)).chain(names(claims.get("role")));
    let roles: BTreeSet<Role> = named.filter_map(|name| name.parse().ok()).collect();
    Ok(Identity { subject: subject.to_owned(), roles, expires })
}

/// When the token ends, if it is valid now. Clocks may differ by [`LEEWAY`] at both ends.
fn lifetime(claims: &Map<String, Value>, now: SystemTime) -> Result<SystemTime, Refusal> {
    let time = |name| claims.get(name).map(|value| numeric_date(value).ok_or(Refusal::Claims)).transpose();
    let (begins, _made, ends) = (time("nbf")?, time("iat")?, time("exp")?);
    let ends = ends.ok_or(Refusal::Endless)?;
    if ends + LEEWAY <= now {
        return Err(Refusal::Expired);
    }
    if begins.is_some_and(|begins| begins > now + LEEWAY) {
        return Err(Refusal::Early);
    }
    Ok(ends)
}

/// Seconds since 1970, which may have a fraction (RFC 7519, section 2). What is before or far beyond counts as the nearest
/// time there is.
fn numeric_date(value: &Value) -> Option<SystemTime> {
    let since = match value.as_u64() {
        Some(whole) => Duration::from_secs(whole).min(LATEST),
        None => Duration::try_from_secs_f64(value.as_f64()?.clamp(0.0, LATEST.as_secs_f64())).ok()?,
    };
    UNIX_EPOCH.checked_add(since)
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
    use jsonwebtoken::EncodingKey;

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
