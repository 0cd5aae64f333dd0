//! Public keys that other issuers sign with: from a JSON Web Key Set (RFC 7517) or a PEM file.
//!
//! A key says which algorithms it may be used with; a token only chooses among those (RFC 8725, section 3.1). Shared secrets
//! are never taken from here: who publishes one has none.

use std::ops::RangeInclusive;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

const RSA: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
/// Bits of an RSA key: shorter ones can be broken (RFC 7518, section 3.3), longer ones make each check slow.
const RSA_BITS: RangeInclusive<usize> = 2048..=4096;

/// Keys to choose from.
#[derive(Clone, Default)]
pub struct Keys(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// What does not hold any key that can be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Neither of the two forms.
    #[error("neither a JSON Web Key Set nor a public key in PEM form")]
    Form,
    /// A set without a key for signatures.
    #[error("the set has no public key for signatures by RSA (2048 to 4096 bits), EC (P-256, P-384) or Ed25519")]
    Empty,
    /// It can be broken, or takes too long.
    #[error("the RSA key has {bits} bits; use one with 2048 to 4096 bits")]
    RsaSize { bits: usize },
}

/// Why a key of a set is skipped. The others are used all the same (RFC 7517, section 5).
#[derive(Debug, thiserror::Error)]
enum Skipped {
    #[error("it is not a JSON Web Key of a known kind")]
    Form,
    #[error("it is not for verifying signatures (`use` or `key_ops`)")]
    Use,
    #[error("only RSA, EC (P-256, P-384) and Ed25519 keys are used, each with an `alg` of its kind")]
    Kind,
    #[error(transparent)]
    Size(#[from] KeysError),
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl Keys {
    /// From the text of a file or an answer; there must be a key in it.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let keys = Self::parse_set(text)?;
        if keys.is_empty() { Err(KeysError::Empty) } else { Ok(keys) }
    }

    /// From the text of a file or an answer. A set without a key that can be used is a set: its issuer has withdrawn all keys.
    pub fn parse_set(text: &str) -> Result<Self, KeysError> {
        if text.trim_start().starts_with("-----BEGIN") {
            return Self::pem(text.as_bytes());
        }
        let set: Set = serde_json::from_str(text).map_err(|_| KeysError::Form)?;
        Ok(Self(set.keys.into_iter().filter_map(Key::or_skip).collect()))
    }

    fn pem(pem: &[u8]) -> Result<Self, KeysError> {
        let rsa = DecodingKey::from_rsa_pem(pem).map(|key| (key, RSA.to_vec()));
        let ec = || DecodingKey::from_ec_pem(pem).map(|key| (key, vec![Algorithm::ES256, Algorithm::ES384]));
        let ed = || DecodingKey::from_ed_pem(pem).map(|key| (key, vec![Algorithm::EdDSA]));
        let (key, algorithms) = rsa.or_else(|_| ec()).or_else(|_| ed()).map_err(|_| KeysError::Form)?;
        if algorithms.contains(&Algorithm::RS256) {
            check_size(&Jwk::from_decoding_key(&key, None).map_err(|_| KeysError::Form)?)?;
        }
        Ok(Self(vec![Key { id: None, algorithms, key }]))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key a token names. One that names none is judged by the only key there is.
    pub fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Lookup<'_> {
        let mut named = match (id, self.0.as_slice()) {
            (_, [only]) if only.id.is_none() => vec![only],
            (None, [only]) => vec![only],
            (None, _) => Vec::new(),
            (Some(id), keys) => keys.iter().filter(|key| key.id.as_deref() == Some(id)).collect(),
        };
        let known = !named.is_empty();
        // Keys of different kinds may share an id (RFC 7517, section 4.5).
        named.retain(|key| key.algorithms.contains(&algorithm));
        match named.first() {
            Some(key) => Lookup::Key(&key.key),
            None if known => Lookup::OtherAlgorithm,
            None => Lookup::Unknown,
        }
    }
}

/// What a set has for a token.
pub enum Lookup<'a> {
    Key(&'a DecodingKey),
    /// A key of this id, but not for the token's algorithm.
    OtherAlgorithm,
    /// No key of this id.
    Unknown,
}

impl Key {
    fn or_skip(json: Value) -> Option<Self> {
        let id = json.get("kid").and_then(Value::as_str).unwrap_or_default().to_owned();
        let jwk = serde_json::from_value::<Jwk>(json).map_err(|_| Skipped::Form);
        let key = jwk.and_then(|jwk| Self::from_jwk(&jwk));
        key.inspect_err(|reason| tracing::warn!(kid = ?id, %reason, "a key of the issuer is not used")).ok()
    }

    fn from_jwk(jwk: &Jwk) -> Result<Self, Skipped> {
        let common = &jwk.common;
        let other_use = common.public_key_use.as_ref().is_some_and(|wanted| *wanted != PublicKeyUse::Signature);
        let other_operations =
            common.key_operations.as_ref().is_some_and(|wanted| !wanted.contains(&KeyOperations::Verify));
        if other_use || other_operations {
            return Err(Skipped::Use);
        }
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => RSA.to_vec(),
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![Algorithm::ES256],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => vec![Algorithm::ES384],
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
            _ => return Err(Skipped::Kind),
        };
        if let Some(only) = common.key_algorithm {
            let only = Algorithm::try_from(only).map_err(|_| Skipped::Kind)?;
            algorithms.retain(|algorithm| *algorithm == only);
        }
        check_size(jwk)?;
        let key = DecodingKey::from_jwk(jwk).map_err(|_| Skipped::Form)?;
        if algorithms.is_empty() {
            return Err(Skipped::Kind);
        }
        Ok(Self { id: common.key_id.clone(), algorithms, key })
    }
}

/// Refuses RSA keys that are too short or too long.
fn check_size(jwk: &Jwk) -> Result<(), KeysError> {
    let AlgorithmParameters::RSA(key) = &jwk.algorithm else { return Ok(()) };
    let bits = modulus_bits(&key.n).ok_or(KeysError::Form)?;
    if RSA_BITS.contains(&bits) { Ok(()) } else { Err(KeysError::RsaSize { bits }) }
}

/// The length of a number in base64url. None when it is not that.
fn modulus_bits(text: &str) -> Option<usize> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
    let first = bytes.iter().position(|byte| *byte != 0)?;
    Some((bytes.len() - first) * 8 - bytes[first].leading_zeros() as usize)
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| (&key.id, &key.algorithms))).finish()
    }
}
