//! What signs.

use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use courant_joblog::ids::Timestamp;

use super::endpoint::Endpoint;
use crate::seal::Sealer;

/// How a secret begins, as Standard Webhooks has it.
const PREFIX: &str = "whsec_";
/// Bytes of a secret. Standard Webhooks allows 24 to 64.
const BYTES: usize = 32;

/// A secret. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; BYTES]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    pub fn random() -> Self {
        let mut bytes = [0; BYTES];
        rand::fill(&mut bytes).expect("the operating system gives random bytes");
        Self(bytes)
    }

    /// As its owner is shown it.
    pub fn encode(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(self.0))
    }

    fn sign(&self, text: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        format!("v1,{}", STANDARD.encode(hmac::sign(&key, text)))
    }
}

/// The secrets of an endpoint that sign now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningSecrets(Vec<Secret>);

impl SigningSecrets {
    /// None if they cannot be opened: they were sealed under another key.
    pub fn open(endpoint: &Endpoint, sealer: &Sealer, now: Timestamp) -> Option<Self> {
        let plain = sealer.unseal(&endpoint.id, &endpoint.sealed_secrets)?;
        let mut secrets: Vec<Secret> =
            plain.chunks_exact(BYTES).filter_map(|bytes| bytes.try_into().ok()).map(Secret).collect();
        if endpoint.old_secret_until.is_none_or(|until| until <= now.0) {
            secrets.truncate(1);
        }
        (!secrets.is_empty()).then_some(Self(secrets))
    }

    /// With a new one before them; the old ones but the newest are of no use any more.
    pub fn rotated(&self, new: Secret) -> Self {
        Self([new].into_iter().chain(self.0.first().cloned()).collect())
    }

    pub fn one(secret: Secret) -> Self {
        Self(vec![secret])
    }

    pub fn seal(&self, id: &str, sealer: &Sealer) -> Vec<u8> {
        let plain: Vec<u8> = self.0.iter().flat_map(|secret| secret.0).collect();
        sealer.seal(id, &plain)
    }

    /// The header `webhook-signature`: one signature for each secret.
    pub fn signature(&self, message: &str, seconds: i64, body: &[u8]) -> String {
        let signed = [format!("{message}.{seconds}.").as_bytes(), body].concat();
        let signatures: Vec<String> = self.0.iter().map(|secret| secret.sign(&signed)).collect();
        signatures.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks libraries.
    #[test]
    fn a_signature_is_the_one_that_others_compute() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let signed = r#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
        assert_eq!(
            STANDARD.encode(hmac::sign(&key, signed.as_bytes())),
            "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        let ours = Secret([7; BYTES]);
        let both = SigningSecrets::one(ours.clone()).rotated(Secret([8; BYTES]));
        let signature = both.signature("msg_1", 5, b"{}");
        assert_eq!(signature.split(' ').nth(1).unwrap(), SigningSecrets::one(ours).signature("msg_1", 5, b"{}"));
        assert!(signature.starts_with("v1,"));
    }
}
