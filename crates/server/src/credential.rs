//! What shows that a call about an attempt comes from the worker that holds it. Sent with the assignment, and with every
//! call about the attempt; known to nobody else.
//!
//! It is computed from the attempt and the worker, under a key that all servers of a log share: nothing has to be stored, and
//! it is still good after a restart.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use courant_auth::Secret;
use courant_joblog::ids::{JobId, WorkerId};

/// Makes and checks credentials.
#[derive(Debug)]
pub struct Credentials(hmac::Key);

/// What a credential is for.
#[derive(Clone, Copy, Debug)]
pub struct HeldAttempt<'a> {
    pub job: &'a JobId,
    pub number: u32,
    /// The part of it; empty for the attempt itself.
    pub part: &'a str,
    /// The worker that holds it.
    pub worker: &'a WorkerId,
}

impl Credentials {
    /// With a key drawn from a secret that serves other purposes as well.
    pub fn new(secret: &Secret) -> Self {
        let drawing = hmac::Key::new(hmac::HMAC_SHA256, secret.bytes());
        let key = hmac::sign(&drawing, b"courant: credentials of attempts, 1");
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()))
    }

    /// The credential for an attempt.
    pub fn of(&self, holding: HeldAttempt) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, &bytes(holding)))
    }

    /// Whether it is the credential for an attempt. Takes as long for a wrong one as for the right one.
    pub fn is_of(&self, credential: &str, holding: HeldAttempt) -> bool {
        let given = URL_SAFE_NO_PAD.decode(credential);
        given.is_ok_and(|given| hmac::verify(&self.0, &bytes(holding), &given).is_ok())
    }
}

/// None of the names has a NUL byte.
fn bytes(HeldAttempt { job, number, part, worker }: HeldAttempt) -> Vec<u8> {
    [job.as_str(), &number.to_string(), part, worker.as_str()].join("\0").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_for_one_attempt_part_and_worker() {
        let credentials = Credentials::new(&Secret::new([1; 32]).unwrap());
        let (job, other_job) = (JobId::new("J"), JobId::new("K"));
        let (worker, other_worker) = (WorkerId::new("w"), WorkerId::new("v"));
        let holding = HeldAttempt { job: &job, number: 1, part: "", worker: &worker };
        let credential = credentials.of(holding);
        assert!(credentials.is_of(&credential, holding));
        for other in [
            HeldAttempt { job: &other_job, ..holding },
            HeldAttempt { number: 2, ..holding },
            HeldAttempt { part: "p", ..holding },
            HeldAttempt { worker: &other_worker, ..holding },
        ] {
            assert!(!credentials.is_of(&credential, other), "{other:?}");
        }
        assert!(!credentials.is_of("", holding) && !credentials.is_of(&credential[1..], holding));
        let stranger = Credentials::new(&Secret::new([2; 32]).unwrap());
        assert!(!stranger.is_of(&credential, holding));
    }
}
