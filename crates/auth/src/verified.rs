//! Tokens that were verified before, so that a caller who sends the same token with every call is not judged again each time.
//!
//! What is remembered is a digest of the token, never the token. Only good tokens are remembered: who makes tokens up fills
//! nothing. A slot is overwritten by the next token that falls into it, so the memory has a fixed size.

use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use parking_lot::Mutex;

use crate::token::Identity;

/// Tokens remembered at once.
const SLOTS: usize = 4096;

type Digest = [u8; SHA256_OUTPUT_LEN];

/// By which keys a token was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VerifiedBy {
    /// The shared secret, which never changes.
    Secret,
    /// The keys of the other issuer as they were at a fetch: a token counts only as long as no other set was fetched.
    KeySet(u64),
}

pub(crate) struct VerifiedTokens {
    slots: Mutex<Vec<Option<Verified>>>,
}

struct Verified {
    digest: Digest,
    by: VerifiedBy,
    identity: Arc<Identity>,
}

/// A token as it is looked for.
pub(crate) struct TokenDigest(Digest);

impl TokenDigest {
    pub(crate) fn of(token: &str) -> Self {
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(bytes)
    }

    fn slot(&self) -> usize {
        usize::from(u16::from_le_bytes([self.0[0], self.0[1]])) % SLOTS
    }
}

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self { slots: Mutex::new(std::iter::repeat_with(|| None).take(SLOTS).collect()) }
    }
}

impl VerifiedTokens {
    /// Whom a token speaks for, if it was verified by these keys and has not run out. `other` is the key set of the other issuer
    /// that counts now, if there is one.
    pub(crate) fn get(&self, token: &TokenDigest, other: Option<u64>, now: SystemTime) -> Option<Arc<Identity>> {
        let slots = self.slots.lock();
        let verified = slots.get(token.slot())?.as_ref().filter(|verified| verified.digest == token.0)?;
        let counts = match verified.by {
            VerifiedBy::Secret => true,
            VerifiedBy::KeySet(set) => Some(set) == other,
        };
        (counts && now < verified.identity.accepted_until()).then(|| verified.identity.clone())
    }

    pub(crate) fn put(&self, token: &TokenDigest, by: VerifiedBy, identity: &Arc<Identity>) {
        if let Some(slot) = self.slots.lock().get_mut(token.slot()) {
            *slot = Some(Verified { digest: token.0, by, identity: identity.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::token::LEEWAY;

    fn identity(subject: &str, expires: SystemTime) -> Arc<Identity> {
        Arc::new(Identity { subject: subject.to_owned(), roles: BTreeSet::new(), expires })
    }

    #[test]
    fn a_token_counts_until_it_runs_out() {
        let (tokens, now) = (VerifiedTokens::default(), SystemTime::now());
        let (token, alice) = (TokenDigest::of("a"), identity("alice", now));
        tokens.put(&token, VerifiedBy::Secret, &alice);
        assert_eq!(tokens.get(&token, None, now), Some(alice.clone()));
        assert_eq!(tokens.get(&token, None, now + LEEWAY - Duration::from_millis(1)), Some(alice));
        assert_eq!(tokens.get(&token, None, now + LEEWAY), None);
        assert_eq!(tokens.get(&TokenDigest::of("b"), None, now), None);
    }

    #[test]
    fn a_token_of_another_issuer_counts_for_one_set_of_its_keys() {
        let (tokens, now) = (VerifiedTokens::default(), SystemTime::now());
        let (token, bob) = (TokenDigest::of("b"), identity("bob", now));
        tokens.put(&token, VerifiedBy::KeySet(3), &bob);
        assert_eq!(tokens.get(&token, Some(3), now), Some(bob));
        assert_eq!(tokens.get(&token, Some(4), now), None, "the key may be gone");
        assert_eq!(tokens.get(&token, None, now), None, "the keys are stale");
    }

    #[test]
    fn more_tokens_than_slots_take_no_more_memory() {
        let (tokens, now) = (VerifiedTokens::default(), SystemTime::now());
        let names: Vec<String> = (0..2 * SLOTS).map(|number| number.to_string()).collect();
        for name in &names {
            tokens.put(&TokenDigest::of(name), VerifiedBy::Secret, &identity(name, now));
        }
        let found = names.iter().filter_map(|name| Some((name, tokens.get(&TokenDigest::of(name), None, now)?)));
        let found: Vec<_> = found.collect();
        assert!(found.len() > SLOTS / 2 && found.len() <= SLOTS, "{}", found.len());
        assert!(found.iter().all(|(name, identity)| identity.subject == **name));
    }
}
