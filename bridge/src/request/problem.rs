//! Errors over HTTP: `application/problem+json` (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api_error::{ApiError, Code};
use crate::wire::job::JobError;

/// The body of an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Names the kind of problem.
    pub r#type: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// For programs (`PROTOCOL.md`, section 7).
    pub code: String,
    /// What is wrong, for people.
    pub detail: String,
    /// Whether trying again can help.
    pub retryable: bool,
    /// What is wrong with which field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
    /// The job of a conversion that has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Why it has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_error: Option<JobError>,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct FieldProblem {
    /// The name of the field.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl From<&ApiError> for Problem {
    fn from(error: &ApiError) -> Self {
        let status = error.code.http();
        let errors = error.fields.iter().cloned().map(|(field, message)| FieldProblem { field, message });
        Self {
            r#type: format!("urn:courant:error:{}", error.code.name()),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            code: error.code.name().to_owned(),
            detail: error.message.to_string(),
            retryable: error.retryable(),
            errors: errors.collect(),
            job_id: None,
            job_error: None,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        respond(&self, Problem::from(&self))
    }
}

/// The answer to an error, with all that is said of it.
pub fn respond(error: &ApiError, problem: Problem) -> Response {
    let status = error.code.http();
    let mut response = (status, axum::Json(problem)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if error.code == Code::UpgradeRequired {
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    if let Some(wait) = error.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_millis().div_ceil(1000).max(1) as u64));
    }
    response
}
