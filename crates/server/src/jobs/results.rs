//! Reading results and documents as streams.

use bytes::Bytes;
use courant_engine::Error as Refused;
use courant_joblog::job::{ExportState, Format, Job};
use courant_proto::v1::download_document_response::Part as DocumentPart;
use courant_proto::v1::read_page_response::Part as PagePart;
use courant_proto::v1::read_result_response::Part;
use courant_proto::v1::{
    DownloadDocumentRequest, DownloadDocumentResponse, ReadPageHeader, ReadPageRequest, ReadPageResponse,
    ReadResultHeader, ReadResultRequest, ReadResultResponse,
};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tonic::Status;

use crate::convert;
use crate::error::Error;
use crate::files::JobFile;
use crate::job_folder::JobFolder;
use crate::objects::{artifact_name, page_name};
use crate::parameters::PDF_KIND;
use crate::services::Services;

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
    services: &Services,
    job: &Job,
    request: &ReadResultRequest,
) -> Result<BoxStream<'static, Result<ReadResultResponse, Status>>, Error> {
    let format = convert::format_in("format", request.format)?;
    let (attempt, bytes, sha256) = written(job, format)?;
    let header = ReadResultHeader {
        content_type: content_type(format).to_owned(),
        filename: format!("{}.{}", stem(&job.document.name), format.extension()),
        size_bytes: bytes as i64,
        sha256: sha256.to_owned(),
    };
    let file = JobFile::artifact(job, attempt, &artifact_name(format));
    let range = ByteRange::of(request.offset, request.limit, bytes)?;
    let pieces = pieces(services, job, &file, range).await?;
    let header = futures::stream::once(async { Ok(ReadResultResponse { part: Some(Part::Header(header)) }) });
    let pieces = pieces.map_ok(|chunk| ReadResultResponse { part: Some(Part::Chunk(chunk)) });
    Ok(header.chain(pieces).boxed())
}

/// What was found on a page: its artifact, durable before the page is reported done.
pub async fn read_page(
    services: &Services,
    job: &Job,
    request: &ReadPageRequest,
) -> Result<BoxStream<'static, Result<ReadPageResponse, Status>>, Error> {
    let page = u32::try_from(request.page).ok().filter(|page| *page > 0);
    let page = page.ok_or_else(|| Error::field("page", "must be at least 1"))?;
    let attempt = attempt_of_page(job, page)?;
    let file = JobFile::artifact(job, attempt, &page_name(page));
    let (size, pieces) = services.files.open(&file).await.map_err(|error| gone(services, job, error))?;
    let header = ReadPageHeader { attempt: attempt as i32, size_bytes: size as i64 };
    let part = |part| Ok(ReadPageResponse { part: Some(part) });
    let header = futures::stream::once(async move { part(PagePart::Header(header)) });
    let pieces = pieces.map_err(Status::from).map(move |chunk| part(PagePart::Chunk(chunk?)));
    Ok(header.chain(pieces).boxed())
}

/// The attempt that did a page.
fn attempt_of_page(job: &Job, page: u32) -> Result<u32, Error> {
    let beyond = job.pages.in_document().is_some_and(|last| page > last);
    match job.pages.attempt_of_page(page) {
        Some(attempt) => Ok(attempt),
        None if beyond || job.state.is_terminal() => Err(Error::PageNotFound { job: job.id.clone(), page }),
        None => Err(Error::PageNotReady { job: job.id.clone(), page }),
    }
}

/// The header and the bytes asked for of the document itself.
pub async fn read_document(
    services: &Services,
    job: &Job,
    request: &DownloadDocumentRequest,
) -> Result<BoxStream<'static, Result<DownloadDocumentResponse, Status>>, Error> {
    let of = &job.document;
    let header = ReadResultHeader {
        content_type: if &*job.kind == PDF_KIND { "application/pdf" } else { "application/octet-stream" }.to_owned(),
        filename: of.name.to_string(),
        size_bytes: of.bytes as i64,
        sha256: of.sha256.to_string(),
    };
    let file = JobFile::document(JobFolder::of(job), &of.sha256);
    let range = ByteRange::of(request.offset, request.limit, of.bytes)?;
    let pieces = pieces(services, job, &file, range).await?;
    let part = |part| Ok(DownloadDocumentResponse { part: Some(part) });
    let header = futures::stream::once(async move { part(DocumentPart::Header(header)) });
    let pieces = pieces.map(move |chunk| part(DocumentPart::Chunk(chunk?)));
    Ok(header.chain(pieces).boxed())
}

/// The bytes of something stored that were asked for; none, when that is behind its end.
#[derive(Clone, Copy)]
pub(super) struct ByteRange {
    offset: u64,
    limit: Option<u64>,
    empty: bool,
}

impl ByteRange {
    pub(super) fn of(offset: i64, limit: i64, size: u64) -> Result<Self, Error> {
        let offset = number("offset", offset)?;
        let limit = Some(number("limit", limit)?).filter(|limit| *limit > 0);
        if offset > size {
            Err(Error::Offset { offset, size })
        } else {
            Ok(Self { offset, limit, empty: offset == size })
        }
    }
}

pub(super) async fn pieces(
    services: &Services,
    job: &Job,
    file: &JobFile,
    range: ByteRange,
) -> Result<BoxStream<'static, Result<Bytes, Status>>, Error> {
    if range.empty {
        return Ok(futures::stream::empty().boxed());
    }
    let pieces =
        services.files.read(file, range.offset, range.limit).await.map_err(|error| gone(services, job, error))?;
    Ok(pieces.map_err(Status::from).boxed())
}

/// Something that is not there any more was removed with its job since the job was read.
pub(super) fn gone(services: &Services, job: &Job, error: Error) -> Error {
    match error {
        Error::Objects(object_store::Error::NotFound { .. }) if services.engine.get(&job.id).is_none() => {
            Refused::JobNotFound(job.id.clone()).into()
        }
        other => other,
    }
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
