//! `/v1/uploads`: uploads that may be cut and go on, by the protocol tus 1.0.0, which has clients people use.
//!
//! Nothing is kept here: what came lies with the server, so any bridge can go on with an upload that another began.

mod body;
mod fields;
mod status;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use courant_proto::v1;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ALLOW, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use self::body::UploadBody;
use self::fields::VERSION;
pub use self::fields::has_body;
use self::status::{UploadStatus, status};
use super::document_body::drain;
use crate::api_error::{ApiError, Code};
use crate::app::App;
use crate::request::caller::Caller;
use crate::request::path::Path;
use crate::request::{parameters, query};
use crate::wire::admin::AuditAction;

/// Its extensions that are known here.
const EXTENSIONS: &str = "creation,creation-with-upload,expiration,termination";

/// What all answers have, and the answer to `OPTIONS`. Outermost: the layer for CORS takes every `OPTIONS` for itself.
pub async fn tus(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path != "/v1/uploads" && !path.starts_with("/v1/uploads/") {
        return next.run(request).await;
    }
    let is_preflight = request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let asks_for_offset = request.method() == Method::HEAD
        || method_override(request.headers()).is_some_and(|method| method.eq_ignore_ascii_case("HEAD"));
    let mut response = if request.method() == Method::OPTIONS && !is_preflight {
        let most = HeaderValue::from(app.config.limits.upload_bytes);
        let head = [("tus-version", VERSION), ("tus-extension", EXTENSIONS)];
        (StatusCode::NO_CONTENT, head, [("tus-max-size", most)]).into_response()
    } else {
        next.run(request).await
    };
    response.headers_mut().insert("tus-resumable", HeaderValue::from_static(VERSION));
    if asks_for_offset && response.status() == StatusCode::SERVICE_UNAVAILABLE {
        // After any other error clients begin a new upload; this one says that it is there, and to ask again.
        *response.status_mut() = StatusCode::LOCKED;
    }
    if response.status() == StatusCode::PRECONDITION_FAILED {
        response.headers_mut().insert("tus-version", HeaderValue::from_static(VERSION));
    }
    response
}

/// `POST /v1/uploads`
pub async fn create(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Result<Response, ApiError> {
    fields::check_version(request.headers())?;
    let header = fields::submission(request.headers(), app.config.limits.upload_bytes)?;
    let owner = header.owner.clone();
    let has_body = has_body(request.headers());
    if has_body {
        fields::check_type(request.headers())?;
    }
    let message = v1::CreateUploadRequest { header: Some(header) };
    let mut status =
        status(app.server.uploads().create_upload(app.server.stream_as(message, &caller.token)?).await?.into_inner());
    if has_body && status.offset() == 0 && !status.is_finished() {
        let share = caller.take_upload(&app)?;
        status = UploadBody::new(&app, &caller, status.at(&owner), share)
            .run(request.into_body().into_data_stream())
            .await?;
        note(&app, &caller, &status);
    }
    let location = status.location(&owner);
    Ok((StatusCode::CREATED, [(LOCATION, location)], status.headers()?).into_response())
}

/// `HEAD /v1/uploads/{id}`
pub async fn state(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(upload_id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    fields::check_version(request.headers())?;
    let message = v1::GetUploadRequest { upload_id, owner: owner(&request, true)? };
    // Without a deadline: one that has all its bytes is put together now.
    let status =
        status(app.server.uploads().get_upload(app.server.stream_as(message, &caller.token)?).await?.into_inner());
    Ok((StatusCode::OK, status.headers()?).into_response())
}

/// `PATCH /v1/uploads/{id}`
pub async fn write(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(upload_id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    fields::check_version(request.headers())?;
    fields::check_type(request.headers())?;
    let offset_bytes = fields::offset(request.headers())?;
    let at = v1::WriteUploadHeader { upload_id, owner: owner(&request, false)?, offset_bytes };
    let body = request.into_body().into_data_stream();
    let status = match caller.take_upload(&app) {
        Ok(share) => UploadBody::new(&app, &caller, at, share).run(body).await?,
        Err(error) => {
            drain(body, app.config.times.body).await;
            return Err(error);
        }
    };
    note(&app, &caller, &status);
    Ok((StatusCode::NO_CONTENT, status.headers()?).into_response())
}

/// `DELETE /v1/uploads/{id}`
pub async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(upload_id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    fields::check_version(request.headers())?;
    let message = v1::DeleteUploadRequest { upload_id, owner: owner(&request, false)? };
    app.server.uploads().delete_upload(app.server.call_as(message, &caller.token)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /v1/uploads/{id}` with `X-HTTP-Method-Override`, for those who can send nothing else. Of no other method: a
/// forged `GET` must not become a change.
pub async fn overridden(
    state: State<Arc<App>>,
    caller: Caller,
    path: Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let method = method_override(request.headers()).map(str::to_ascii_uppercase);
    match method.as_deref() {
        Some("PATCH") => write(state, caller, path, request).await,
        Some("HEAD") => self::state(state, caller, path, request).await,
        Some("DELETE") => delete(state, caller, path, request).await,
        _ => {
            let message = "send PATCH, HEAD or DELETE, also as X-HTTP-Method-Override";
            let mut refused = ApiError::new(Code::MethodNotAllowed, message).into_response();
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("HEAD, PATCH, DELETE, POST"));
            Ok(refused)
        }
    }
}

fn method_override(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-http-method-override")?.to_str().ok()
}

/// Whose upload it is, where that is another user. Unknown parameters are refused, but by `HEAD`: clients begin again after an error,
/// and what was added to the address on the way may not cost them the upload.
fn owner(request: &Request, asks_only: bool) -> Result<String, ApiError> {
    if !asks_only {
        return query::only(request.uri(), parameters::OWNER);
    }
    let owner = query::decode(request.uri())?.into_iter().rfind(|(name, _)| name == "owner");
    Ok(owner.map(|(_, value)| value).unwrap_or_default())
}

fn note(app: &App, caller: &Caller, status: &UploadStatus) {
    if let Some(job) = &status.job {
        caller.audit(app, AuditAction::Submitted, Some(&job.job_id));
    }
}
