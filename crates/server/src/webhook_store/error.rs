//! Why the store of webhooks failed.

use courant_joblog::log::{AppendError, ReadError};

use crate::error::Error;

/// Why the store of webhooks failed.
#[derive(Debug, thiserror::Error)]
pub enum WebhookStoreError {
    #[error("the store of webhooks failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// Written by a newer version of this program.
    #[error("webhooks.db has schema {found}, and this version knows up to {known} only; use the newer version again")]
    Newer { found: i64, known: i64 },
    #[error("a record of a webhook cannot be encoded: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
    /// What servers share could not be written, or may not have been.
    #[error("it could not be shared with the other servers: {0}")]
    Shared(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<WebhookStoreError> for Error {
    fn from(error: WebhookStoreError) -> Self {
        Self::WebhookStore(error.into())
    }
}
