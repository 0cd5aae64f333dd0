//! Why tokens are refused, for the log: callers are told only that they are.
//!
//! A line names the class of the reason and what of the header helps to find the cause, never the token. Anybody can send
//! tokens, so each class gets a line now and then with the count of those left out.

use std::sync::Arc;

use courant_runtime::logging::Occasional;
use jsonwebtoken::Algorithm;
use jsonwebtoken::errors::ErrorKind;
use parking_lot::Mutex;

use crate::TokenError;

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
    pub(crate) fn token_error(self) -> TokenError {
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

/// Logs refusals. Cloning shares.
#[derive(Clone, Debug, Default)]
pub(crate) struct RefusalLog(Arc<Mutex<Vec<(Refusal, Occasional)>>>);

impl RefusalLog {
    /// Logs a refusal. The id of the key is the caller's text: shown escaped and cut.
    pub(crate) fn note(&self, reason: Refusal, algorithm: Option<Algorithm>, key: Option<&str>) {
        let key = key.map(|key| key.get(..key.floor_char_boundary(SHOWN_BYTES)).unwrap_or_default());
        self.log(reason, |left_out| tracing::info!(%reason, ?algorithm, kid = ?key, left_out, "a token was refused"));
    }

    fn log(&self, reason: Refusal, line: impl FnOnce(u64)) {
        let mut classes = self.0.lock();
        match classes.iter_mut().find(|(class, _)| *class == reason) {
            Some((_, lines)) => lines.log(line),
            None => {
                let mut lines = Occasional::default();
                lines.log(line);
                classes.push((reason, lines));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_own_lines() {
        let (log, mut written) = (RefusalLog::default(), Vec::new());
        for reason in [Refusal::Signature, Refusal::Expired, Refusal::Signature] {
            log.log(reason, |_| written.push(reason));
        }
        assert_eq!(written, [Refusal::Signature, Refusal::Expired]);
    }
}
