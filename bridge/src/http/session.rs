//! `/v1/session`: puts a token into a cookie, says whose it is, and ends it. Nothing is kept here: the cookie is the token.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use courant_auth::Role;
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::jobs::uncached;
use crate::api_error::{ApiError, Code};
use crate::app::App;
use crate::request::caller::{Caller, TokenLocation};
use crate::request::cookie;
use crate::request::origin::Origins;
#[cfg(feature = "schema")]
use crate::wire::message::RoleName;

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionAnswer {
    pub user: String,
    #[cfg_attr(feature = "schema", schemars(with = "Vec<RoleName>"))]
    pub roles: Vec<Role>,
    pub token_expires_at: String,
}

impl From<&Caller> for SessionAnswer {
    fn from(caller: &Caller) -> Self {
        Self {
            user: caller.identity.subject.clone(),
            roles: caller.identity.roles.iter().copied().collect(),
            token_expires_at: prost_types::Timestamp::from(caller.identity.expires).to_string(),
        }
    }
}

/// `POST /v1/session`
pub async fn begin(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, ApiError> {
    if caller.token_location == TokenLocation::Cookie {
        let why = "send the token to put into the cookie as Authorization: Bearer <token>";
        return Err(ApiError::new(Code::Server(courant_proto::v1::ErrorReason::TokenMissing), why));
    }
    let life = caller.identity.expires.duration_since(SystemTime::now()).unwrap_or_default();
    let cookie = cookie::set(&caller.token.jwt, life, &app.config)?;
    Ok(([(SET_COOKIE, cookie)], uncached(SessionAnswer::from(&caller))).into_response())
}

/// `GET /v1/session`
pub async fn read(caller: Caller) -> Response {
    uncached(SessionAnswer::from(&caller)).into_response()
}

/// `DELETE /v1/session`: also of a cookie whose token has run out.
pub async fn end(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, ApiError> {
    Origins::of(&app.config).check_cookie(&Method::DELETE, &headers)?;
    let cookie = cookie::end(&app.config)?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie), (CACHE_CONTROL, HeaderValue::from_static("no-store"))])
        .into_response())
}
