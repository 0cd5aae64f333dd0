//! Beginning an upload. What would be refused at its end is refused here, before anything is sent.

use std::sync::Arc;

use courant_auth::Identity;
use courant_engine::quota::{self, QuotaExceeded, QuotaKind};
use courant_joblog::ids::{JobId, Owner};
use courant_proto::v1::SubmitJobHeader;
use futures::{StreamExt, TryStreamExt};

use super::finish::{self, UploadState};
use super::stored_upload::{self, UploadKey, unfinished};
use crate::error::Error;
use crate::jobs::submit;
use crate::jobs::submit_request::SubmitRequest;
use crate::services::Services;

/// Uploads of one owner read at once.
const READ_AT_ONCE: usize = 16;

/// Begins an upload, or finds the one that this request began before.
pub async fn create(
    services: Arc<Services>,
    identity: Arc<Identity>,
    header: SubmitJobHeader,
) -> Result<UploadState, Error> {
    let request = SubmitRequest::check(header.clone(), &identity, &services.config)?;
    let length = request.bytes.ok_or_else(|| Error::field("document_bytes", "must be the size of the document"))?;
    let key = UploadKey { owner: request.owner.clone(), id: request.id.clone() };
    // One at a time: many at once do not go over the limits together.
    let _turn = turn(&services, &key.owner).await;
    match finish::state(services.clone(), identity, key.clone()).await {
        Err(Error::UploadNotFound(_)) => {}
        known => return known.and_then(|known| same(&request, length, known)),
    }
    drop(submit::reserve(&services, &request)?);
    check_limit(&services, &key.owner, length).await?;
    // One that has expired and is not swept yet would be in the way.
    services.objects.remove_upload(&services.objects.upload_path(&key.owner, &key.id)).await?;
    stored_upload::begin(&services, &key, header).await?;
    tracing::debug!(upload = %key.id, owner = %key.owner, bytes = length, "upload begun");
    let held = stored_upload::find(&services, &key).await?.ok_or_else(|| key.not_found())?;
    // Another server may have been quicker with the same request.
    if held.length() != length {
        return Err(Error::RequestIdMismatch);
    }
    Ok(UploadState { upload: unfinished(&held), job: None, cursor: String::new() })
}

/// Waits for one's turn to begin or sweep uploads of an owner.
pub async fn turn(services: &Services, owner: &Owner) -> crate::holds::Hold {
    services.holds.take(&JobId::new(format!("uploads of {owner}"))).await
}

/// What is there, if it is for the same document.
fn same(request: &SubmitRequest, length: u64, known: UploadState) -> Result<UploadState, Error> {
    let is_other = |job: &courant_proto::v1::Job| {
        request.sha256.as_deref().is_some_and(|promised| !promised.eq_ignore_ascii_case(&job.document_sha256))
    };
    if known.upload.length_bytes.unsigned_abs() != length || known.job.as_ref().is_some_and(is_other) {
        return Err(Error::RequestIdMismatch);
    }
    Ok(known)
}

/// Whether an owner may have one more, of so many bytes.
async fn check_limit(services: &Services, owner: &Owner, length: u64) -> Result<(), Error> {
    let folder = services.objects.uploads_path(owner);
    let ids = services.objects.folders(&folder).await?;
    let names = ids.iter().filter_map(|path| Some(UploadKey { owner: owner.clone(), id: JobId::new(path.id()?) }));
    let found = futures::stream::iter(names.collect::<Vec<_>>())
        .map(|key| async move { stored_upload::find(services, &key).await })
        .buffer_unordered(READ_AT_ONCE)
        .try_filter_map(|held| std::future::ready(Ok(held.map(|held| held.length()))));
    let lengths: Vec<u64> = found.try_collect().await?;
    let refuse = |which, limit, retry_after| {
        services.projections.quota_refusals.of(which).inc();
        Err(QuotaExceeded { owner: owner.clone(), which, limit, retry_after }.into())
    };
    let most = services.config.uploads_per_user;
    if lengths.len() >= most {
        return refuse(QuotaKind::Uploads, most as u64, Some(quota::LOOK_AGAIN));
    }
    let most = services.config.upload_bytes_per_user;
    let sum = lengths.iter().fold(length, |sum, length| sum.saturating_add(*length));
    if most > 0 && sum > most {
        return refuse(QuotaKind::UploadBytes, most, (length <= most).then_some(quota::LOOK_AGAIN));
    }
    Ok(())
}
