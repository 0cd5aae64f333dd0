//! What a browser gave to be sent to.

use url::Url;
use web_push_native::p256::PublicKey;
use web_push_native::{Auth, p256};

use crate::config::PushService;
use crate::error::Error;

/// The longest address in bytes.
const ENDPOINT_BYTES: usize = 2048;
/// The length of `auth` in bytes (RFC 8291, section 3.2).
const AUTH_BYTES: usize = 16;
/// The length of an uncompressed point on P-256.
const POINT_BYTES: usize = 65;

/// A browser's push service and keys. Its `Debug` shows no more than the host: the rest is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Subscription {
    pub endpoint: String,
    /// The browser's public key.
    pub p256dh: Vec<u8>,
    pub auth: Vec<u8>,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subscription({})", self.host())
    }
}

impl Subscription {
    pub(super) fn check(endpoint: &str, p256dh: &[u8], auth: &[u8], services: &[PushService]) -> Result<Self, Error> {
        if endpoint.len() > ENDPOINT_BYTES {
            return Err(Error::field("endpoint", format!("has at most {ENDPOINT_BYTES} bytes")));
        }
        let url = Url::parse(endpoint).map_err(|error| Error::field("endpoint", format!("is no URL: {error}")))?;
        if !services.iter().any(|service| service.has(&url)) {
            let problem = "is not of a push service that may be sent to; an operator can allow it by --push-services";
            return Err(Error::field("endpoint", problem));
        }
        if p256dh.len() != POINT_BYTES || p256::PublicKey::from_sec1_bytes(p256dh).is_err() {
            return Err(Error::field("p256dh", "must be an uncompressed point on P-256, 65 bytes"));
        }
        if auth.len() != AUTH_BYTES {
            return Err(Error::field("auth", format!("must have {AUTH_BYTES} bytes")));
        }
        Ok(Self { endpoint: endpoint.to_owned(), p256dh: p256dh.to_vec(), auth: auth.to_vec() })
    }

    /// The push service: its origin is whom the signature is for.
    pub fn origin(&self) -> String {
        Url::parse(&self.endpoint).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
    }

    pub fn host(&self) -> String {
        Url::parse(&self.endpoint).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Seals a message for the browser. `None` if its keys are none.
    pub(super) fn seal(&self, message: Vec<u8>) -> Option<Vec<u8>> {
        let key = PublicKey::from_sec1_bytes(&self.p256dh).ok()?;
        let auth: [u8; AUTH_BYTES] = self.auth.as_slice().try_into().ok()?;
        web_push_native::encrypt(message, &key, &Auth::from(auth)).ok()
    }
}

/// A subscription and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub owner: String,
    pub subscription: Subscription,
}
