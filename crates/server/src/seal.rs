//! The seal of passwords and push subscriptions: AES-256-GCM. A name is sealed in, of passwords the job's id, so that one job's
//! password is of no use under another's name.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf;
use courant_auth::Secret;
use courant_auth::secret::SecretError;
use courant_joblog::ids::JobId;

use crate::config::Config;

/// The longest password in bytes.
pub const MAX_PASSWORD: usize = 1024;
/// The first byte of what is stored. Another way of sealing takes another.
const FORMAT: u8 = 1;

/// Seals what is kept where others can read it, under a key that all servers of a log share.
pub struct Sealer {
    key: RandomizedNonceKey,
}

impl Sealer {
    /// With a key drawn from a secret that serves other purposes as well.
    pub fn new(secret: &Secret, purpose: &'static str) -> Self {
        let mut key = [0; 32];
        // Neither can fail: the length is that of the algorithm.
        let drawn = hkdf::Salt::new(hkdf::HKDF_SHA256, b"courant")
            .extract(secret.bytes())
            .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key));
        let key = drawn.and_then(|()| RandomizedNonceKey::new(&AES_256_GCM, &key));
        Self { key: key.expect("AES-256 takes 32 bytes, and HKDF-SHA256 gives them") }
    }

    /// Seals for one name, under which alone it can be opened.
    pub fn seal(&self, name: &str, plain: &[u8]) -> Vec<u8> {
        let mut sealed = plain.to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::from(name), &mut sealed);
        let nonce = nonce.expect("it is far shorter than what AES-GCM takes");
        [&[FORMAT], nonce.as_ref().as_slice(), &sealed].concat()
    }

    /// `None` if it was sealed for another name, under another key, or not here at all.
    pub fn unseal(&self, name: &str, stored: &[u8]) -> Option<Vec<u8>> {
        let sealed = stored.strip_prefix(&[FORMAT])?;
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let (nonce, mut sealed) = (Nonce::try_assume_unique_for_key(nonce).ok()?, sealed.to_vec());
        self.key.open_in_place(nonce, Aad::from(name), &mut sealed).ok().map(|plain| plain.to_vec())
    }
}

pub struct PasswordSealer(Sealer);

impl PasswordSealer {
    pub fn new(secret: &Secret) -> Self {
        Self(Sealer::new(secret, "passwords of documents"))
    }

    /// Seals for one job, which need not be there yet.
    pub fn seal(&self, job: &JobId, password: &str) -> Vec<u8> {
        self.0.seal(job.as_str(), password.as_bytes())
    }

    /// `None` if it was sealed for another job, under another key, or not here at all.
    pub fn unseal(&self, job: &JobId, stored: &[u8]) -> Option<String> {
        String::from_utf8(self.0.unseal(job.as_str(), stored)?).ok()
    }
}

/// The secret that all servers of a log share, from the file of the configuration, which is made if it is not there.
pub fn shared_secret(config: &Config) -> Result<Secret, SecretError> {
    let file = config.password_key_file.clone().unwrap_or_else(|| config.data_dir.join("password.key"));
    Secret::load_or_create(&file)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn passwords(fill: u8) -> PasswordSealer {
        PasswordSealer::new(&Secret::new([fill; 32]).unwrap())
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_opened_for_the_same_job_under_the_same_key_only(password in "\\PC{1,200}", bit in any::<usize>()) {
            let (job, ours) = (JobId::new("J"), passwords(1));
            let sealed = ours.seal(&job, &password);
            prop_assert_eq!(ours.unseal(&job, &sealed), Some(password.clone()));
            prop_assert_eq!(ours.unseal(&JobId::new("K"), &sealed), None);
            prop_assert_eq!(passwords(2).unseal(&job, &sealed), None);
            prop_assert_ne!(&sealed, &ours.seal(&job, &password), "twice the same shows that they are equal");
            let mut damaged = sealed.clone();
            damaged[bit / 8 % sealed.len()] ^= 1 << (bit % 8);
            prop_assert_eq!(ours.unseal(&job, &damaged), None);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(passwords(1).unseal(&JobId::new("J"), &bytes), None);
        }
    }
}
