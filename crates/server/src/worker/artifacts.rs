//! Documents to workers, artifacts from and to them. Each attempt writes into its own folder: a worker that lost its
//! lease can do no harm there.

use courant_auth::Identity;
use courant_joblog::job::Job;
use courant_proto::v1::write_artifact_request::Part;
use courant_proto::v1::{
    ReadArtifactRequest, ReadArtifactResponse, ReadDocumentResponse, WriteArtifactHeader, WriteArtifactRequest,
    WriteArtifactResponse,
};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tonic::{Status, Streaming};

use super::access::held;
use super::registry::Registry;
use crate::error::Error;
use crate::files::{FileWriter, JobFile};
use crate::incoming_body::IncomingBody;
use crate::job_folder::JobFolder;
use crate::objects::Stored;
use crate::services::Services;

/// The longest name of an artifact in bytes.
pub const MAX_NAME: usize = 128;

/// The document of a held job.
pub async fn read_document(
    services: &Services,
    job: &Job,
) -> Result<BoxStream<'static, Result<ReadDocumentResponse, Status>>, Error> {
    let file = JobFile::document(JobFolder::of(job), &job.document.sha256);
    let pieces = services.files.read(&file, 0, None).await?;
    Ok(pieces.map_ok(|chunk| ReadDocumentResponse { chunk }).map_err(Status::from).boxed())
}

/// An artifact of this or an earlier attempt.
pub async fn read(
    services: &Services,
    registry: &Registry,
    request: ReadArtifactRequest,
) -> Result<BoxStream<'static, Result<ReadArtifactResponse, Status>>, Error> {
    let (_, job) = held(services, registry, request.attempt).await?;
    check_name("name", &request.name)?;
    let writer = u32::try_from(request.written_by).map_err(|_| Error::field("written_by", "must be at least 1"))?;
    let file = JobFile::artifact(&job, writer, &request.name);
    let pieces = services.files.read(&file, 0, None).await.map_err(|error| match error {
        Error::Objects(object_store::Error::NotFound { .. }) => Error::ArtifactNotFound(request.name),
        other => other,
    })?;
    Ok(pieces.map_ok(|chunk| ReadArtifactResponse { chunk }).map_err(Status::from).boxed())
}

pub async fn write(
    services: &Services,
    registry: &Registry,
    identity: &Identity,
    mut parts: Streaming<WriteArtifactRequest>,
) -> Result<WriteArtifactResponse, Error> {
    let mut body = IncomingBody::begin(services, &identity.subject, services.objects.write_buffers()).await?;
    let Some(Part::Header(WriteArtifactHeader { attempt, name })) = body.next(next(&mut parts)).await? else {
        return Err(Error::WrongOrder("the first message must be the header"));
    };
    check_name("name", &name)?;
    let (holder, job) = held(services, registry, attempt).await?;
    let attempt = &holder.attempt;
    drop(holder.enter(services, &registry.parts, &name)?);
    let file = JobFile::artifact(&job, attempt.number, &name);
    let mut writer = services.files.receive_artifact(file);
    let poured = stream_body(services.config.max_artifact_bytes, &mut parts, &mut body, &mut writer.file).await;
    // An attempt or a part that ended meanwhile leaves nothing behind.
    match poured.and_then(|()| holder.enter(services, &registry.parts, &name)) {
        Ok(_inside) => {
            let Stored { bytes, sha256 } = writer.finish().await?;
            attempt.held_job(&services.engine)?;
            Ok(WriteArtifactResponse { size_bytes: bytes as i64, sha256: sha256.into() })
        }
        Err(error) => {
            writer.file.abort().await;
            Err(error)
        }
    }
}

async fn next(parts: &mut Streaming<WriteArtifactRequest>) -> Result<Option<Part>, Error> {
    let message = parts.message().await.map_err(|_| Error::WrongOrder("the artifact was cut off"))?;
    match message {
        None => {
            // A client that gave up looks like the end of the stream until this call is dropped, which happens when it
            // waits: half a document must not be taken for a whole one.
            tokio::task::yield_now().await;
            Ok(None)
        }
        Some(WriteArtifactRequest { part: Some(part) }) => Ok(Some(part)),
        Some(WriteArtifactRequest { part: None }) => {
            Err(Error::WrongOrder("every message must be a header or a chunk"))
        }
    }
}

async fn stream_body(
    limit: u64,
    parts: &mut Streaming<WriteArtifactRequest>,
    body: &mut IncomingBody<'_>,
    writer: &mut FileWriter<'_>,
) -> Result<(), Error> {
    while let Some(part) = body.next(next(parts)).await? {
        let Part::Chunk(chunk) = part else {
            return Err(Error::WrongOrder("only the first message may be a header"));
        };
        if writer.bytes() + chunk.len() as u64 > limit {
            return Err(Error::ArtifactTooLarge { limit });
        }
        body.grow(chunk.len()).await?;
        writer.push(chunk).await?;
    }
    Ok(())
}

/// Whether an artifact may have this name.
pub(super) fn check_name(field: &'static str, name: &str) -> Result<(), Error> {
    let part_fits = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte))
    };
    if name.len() <= MAX_NAME && name.split('/').count() <= 2 && name.split('/').all(part_fits) {
        return Ok(());
    }
    Err(Error::field(
        field,
        "must be 1 to 128 of [a-z0-9._-] in at most two parts divided by /, none beginning with a dot",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_taken() {
        for good in ["result.md", "pages/000001.json", "a-b_c"] {
            assert!(check_name("name", good).is_ok(), "{good}");
        }
        for bad in ["", "/", "a/", "../x", "a/../b", "a/b/c", ".hidden", "Ä", "a b", "a\\b", &"x".repeat(129)] {
            assert!(check_name("name", bad).is_err(), "{bad}");
        }
    }
}
