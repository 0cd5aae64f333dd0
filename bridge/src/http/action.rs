//! Actions behind a colon, as `:cancel`.

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::ALLOW;

use crate::api_error::{ApiError, Code};

pub fn no_such_method() -> ApiError {
    ApiError::new(Code::MethodNotAllowed, "this path does not know that method")
}

/// The answer to `POST` on something that wants an action; `known` are the methods without one.
pub fn missing(known: &'static str) -> Response {
    let mut refused = no_such_method().into_response();
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static(known));
    refused
}
