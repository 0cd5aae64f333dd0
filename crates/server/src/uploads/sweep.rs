//! Uploads that nobody finished go, once nothing has come for long enough.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::held;
use crate::engine::Engine;
use crate::error::Error;
use crate::objects::Place;

/// The longest pause between two looks. Whoever asks in between is told that an expired upload is not there.
const EVERY: Duration = Duration::from_secs(3600);

/// Looks for them for ever.
pub async fn run(engine: Arc<Engine>) {
    loop {
        match sweep(&engine).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed uploads that nobody finished"),
            Err(error) => tracing::warn!(%error, "expired uploads could not be looked for"),
        }
        tokio::time::sleep(EVERY.min(engine.config.upload_retention)).await;
    }
}

/// Removes what has expired. How many uploads that were.
pub async fn sweep(engine: &Engine) -> Result<usize, Error> {
    let mut removed = 0;
    for owner in engine.objects.resumable_owners().await? {
        for place in engine.objects.folders(&owner).await? {
            if is_over(engine, &place).await? {
                engine.objects.remove_resumable(&place).await?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

/// Also what has no descriptor: a piece that came after its upload was removed.
async fn is_over(engine: &Engine, place: &Place) -> Result<bool, Error> {
    let newest = held::newest(&engine.objects.found(place).await?);
    Ok(newest.is_some_and(|newest| newest + engine.config.upload_retention <= SystemTime::now()))
}
