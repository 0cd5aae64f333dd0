//! Writing: what comes is kept, however the stream ends.

use std::sync::Arc;

use courant_auth::Identity;
use courant_proto::v1::write_upload_request::Part;
use courant_proto::v1::{WriteUploadHeader, WriteUploadRequest};
use tonic::Streaming;

use super::append::Appender;
use super::finish::{self, UploadState};
use super::stored_upload::{self, UploadKey, unfinished};
use crate::error::Error;
use crate::incoming_body::IncomingBody;
use crate::jobs::submit::MAX_CHUNK;
use crate::services::Services;

/// Takes bytes in and, with the last of them, makes a job.
pub async fn write(
    services: Arc<Services>,
    identity: Arc<Identity>,
    mut parts: Streaming<WriteUploadRequest>,
) -> Result<UploadState, Error> {
    let buffers = services.config.upload_piece_bytes;
    let mut body = IncomingBody::begin(&services, &identity.subject, buffers).await?;
    let Some(Part::Header(header)) = body.next(next(&mut parts)).await? else {
        return Err(Error::WrongOrder("the first message must be the header"));
    };
    let key = UploadKey::read(&identity, &header.owner, &header.upload_id)?;
    let given = offset(&header)?;
    if services.engine.get(&key.id).is_some_and(|snapshot| snapshot.current.job.owner == key.owner) {
        return repeated(services, identity, key, given).await;
    }
    let held = stored_upload::find(&services, &key).await?.ok_or_else(|| key.not_found())?;
    if given != held.offset {
        return Err(Error::UploadOffset { offset: held.offset, given });
    }
    let mut appender = Appender::new(&services.objects, &services.config, &held);
    let streamed = stream_body(&services, &mut parts, &mut body, &mut appender).await;
    let kept = appender.flush().await;
    let is_whole = appender.is_whole();
    drop(body);
    match streamed.and(kept) {
        Ok(()) if is_whole => finish::state(services, identity, key).await,
        Ok(()) => again(&services, &key).await,
        Err(Error::UploadOffset { .. }) => {
            let offset = stored_upload::find(&services, &key).await?.ok_or_else(|| key.not_found())?.offset;
            Err(Error::UploadOffset { offset, given })
        }
        Err(error) => Err(error),
    }
}

/// The last bytes of an upload that is a job by now: a client that missed the answer asks again, and sends nothing.
async fn repeated(
    services: Arc<Services>,
    identity: Arc<Identity>,
    key: UploadKey,
    given: u64,
) -> Result<UploadState, Error> {
    let state = finish::state(services, identity, key).await?;
    let offset = state.upload.offset_bytes.unsigned_abs();
    if given > offset { Err(Error::UploadOffset { offset, given }) } else { Ok(state) }
}

/// How far it is now: the store's clock says when it expires.
async fn again(services: &Services, key: &UploadKey) -> Result<UploadState, Error> {
    let held = stored_upload::find(services, key).await?.ok_or_else(|| key.not_found())?;
    Ok(UploadState { upload: unfinished(&held), job: None, cursor: String::new() })
}

fn offset(header: &WriteUploadHeader) -> Result<u64, Error> {
    u64::try_from(header.offset_bytes).map_err(|_| Error::field("offset_bytes", "must not be negative"))
}

async fn stream_body(
    services: &Services,
    parts: &mut Streaming<WriteUploadRequest>,
    body: &mut IncomingBody<'_>,
    appender: &mut Appender<'_>,
) -> Result<(), Error> {
    loop {
        let part = tokio::select! {
            part = body.next(next(parts)) => part?,
            () = services.stopping.cancelled() => return Err(Error::Draining),
        };
        match part {
            Some(Part::Chunk(chunk)) if (1..=MAX_CHUNK).contains(&chunk.len()) => {
                body.grow(chunk.len()).await?;
                appender.push(chunk).await?;
            }
            Some(Part::Chunk(_)) => return Err(Error::field("chunk", "must have 1 byte to 1 MiB")),
            Some(Part::Header(_)) => return Err(Error::WrongOrder("only the first message may be a header")),
            None => return Ok(()),
        }
    }
}

async fn next(parts: &mut Streaming<WriteUploadRequest>) -> Result<Option<Part>, Error> {
    match parts.message().await.map_err(|_| Error::WrongOrder("the upload was cut off"))? {
        None => Ok(None),
        Some(WriteUploadRequest { part: Some(part) }) => Ok(Some(part)),
        Some(WriteUploadRequest { part: None }) => Err(Error::WrongOrder("every message must be a header or a chunk")),
    }
}
