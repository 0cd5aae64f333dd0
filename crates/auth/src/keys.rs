//! Public keys that other issuers sign with: from a JSON Web Key Set (RFC 7517) or a PEM file.
//!
//! A key says which algorithms it may be used with; a token only chooses among those (RFC 8725, section 3.1). Shared secrets
//! are never taken from here: who publishes one has none.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};

const RSA: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

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
    #[error("the set has no public key for signatures by RSA, EC (P-256, P-384) or Ed25519")]
    Empty,
}

impl Keys {
    /// From the text of a file or an answer.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        if text.trim_start().starts_with("-----BEGIN") {
            return Self::pem(text.as_bytes());
        }
        let set: JwkSet = serde_json::from_str(text).map_err(|_| KeysError::Form)?;
        let keys: Vec<Key> = set.keys.iter().filter_map(Key::from_jwk).collect();
        if keys.is_empty() { Err(KeysError::Empty) } else { Ok(Self(keys)) }
    }

    fn pem(pem: &[u8]) -> Result<Self, KeysError> {
        let rsa = DecodingKey::from_rsa_pem(pem).map(|key| (key, RSA.to_vec()));
        let ec = || DecodingKey::from_ec_pem(pem).map(|key| (key, vec![Algorithm::ES256, Algorithm::ES384]));
        let ed = || DecodingKey::from_ed_pem(pem).map(|key| (key, vec![Algorithm::EdDSA]));
        let (key, algorithms) = rsa.or_else(|_| ec()).or_else(|_| ed()).map_err(|_| KeysError::Form)?;
        Ok(Self(vec![Key { id: None, algorithms, key }]))
    }

    /// The key a token names. One that names none is judged by the only key there is.
    pub fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let found = match (id, self.0.as_slice()) {
            (_, [only]) if only.id.is_none() => only,
            (None, [only]) => only,
            (None, _) => return None,
            (Some(id), keys) => keys.iter().find(|key| key.id.as_deref() == Some(id))?,
        };
        found.algorithms.contains(&algorithm).then_some(&found.key)
    }
}

impl Key {
    fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        if common.public_key_use.as_ref().is_some_and(|wanted| *wanted != PublicKeyUse::Signature) {
            return None;
        }
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => RSA.to_vec(),
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![Algorithm::ES256],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => vec![Algorithm::ES384],
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
            _ => return None,
        };
        if let Some(only) = common.key_algorithm {
            let only = Algorithm::try_from(only).ok()?;
            algorithms.retain(|algorithm| *algorithm == only);
        }
        let key = DecodingKey::from_jwk(jwk).ok()?;
        (!algorithms.is_empty()).then(|| Self { id: common.key_id.clone(), algorithms, key })
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| (&key.id, &key.algorithms))).finish()
    }
}
