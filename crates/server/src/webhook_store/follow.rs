//! What other servers do to webhooks.

use std::time::Duration;

use super::error::WebhookStoreError;
use super::registry::WebhookStore;

/// Records are gathered for so long before they are looked at.
const GATHER: Duration = Duration::from_millis(50);
/// The pause after records could not be read.
const TRY_AGAIN: Duration = Duration::from_secs(1);

impl WebhookStore {
    /// Follows what other servers do, for ever.
    pub async fn follow(&self) {
        let Some(mut arrived) = self.backend.arrived() else { return std::future::pending().await };
        loop {
            let after = *self.read.lock();
            arrived.borrow_and_update();
            match self.backend.next(after).await {
                Some(Ok((records, up_to))) => {
                    records.into_iter().for_each(|record| self.apply(record));
                    *self.read.lock() = up_to;
                    if arrived.changed().await.is_err() {
                        return std::future::pending().await;
                    }
                    tokio::time::sleep(GATHER).await;
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "what other servers did to webhooks cannot be read, retrying");
                    tokio::time::sleep(TRY_AGAIN).await;
                }
                None => return std::future::pending().await,
            }
        }
    }

    /// Takes in what they have put until now.
    pub(super) async fn catch_up(&self) -> Result<(), WebhookStoreError> {
        let after = *self.read.lock();
        if let Some(next) = self.backend.next(after).await {
            next?.0.into_iter().for_each(|record| self.apply(record));
        }
        Ok(())
    }
}
