//! The console's files.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use courant_runtime::hex;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{Method, StatusCode};

use crate::api_error::{ApiError, Code};
use crate::app::App;

/// Files under this have a hash in their name: a new content is a new name.
const HASHED: &str = "assets/";
const INDEX: &str = "index.html";

/// Any path that is nothing else: a file, or the page itself for paths of the page's own.
pub async fn serve(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Err(ApiError::new(Code::MethodNotAllowed, "this path can only be read"));
    }
    let path = request.uri().path().trim_start_matches('/');
    let path = if path.is_empty() { INDEX } else { path };
    let known = request.headers().get(IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
    match (app.config.console)(path) {
        Some(file) => Ok(file_response(path, file, known)),
        // What looks like a file and is not there is missing; everything else is a place inside the page.
        None if path.rsplit('/').next().is_some_and(|last| last.contains('.')) => {
            Err(ApiError::new(Code::NotFound, "there is nothing at this path"))
        }
        None => {
            let index = (app.config.console)(INDEX).ok_or_else(|| {
                ApiError::new(Code::NotFound, "this program was built without the console; `make build` builds it in")
            })?;
            Ok(file_response(INDEX, index, known))
        }
    }
}

fn file_response(path: &str, (bytes, sha256): (Cow<'static, [u8]>, [u8; 32]), known: Option<&str>) -> Response {
    let tag = format!("\"{}\"", hex(&sha256));
    let keep = if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [(CACHE_CONTROL, keep), (CONTENT_TYPE, media_type(path)), (ETAG, tag.as_str())];
    if known.is_some_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag)) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, bytes).into_response()
}

/// The kinds of files a console has.
fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
