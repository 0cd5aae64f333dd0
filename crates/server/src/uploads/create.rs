//! Beginning an upload. What would be refused at its end is refused here, before anything is sent.

use std::sync::Arc;

use courant_auth::Identity;
use courant_engine::quota::{self, Refusal, Which};
use courant_joblog::ids::{JobId, Owner};
use courant_proto::v1::SubmitJobHeader;
use futures::{StreamExt, TryStreamExt};

use super::finish::{self, Outcome};
use super::held::{self, Name, unfinished};
use crate::error::Error;
use crate::jobs::submit;
use crate::jobs::submit_request::SubmitRequest;
use crate::services::Services;

/// Uploads of one owner looked at at once.
const LOOKED_AT: usize = 16;

/// Begins an upload, or finds the one that this request began before.
pub async fn create(services: Arc<Services>, identity: Identity, header: SubmitJobHeader) -> Result<Outcome, Error> {
    let request = SubmitRequest::check(header.clone(), &identity, &services.config)?;
    let length = request.bytes.ok_or_else(|| Error::field("document_bytes", "must be the size of the document"))?;
    let name = Name { owner: request.owner.clone(), id: request.id.clone() };
    // One at a time: many at once do not go over the limits together.
    let _turn = turn(&services, &name.owner).await;
    match finish::state(services.clone(), identity, name.clone()).await {
        Err(Error::UploadNotFound(_)) => {}
        known => return known.and_then(|known| same(&request, length, known)),
    }
    drop(submit::reserve(&services, &request)?);
    check_limit(&services, &name.owner, length).await?;
    // One that has expired and is not swept yet would be in the way.
    services.objects.remove_resumable(&services.objects.resumable(&name.owner, &name.id)).await?;
    held::begin(&services, &name, header).await?;
    tracing::debug!(upload = %name.id, owner = %name.owner, bytes = length, "upload begun");
    let held = held::find(&services, &name).await?.ok_or_else(|| name.not_found())?;
    // Another server may have been quicker with the same request.
    if held.length() != length {
        return Err(Error::RequestIdMismatch);
    }
    Ok(Outcome { upload: unfinished(&held), job: None, cursor: String::new() })
}

/// Waits for one's turn to begin or sweep uploads of an owner.
pub async fn turn(services: &Services, owner: &Owner) -> crate::holds::Hold {
    services.holds.take(&JobId::new(format!("uploads of {owner}"))).await
}

/// What is there, if it is for the same document.
fn same(request: &SubmitRequest, length: u64, known: Outcome) -> Result<Outcome, Error> {
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
    let folder = services.objects.resumable_of(owner);
    let ids = services.objects.folders(&folder).await?;
    let names = ids.iter().filter_map(|place| Some(Name { owner: owner.clone(), id: JobId::new(place.id()?) }));
    let found = futures::stream::iter(names.collect::<Vec<_>>())
        .map(|name| async move { held::find(services, &name).await })
        .buffer_unordered(LOOKED_AT)
        .try_filter_map(|held| std::future::ready(Ok(held.map(|held| held.length()))));
    let lengths: Vec<u64> = found.try_collect().await?;
    let refuse = |which, limit, retry_after| Err(Refusal { owner: owner.clone(), which, limit, retry_after }.into());
    let most = services.config.uploads_per_user;
    if lengths.len() >= most {
        return refuse(Which::Uploads, most as u64, Some(quota::LOOK_AGAIN));
    }
    let most = services.config.upload_bytes_per_user;
    let sum = lengths.iter().fold(length, |sum, length| sum.saturating_add(*length));
    if most > 0 && sum > most {
        return refuse(Which::UploadBytes, most, (length <= most).then_some(quota::LOOK_AGAIN));
    }
    Ok(())
}
