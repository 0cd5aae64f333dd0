//! Reading, cancelling and retrying jobs.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest as _, Request, State};
use axum::response::{IntoResponse, Response};
use courant_proto::v1;
use http::StatusCode;
use http::header::CACHE_CONTROL;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action;
use crate::api_error::{ApiError, Code};
use crate::app::App;
use crate::request::caller::Caller;
use crate::request::path::Path;
use crate::request::query;
use crate::wire::admin::AuditAction;
use crate::wire::job::Job;

/// A job and where to start watching it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct JobAnswer {
    /// The job as it is now.
    pub job: Job,
    /// A watch from here misses nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A page of jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct JobsAnswer {
    /// One page, newest first.
    pub jobs: Vec<Job>,
    /// For the next page.
    pub next_page_token: Option<String>,
    /// A watch from here misses nothing.
    pub cursor: String,
}

impl JobAnswer {
    /// Of a job that the server always sends.
    pub fn new(job: Option<v1::Job>, cursor: Option<String>) -> Result<Self, ApiError> {
        let job = job.as_ref().map(Job::from).ok_or_else(ApiError::job_not_found)?;
        Ok(Self { job, cursor })
    }
}

/// JSON that no cache may keep.
pub fn uncached(body: impl Serialize) -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// `GET /v1/jobs`
pub async fn list(State(app): State<Arc<App>>, caller: Caller, uri: http::Uri) -> Result<Response, ApiError> {
    let request = app.server.call_as(query::listing(&uri)?, &caller.token)?;
    let found = app.server.jobs().list_jobs(request).await?.into_inner();
    let next_page_token = Some(found.next_page_token).filter(|token| !token.is_empty());
    Ok(uncached(JobsAnswer { jobs: found.jobs.iter().map(Job::from).collect(), next_page_token, cursor: found.cursor }))
}

/// `GET /v1/jobs/{id}`
pub async fn get(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(job_id): Path<String>,
) -> Result<Response, ApiError> {
    let request = app.server.call_as(v1::GetJobRequest { job_id }, &caller.token)?;
    let mut found = app.server.jobs().get_job(request).await?.into_inner();
    if let Some(job) = &mut found.job {
        // Also those that are too large for a job in a list.
        job.parameters = found.parameters;
    }
    Ok(uncached(JobAnswer::new(found.job, Some(found.cursor))?))
}

/// `POST /v1/jobs/{id}:cancel` and `:retry`
pub async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(path): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let Some((id, wanted)) = path.rsplit_once(':') else { return Ok(action::missing("GET, HEAD, DELETE")) };
    let body = Bytes::from_request(request, &()).await.map_err(|error| ApiError::field("body", error.body_text()))?;
    let mut jobs = app.server.jobs();
    let (answer, action) = match wanted {
        "cancel" => {
            let request = app.server.call_as(v1::CancelJobRequest { job_id: id.to_owned() }, &caller.token)?;
            (JobAnswer::new(jobs.cancel_job(request).await?.into_inner().job, None)?, AuditAction::Cancelled)
        }
        "retry" => {
            let password = password(&body)?;
            let request = app.server.call_as(v1::RetryJobRequest { job_id: id.to_owned(), password }, &caller.token)?;
            let retried = jobs.retry_job(request).await?.into_inner();
            (JobAnswer::new(retried.job, Some(retried.cursor))?, AuditAction::Retried)
        }
        _ => return Err(ApiError::new(Code::NotFound, "the actions of a job are :cancel and :retry")),
    };
    caller.audit(&app, action, Some(id));
    Ok(uncached(answer))
}

/// What a retry may say.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Opens the document, where it needs one: the password given before is not kept.
    password: Option<String>,
}

fn password(body: &[u8]) -> Result<Option<v1::Password>, ApiError> {
    if body.is_empty() {
        return Ok(None);
    }
    // What was wrong with it is not repeated: it may be the password.
    let retry: Retry = serde_json::from_slice(body)
        .map_err(|_| ApiError::field("body", "must be empty or JSON like {\"password\": \"…\"}"))?;
    Ok(retry.password.map(|text| v1::Password { text }))
}

/// `DELETE /v1/jobs/{id}`
pub async fn delete(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<String>) -> Result<Response, ApiError> {
    let request = app.server.call_as(v1::DeleteJobRequest { job_id: id.clone() }, &caller.token)?;
    app.server.jobs().delete_job(request).await?;
    caller.audit(&app, AuditAction::Deleted, Some(&id));
    Ok(StatusCode::NO_CONTENT.into_response())
}
