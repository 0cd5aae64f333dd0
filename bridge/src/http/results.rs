//! `GET /v1/jobs/{id}/results/{format}`, `/outputs/{name}` and `/document`: bytes stream from the server to the browser.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use courant_proto::v1::download_document_response::Part as DocumentPart;
use courant_proto::v1::read_output_response::Part as OutputPart;
use courant_proto::v1::{self, ErrorReason, read_result_response::Part};
use futures::StreamExt;
use futures::stream::BoxStream;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tonic::Streaming;

use crate::api_error::{ApiError, Code};
use crate::app::App;
use crate::ledger::Share;
use crate::request::caller::Caller;
use crate::request::path::Path;
use crate::wire::names;

/// A result of a document nobody has vetted: when shown, it runs nothing and reaches nothing.
const SANDBOX: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// The part of a result that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ByteRange {
    All,
    /// From here to there, inclusive; to the end if open.
    From(u64, Option<u64>),
    /// The last so many bytes.
    Last(u64),
}

/// `GET /v1/jobs/{id}/results/{format}`
pub async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((job_id, format)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::new(Code::Server(ErrorReason::ResultNotFound), "a result is json, md, txt or html");
    let format = names::parse_format(&format).ok_or_else(unknown)?;
    serve(&Source { app, caller, job_id, file: File::Result(format) }, &headers).await
}

/// `GET /v1/jobs/{id}/outputs/{name}`
pub async fn output(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((job_id, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    serve(&Source { app, caller, job_id, file: File::Output(name) }, &headers).await
}

/// `GET /v1/jobs/{id}/document`
pub async fn document(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(job_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    serve(&Source { app, caller, job_id, file: File::Document }, &headers).await
}

async fn serve(source: &Source, headers: &HeaderMap) -> Result<Response, ApiError> {
    let conditional = headers.contains_key(IF_NONE_MATCH) || headers.contains_key(RANGE);
    if !conditional {
        return whole(source).await;
    }
    let (header, _) = source.open(0, 1).await?;
    if matches_etag(headers.get(IF_NONE_MATCH), &etag(&header)) {
        return answer(&header, &source.file, StatusCode::NOT_MODIFIED, (Body::empty(), None));
    }
    let range_holds = headers.get(IF_RANGE).is_none_or(|tag| tag.as_bytes() == etag(&header).as_bytes());
    let range_wanted = headers.get(RANGE).filter(|_| range_holds).map_or(ByteRange::All, range);
    let size = u64::try_from(header.size_bytes).unwrap_or_default();
    match span(range_wanted, size) {
        None => unsatisfiable(size),
        Some(_) if range_wanted == ByteRange::All => whole(source).await,
        Some((first, last)) => {
            let length = (last - first + 1) as i64;
            let (header, bytes) = source.open(first as i64, length).await?;
            let body = (Body::from_stream(bytes), Some(length));
            let mut response = answer(&header, &source.file, StatusCode::PARTIAL_CONTENT, body)?;
            set_header(&mut response, CONTENT_RANGE, &format!("bytes {first}-{last}/{size}"))?;
            Ok(response)
        }
    }
}

/// All of a result that nobody can ask for again at the same path.
pub(super) fn file(header: &v1::ReadResultHeader, body: Body) -> Result<Response, ApiError> {
    let mut response = answer(header, &File::Output(String::new()), StatusCode::OK, (body, Some(header.size_bytes)))?;
    response.headers_mut().remove(ACCEPT_RANGES);
    Ok(response)
}

async fn whole(source: &Source) -> Result<Response, ApiError> {
    let (header, bytes) = source.open(0, 0).await?;
    let length = header.size_bytes;
    answer(&header, &source.file, StatusCode::OK, (Body::from_stream(bytes), Some(length)))
}

/// File is read of a job.
enum File {
    Document,
    Result(v1::ResultFormat),
    /// By its name.
    Output(String),
}

struct Source {
    app: Arc<App>,
    caller: Caller,
    job_id: String,
    file: File,
}

/// A stream that breaks breaks the response, so that half a file is never taken for one.
pub(super) type Chunks = BoxStream<'static, std::io::Result<Bytes>>;

impl Source {
    async fn open(&self, offset: i64, limit: i64) -> Result<(v1::ReadResultHeader, Chunks), ApiError> {
        match &self.file {
            File::Result(format) => self.result(*format, offset, limit).await,
            File::Output(name) => self.output(name, offset, limit).await,
            File::Document => self.document(offset, limit).await,
        }
    }

    async fn result(
        &self,
        format: v1::ResultFormat,
        offset: i64,
        limit: i64,
    ) -> Result<(v1::ReadResultHeader, Chunks), ApiError> {
        let download = self.caller.take_download(&self.app)?;
        let request = v1::ReadResultRequest { job_id: self.job_id.clone(), format: format.into(), offset, limit };
        let request = self.app.server.stream_as(request, &self.caller.token)?;
        let mut stream = self.app.server.bulk().read_result(request).await?.into_inner();
        let Some(Part::Header(header)) = stream.message().await?.and_then(|first| first.part) else {
            return Err(missing_header());
        };
        let chunk = |message: v1::ReadResultResponse| match message.part {
            Some(Part::Chunk(chunk)) => chunk,
            Some(Part::Header(_)) | None => Bytes::new(),
        };
        Ok((header, chunks(stream, download, chunk)))
    }

    async fn output(&self, name: &str, offset: i64, limit: i64) -> Result<(v1::ReadResultHeader, Chunks), ApiError> {
        let download = self.caller.take_download(&self.app)?;
        let request = v1::ReadOutputRequest { job_id: self.job_id.clone(), name: name.to_owned(), offset, limit };
        let request = self.app.server.stream_as(request, &self.caller.token)?;
        let mut stream = self.app.server.bulk().read_output(request).await?.into_inner();
        let Some(OutputPart::Header(output)) = stream.message().await?.and_then(|first| first.part) else {
            return Err(missing_header());
        };
        let chunk = |message: v1::ReadOutputResponse| match message.part {
            Some(OutputPart::Chunk(chunk)) => chunk,
            Some(OutputPart::Header(_)) | None => Bytes::new(),
        };
        Ok((header_of(output), chunks(stream, download, chunk)))
    }

    async fn document(&self, offset: i64, limit: i64) -> Result<(v1::ReadResultHeader, Chunks), ApiError> {
        let download = self.caller.take_download(&self.app)?;
        let request = v1::DownloadDocumentRequest { job_id: self.job_id.clone(), offset, limit };
        let request = self.app.server.stream_as(request, &self.caller.token)?;
        let mut stream = self.app.server.bulk().download_document(request).await?.into_inner();
        let Some(DocumentPart::Header(header)) = stream.message().await?.and_then(|first| first.part) else {
            return Err(missing_header());
        };
        let chunk = |message: v1::DownloadDocumentResponse| match message.part {
            Some(DocumentPart::Chunk(chunk)) => chunk,
            Some(DocumentPart::Header(_)) | None => Bytes::new(),
        };
        Ok((header, chunks(stream, download, chunk)))
    }
}

/// An output as a file, named by the last part of its name.
fn header_of(output: v1::Output) -> v1::ReadResultHeader {
    let v1::Output { name, media_type, size_bytes, sha256, attempt: _ } = output;
    let filename = name.rsplit('/').next().unwrap_or(&name).to_owned();
    v1::ReadResultHeader { content_type: media_type, filename, size_bytes, sha256 }
}

/// The bytes of a stream of messages.
pub(super) fn chunks<M: Send + 'static>(
    stream: Streaming<M>,
    download: Share,
    chunk: impl Fn(M) -> Bytes + Send + 'static,
) -> Chunks {
    let piece = move |message: Result<M, tonic::Status>| {
        // Held as long as the stream.
        let _ = &download;
        message.map(&chunk).map_err(std::io::Error::other)
    };
    stream.map(piece).boxed()
}

pub(super) fn missing_header() -> ApiError {
    tracing::error!("server sent a stream without its header");
    ApiError::new(Code::Server(ErrorReason::Internal), "something failed on our side; try again")
}

fn answer(
    header: &v1::ReadResultHeader,
    file: &File,
    status: StatusCode,
    (body, length): (Body, Option<i64>),
) -> Result<Response, ApiError> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    set_header(&mut response, ETAG, &etag(header))?;
    set_header(&mut response, CACHE_CONTROL, "private, no-cache")?;
    set_header(&mut response, ACCEPT_RANGES, "bytes")?;
    if let Some(length) = length {
        set_header(&mut response, CONTENT_LENGTH, &length.to_string())?;
        set_header(&mut response, CONTENT_TYPE, &header.content_type)?;
        set_header(&mut response, CONTENT_DISPOSITION, &disposition(&header.filename))?;
    }
    if matches!(file, File::Document | File::Output(_) | File::Result(v1::ResultFormat::Html)) {
        set_header(&mut response, CONTENT_SECURITY_POLICY, SANDBOX)?;
    }
    Ok(response)
}

pub(super) fn set_header(response: &mut Response, name: HeaderName, value: &str) -> Result<(), ApiError> {
    let value = HeaderValue::from_str(value).map_err(|_| {
        tracing::error!(%name, "server sent a value that no header can carry");
        ApiError::new(Code::Server(ErrorReason::Internal), "something failed on our side; the log says more")
    })?;
    response.headers_mut().insert(name, value);
    Ok(())
}

fn unsatisfiable(size: u64) -> Result<Response, ApiError> {
    use axum::response::IntoResponse as _;
    let error = ApiError::new(Code::Server(ErrorReason::OffsetOutOfRange), format!("there are {size} bytes"));
    let mut response = error.into_response();
    set_header(&mut response, CONTENT_RANGE, &format!("bytes */{size}"))?;
    Ok(response)
}

fn etag(header: &v1::ReadResultHeader) -> String {
    format!("\"{}\"", header.sha256)
}

/// Whether the asker has what the tag names already.
pub(super) fn matches_etag(condition: Option<&HeaderValue>, tag: &str) -> bool {
    let condition = condition.and_then(|value| value.to_str().ok()).unwrap_or_default();
    condition.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

/// One range; anything else means all of it (RFC 9110, section 14.2).
fn range(value: &HeaderValue) -> ByteRange {
    let parse = || {
        let (first, last) = value.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
        Some(match (first.trim(), last.trim()) {
            ("", last) => ByteRange::Last(last.parse().ok()?),
            (first, "") => ByteRange::From(first.parse().ok()?, None),
            (first, last) => {
                let (first, last) = (first.parse().ok()?, last.parse().ok()?);
                (first <= last).then_some(ByteRange::From(first, Some(last)))?
            }
        })
    };
    parse().unwrap_or(ByteRange::All)
}

/// First and last byte, inclusive; none when there are no such bytes.
fn span(range_wanted: ByteRange, size: u64) -> Option<(u64, u64)> {
    let end = size.checked_sub(1);
    match range_wanted {
        ByteRange::All => Some((0, end.unwrap_or_default())),
        ByteRange::From(first, last) => {
            let end = end.filter(|end| first <= *end)?;
            Some((first, last.unwrap_or(end).min(end)))
        }
        ByteRange::Last(0) => None,
        ByteRange::Last(count) => end.map(|end| (size.saturating_sub(count), end)),
    }
}

/// A download with a name that cannot break out of the header: plain, and in full for those who read RFC 8187.
fn disposition(name: &str) -> String {
    let plain: String = name.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
    let mut full = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            full.push(char::from(byte));
        } else {
            full.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{full}")
}

fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || " ()+,-._@".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_cut_to_size() {
        let of = |text: &'static str, size| span(range(&HeaderValue::from_static(text)), size);
        assert_eq!(of("bytes=0-99", 10), Some((0, 9)));
        assert_eq!(of("bytes=4-", 10), Some((4, 9)));
        assert_eq!(of("bytes=-3", 10), Some((7, 9)));
        assert_eq!(of("bytes=-30", 10), Some((0, 9)));
        for none in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(of(none, 10), None, "{none}");
        }
        assert_eq!(of("bytes=-1", 0), None);
        for all in ["bytes=5-4", "bytes=1-2,4-5", "lines=1-2", "bytes=a-"] {
            assert_eq!(range(&HeaderValue::from_static(all)), ByteRange::All, "{all}");
        }
    }

    #[test]
    fn names_cannot_break_out_of_the_header() {
        let value = disposition("a\"; x=\"é\r\n.md");
        assert_eq!(
            value,
            "attachment; filename=\"a__ x____.md\"; filename*=UTF-8''a%22%3B%20x%3D%22%C3%A9%0D%0A.md"
                .replace("a__ x____", "a__ x_____")
        );
        assert!(HeaderValue::from_str(&value).is_ok());
    }
}
