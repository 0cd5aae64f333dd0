//! From the last piece to the job.

use std::sync::Arc;

use courant_auth::Identity;
use courant_engine::snapshot::JobSnapshot;
use courant_proto::v1::{Job, SubmitJobResponse, Upload};
use futures::TryStreamExt;

use super::stored_upload::{self, StoredUpload};
use super::stored_upload::{UploadKey, unfinished};
use crate::error::Error;
use crate::files::{Document, DocumentWriter};
use crate::jobs::submit::{self, Submitted};
use crate::services::Services;

/// An upload, and the job it has become if it has.
#[derive(Debug)]
pub struct UploadState {
    pub upload: Upload,
    pub job: Option<Job>,
    /// Just before the job's first event; empty without one.
    pub cursor: String,
}

/// How far an upload is. If all its bytes are there and no job is, it becomes one. Must run to its end.
pub async fn state(services: Arc<Services>, identity: Arc<Identity>, key: UploadKey) -> Result<UploadState, Error> {
    if let Some(snapshot) = job(&services, &key).await? {
        return finished(&services, &key, &Submitted::before(snapshot)).await;
    }
    let held = stored_upload::find(&services, &key).await?.ok_or_else(|| key.not_found())?;
    if !held.is_whole() {
        return Ok(UploadState { upload: unfinished(&held), job: None, cursor: String::new() });
    }
    // Two that ask at once must not both put it together.
    let _turn = key.turn(&services).await;
    let submitted = match job(&services, &key).await? {
        Some(snapshot) => Submitted::before(snapshot),
        None => submit(&services, &identity, &key).await?,
    };
    finished(&services, &key, &submitted).await
}

/// The job that it has become.
async fn job(services: &Services, key: &UploadKey) -> Result<Option<JobSnapshot>, Error> {
    let found = services.engine.find(&key.id).await?;
    Ok(found.filter(|snapshot| snapshot.current.job.owner == key.owner))
}

async fn finished(services: &Services, key: &UploadKey, submitted: &Submitted) -> Result<UploadState, Error> {
    let SubmitJobResponse { job, cursor } = submit::answer(services, submitted).await?;
    let length_bytes = submitted.snapshot.current.job.document.bytes as i64;
    let upload = Upload { upload_id: key.id.to_string(), length_bytes, offset_bytes: length_bytes, expire_time: None };
    Ok(UploadState { upload, job, cursor })
}

async fn submit(services: &Arc<Services>, identity: &Identity, key: &UploadKey) -> Result<Submitted, Error> {
    let held =
        stored_upload::find(services, key).await?.filter(StoredUpload::is_whole).ok_or_else(|| key.not_found())?;
    let request = held.request(services, identity)?;
    let reservation = submit::reserve(services, &request)?;
    let document = join(services, &held, services.files.receive_document()).await?;
    let found = &document.stored.sha256;
    if request.sha256.as_deref().is_some_and(|promised| !promised.eq_ignore_ascii_case(found)) {
        // It will never fit: who has the right bytes begins again.
        services.objects.remove_upload(&held.path).await?;
        return Err(Error::ChecksumMismatch { found: found.to_string() });
    }
    let submitted = submit::commit(services.clone(), None, request, document, reservation).await?;
    // The job is there; what is left of the upload is found by the sweep.
    if let Err(error) = services.objects.remove_upload(&held.path).await {
        tracing::warn!(upload = %key.id, %error, "the pieces of a finished upload are left; the next sweep takes them");
    }
    Ok(submitted)
}

/// Streams the pieces into one document.
async fn join(services: &Services, held: &StoredUpload, mut writer: DocumentWriter<'_>) -> Result<Document, Error> {
    let mut copy = async || -> Result<(), Error> {
        for piece in &held.pieces {
            let mut bytes = services.objects.read(&held.path.file(&piece.name), 0, None).await?;
            while let Some(bytes) = bytes.try_next().await? {
                writer.file.push(bytes).await?;
            }
        }
        Ok(())
    };
    match copy().await {
        Ok(()) => writer.finish().await,
        Err(error) => {
            writer.file.abort().await;
            Err(error)
        }
    }
}
