//! The key by which push services know this service (RFC 8292).

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hkdf;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use courant_auth::Secret;
use courant_auth::secret::SecretError;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use web_push_native::p256::SecretKey;
use web_push_native::p256::elliptic_curve::sec1::ToEncodedPoint as _;
use web_push_native::p256::pkcs8::EncodePrivateKey as _;

/// How long a signature counts. Push services take at most 24 hours.
const SIGNED_FOR: Duration = Duration::from_secs(12 * 3600);

pub(super) struct VapidKey {
    signing: EncodingKey,
    public: Vec<u8>,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    exp: u64,
    sub: &'a str,
}

impl VapidKey {
    /// From the secret in a file, which is made if it is not there.
    pub(super) fn open(file: &Path) -> Result<Self, SecretError> {
        Ok(Self::new(&Secret::load_or_create(file)?))
    }

    pub(super) fn new(secret: &Secret) -> Self {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"courant").extract(secret.bytes());
        // Of 2³² drawn numbers one is none of the curve; the next is.
        let drawn = (0..=u8::MAX).find_map(|round| {
            let mut scalar = [0; 32];
            let info: &[&[u8]] = &[b"key of web push", &[round]];
            prk.expand(info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut scalar)).ok()?;
            SecretKey::from_slice(&scalar).ok()
        });
        let key = drawn.expect("256 drawn numbers are not all outside of the curve");
        let der = key.to_pkcs8_der().expect("a key of P-256 can be written as PKCS #8");
        Self {
            signing: EncodingKey::from_ec_der(der.as_bytes()),
            public: key.public_key().to_encoded_point(false).as_bytes().to_vec(),
        }
    }

    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// The header `Authorization` for a push service.
    pub(super) fn authorization(&self, origin: &str, contact: &str) -> Result<String, jsonwebtoken::errors::Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let claims = Claims { aud: origin, exp: (now + SIGNED_FOR).as_secs(), sub: contact };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &self.signing)?;
        Ok(format!("vapid t={token}, k={}", URL_SAFE_NO_PAD.encode(&self.public)))
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};

    use super::*;

    #[test]
    fn the_same_secret_gives_the_same_key_and_what_it_signs_can_be_checked() {
        let open = |fill: u8| VapidKey::new(&Secret::new([fill; 32]).unwrap());
        let key = open(1);
        assert_eq!((key.public().len(), key.public()[0]), (65, 4));
        assert_eq!(key.public(), open(1).public());
        assert_ne!(key.public(), open(2).public());

        let header = key.authorization("https://push.example.org", "mailto:ops@example.org").unwrap();
        let (token, public) = header.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(public).unwrap(), key.public());
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let verifying =
            DecodingKey::from_ec_components(&part(&key.public()[1..33]), &part(&key.public()[33..])).unwrap();
        let mut rules = Validation::new(Algorithm::ES256);
        rules.set_audience(&["https://push.example.org"]);
        let claims = jsonwebtoken::decode::<serde_json::Value>(token, &verifying, &rules).unwrap().claims;
        assert_eq!(claims["sub"], "mailto:ops@example.org");
    }
}
