//! Why tokens are refused, for the log: callers are told only that they are.
//!
//! A line names the class of the reason and what of the header helps to find the cause, never the token. Anybody can send
//! tokens, so each class gets a line now and then with the count of those left out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;
use jsonwebtoken::errors::ErrorKind;
use parking_lot::Mutex;

use crate::TokenError;

/// Between two lines of one class.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Bytes of a key's id that are shown.
const SHOWN_BYTES: usize = 64;

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it is too long")]
    TooLong,
    #[error("it is not a JWT")]
    Malformed,
    #[error("its header has `crit`: no extension is supported")]
    Critical,
    #[error("its `typ` is not that of an access token")]
    Type,
    #[error("it is signed by a public key, but no other issuer is trusted (--jwt-keys)")]
    NoIssuer,
    #[error("its key is unknown")]
    UnknownKey,
    #[error("its key is not for its algorithm")]
    Algorithm,
    #[error("its signature is wrong")]
    Signature,
    #[error("its claims are not those of a JWT: an object with unique names and times that are numbers")]
    Claims,
    #[error("its `iss` is not the one that is trusted")]
    Issuer,
    #[error("its `aud` does not name this service")]
    Audience,
    #[error("its `sub` is missing, empty or too long")]
    Subject,
    #[error("it has no `exp`")]
    Endless,
    #[error("its `nbf` is in the future")]
    Early,
    #[error("it has expired")]
    Expired,
    #[error("the issuer's keys are being fetched, or could not be fetched")]
    KeysStale,
}

impl Refusal {
    /// What the caller is told.
    pub(crate) fn told(self) -> TokenError {
        match self {
            Self::Expired => TokenError::Expired,
            Self::KeysStale => TokenError::KeysStale,
            Self::TooLong
            | Self::Malformed
            | Self::Critical
            | Self::Type
            | Self::NoIssuer
            | Self::UnknownKey
            | Self::Algorithm
            | Self::Signature
            | Self::Claims
            | Self::Issuer
            | Self::Audience
            | Self::Subject
            | Self::Endless
            | Self::Early => TokenError::Invalid,
        }
    }

    /// Why the library did not take a signature.
    pub(crate) fn of(kind: &ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => Self::Algorithm,
            ErrorKind::Json(_) | ErrorKind::Utf8(_) => Self::Claims,
            ErrorKind::InvalidToken | ErrorKind::Base64(_) => Self::Malformed,
            _ => Self::Signature,
        }
    }
}

/// Writes refusals down. Cloning shares.
#[derive(Clone, Debug, Default)]
pub(crate) struct RefusalLog(Arc<Mutex<Vec<Class>>>);

#[derive(Debug)]
struct Class {
    reason: Refusal,
    shown: Instant,
    left_out: u64,
}

impl RefusalLog {
    /// Notes a refusal. The id of the key is the caller's text: shown escaped and cut.
    pub(crate) fn note(&self, reason: Refusal, algorithm: Option<Algorithm>, key: Option<&str>) {
        let Some(left_out) = self.turn(reason) else { return };
        let key = key.map(|key| key.get(..key.floor_char_boundary(SHOWN_BYTES)).unwrap_or_default());
        tracing::info!(%reason, ?algorithm, kid = ?key, left_out, "a token was refused");
    }

    /// How many were left out before, when it is time for a line.
    fn turn(&self, reason: Refusal) -> Option<u64> {
        let mut classes = self.0.lock();
        let Some(class) = classes.iter_mut().find(|class| class.reason == reason) else {
            classes.push(Class { reason, shown: Instant::now(), left_out: 0 });
            return Some(0);
        };
        if class.shown.elapsed() < LINE_EVERY {
            class.left_out += 1;
            return None;
        }
        class.shown = Instant::now();
        Some(std::mem::take(&mut class.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_line_and_the_rest_is_counted() {
        let log = RefusalLog::default();
        assert_eq!((log.turn(Refusal::Signature), log.turn(Refusal::Expired)), (Some(0), Some(0)));
        assert_eq!((log.turn(Refusal::Signature), log.turn(Refusal::Signature)), (None, None));
        log.0.lock()[0].shown = Instant::now().checked_sub(LINE_EVERY).unwrap();
        assert_eq!(log.turn(Refusal::Signature), Some(2));
    }
}
