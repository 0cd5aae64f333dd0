//! Reading results as streams.

use courant_joblog::job::{ExportState, Format, Job};
use courant_proto::v1::read_result_response::Part;
use courant_proto::v1::{ReadResultHeader, ReadResultRequest, ReadResultResponse};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tonic::Status;

use crate::convert;
use crate::engine::Engine;
use crate::error::Error;

/// The name of an export among its attempt's artifacts.
pub fn artifact_name(format: Format) -> String {
    format!("result.{}", format.extension())
}

/// The media type of a format.
pub fn content_type(format: Format) -> &'static str {
    match format {
        Format::Json => "application/json",
        Format::Markdown => "text/markdown; charset=utf-8",
        Format::Text => "text/plain; charset=utf-8",
        Format::Html => "text/html; charset=utf-8",
    }
}

/// The header and the bytes asked for.
pub async fn read(
    engine: &Engine,
    job: &Job,
    request: &ReadResultRequest,
) -> Result<BoxStream<'static, Result<ReadResultResponse, Status>>, Error> {
    let format = convert::format_in("format", request.format)?;
    let (attempt, bytes, sha256) = written(job, format)?;
    let offset = number("offset", request.offset)?;
    let limit = Some(number("limit", request.limit)?).filter(|limit| *limit > 0);
    if offset > bytes {
        return Err(Error::Offset { offset, size: bytes });
    }
    let header = ReadResultHeader {
        content_type: content_type(format).to_owned(),
        filename: format!("{}.{}", stem(&job.document.name), format.extension()),
        size_bytes: bytes as i64,
        sha256: sha256.to_owned(),
    };
    let header = futures::stream::once(async { Ok(ReadResultResponse { part: Some(Part::Header(header)) }) });
    if offset == bytes {
        return Ok(header.boxed());
    }
    let path = engine.objects.artifact(&job.id, attempt, &artifact_name(format));
    let pieces = engine.objects.read(&path, offset, limit).await.map_err(|error| match error {
        // Removed since we looked.
        Error::Objects(object_store::Error::NotFound { .. }) if engine.get(&job.id).is_none() => {
            Error::JobNotFound(job.id.clone())
        }
        other => other,
    })?;
    let pieces = pieces.map_ok(|chunk| ReadResultResponse { part: Some(Part::Chunk(chunk)) }).map_err(Status::from);
    Ok(header.chain(pieces).boxed())
}

fn written(job: &Job, format: Format) -> Result<(u32, u64, &str), Error> {
    if !job.formats.contains(&format) {
        return Err(Error::ResultNotFound { job: job.id.clone(), format });
    }
    match job.exports.iter().find(|export| export.format == format) {
        Some(export) => match &export.state {
            ExportState::Completed { bytes, sha256 } => Ok((export.attempt, *bytes, sha256)),
            ExportState::Failed(_) => Err(Error::ResultNotFound { job: job.id.clone(), format }),
            ExportState::Started => Err(Error::ResultNotReady { job: job.id.clone(), format }),
        },
        None if job.state.is_terminal() => Err(Error::ResultNotFound { job: job.id.clone(), format }),
        None => Err(Error::ResultNotReady { job: job.id.clone(), format }),
    }
}

fn number(field: &'static str, number: i64) -> Result<u64, Error> {
    u64::try_from(number).map_err(|_| Error::field(field, "must not be negative"))
}

/// The document's name without its extension.
fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}
