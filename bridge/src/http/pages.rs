//! `GET /v1/jobs/{id}/pages/{page}`: what was found on a page, as soon as it is done.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use courant_proto::v1::{ReadPageRequest, ReadPageResponse, read_page_response::Part};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};

use super::results::{chunks, matches_etag, missing_header, set_header};
use crate::api_error::ApiError;
use crate::app::App;
use crate::request::caller::Caller;
use crate::request::path::Path;

/// `GET /v1/jobs/{id}/pages/{page}`
pub async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((job_id, page)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let page = page.parse().map_err(|_| ApiError::field("page", "must be a number, at least 1"))?;
    let download = caller.take_download(&app)?;
    let request = app.server.stream_as(ReadPageRequest { job_id, page }, &caller.token)?;
    let mut stream = app.server.bulk().read_page(request).await?.into_inner();
    let Some(Part::Header(header)) = stream.message().await?.and_then(|first| first.part) else {
        return Err(missing_header());
    };
    // What an attempt has written for a page stays as it is; another attempt may do the page again.
    let tag = format!("\"{page}-{}-{}\"", header.attempt, header.size_bytes);
    let mut response = Response::new(Body::empty());
    set_header(&mut response, ETAG, &tag)?;
    set_header(&mut response, CACHE_CONTROL, "private, no-cache")?;
    if matches_etag(headers.get(IF_NONE_MATCH), &tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    set_header(&mut response, CONTENT_TYPE, "application/json")?;
    set_header(&mut response, CONTENT_LENGTH, &header.size_bytes.to_string())?;
    let chunk = |message: ReadPageResponse| match message.part {
        Some(Part::Chunk(chunk)) => chunk,
        Some(Part::Header(_)) | None => Bytes::new(),
    };
    *response.body_mut() = Body::from_stream(chunks(stream, download, chunk));
    Ok(response)
}
