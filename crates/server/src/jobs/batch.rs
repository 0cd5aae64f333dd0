//! Reading and cancelling batches.

mod watch;

pub use self::watch::follow;
use self::watch::{find, read};

use std::sync::atomic::{AtomicBool, Ordering};

use courant_auth::Identity;
use courant_engine::Error as Refused;
use courant_engine::batches::BatchKey;
use courant_engine::engine::CHUNK;
use courant_engine::transitions::cancel_change;
use courant_joblog::ids::{BatchId, JobId};
use courant_joblog::job::Job;
use courant_proto::v1::{CancelBatchResponse, GetBatchResponse};
use futures::{StreamExt, TryStreamExt};

use crate::auth::scope;
use crate::convert;
use crate::convert::id_in;
use crate::error::Error;
use crate::services::Services;

/// Jobs cancelled at once.
const AT_ONCE: usize = 64;

/// The batch a request is about. Only an own one, or with a role another's.
pub fn named(identity: &Identity, owner: &str, batch: &str) -> Result<BatchKey, Error> {
    let batch = id_in("batch_id", batch)?.ok_or_else(|| Error::field("batch_id", "must be set"))?;
    let owner = id_in("owner", owner)?.unwrap_or_default();
    let owner = scope(identity, owner)?.ok_or_else(|| Error::field("owner", "must be one owner"))?;
    Ok((owner, BatchId::new(batch)))
}

/// The batch as it is.
pub async fn get(services: &Services, name: &BatchKey) -> Result<GetBatchResponse, Error> {
    let batch = find(services, name).await?;
    let cursor = services.engine.cursor(batch.1).encode();
    Ok(GetBatchResponse { batch: Some(convert::batch(&batch.0)), cursor })
}

/// Cancels every job of the batch that has not ended.
pub async fn cancel(services: &Services, identity: &Identity, name: &BatchKey) -> Result<CancelBatchResponse, Error> {
    find(services, name).await?;
    let (mut asked, mut after) = (0, None);
    loop {
        let jobs = services
            .engine
            .projection(&services.projections.batches, |batches, _| batches.jobs(name, after.as_ref(), CHUNK));
        let Some(last) = jobs.last().cloned() else { break };
        let cancels = jobs.into_iter().map(|(_, id)| cancel_one(services, id, &identity.subject));
        let mut cancels = futures::stream::iter(cancels).buffer_unordered(AT_ONCE);
        while let Some(cancelled) = cancels.try_next().await? {
            asked += i32::from(cancelled);
        }
        after = Some(last);
    }
    tracing::info!(batch = %name.1, by = %identity.subject, jobs = asked, "cancel of a batch asked for");
    let batch = read(services, name).ok().map(|(batch, _)| convert::batch(&batch));
    Ok(CancelBatchResponse { batch, jobs_cancelled: asked })
}

/// Whether it was asked to stop now.
async fn cancel_one(services: &Services, id: JobId, by: &str) -> Result<bool, Error> {
    let asked = AtomicBool::new(false);
    let decide = |job: &Job| {
        let change = cancel_change(job, by);
        asked.store(change.is_some(), Ordering::Relaxed);
        Ok(change)
    };
    match services.engine.change(&id, decide).await {
        // It expired meanwhile: ended, too.
        Err(Refused::JobNotFound(_)) => Ok(false),
        changed => Ok(changed.map(|_| asked.load(Ordering::Relaxed))?),
    }
}
