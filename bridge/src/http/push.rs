//! Web Push: a browser says where notifications reach it when no page is open.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use courant_proto::v1;
use http::StatusCode;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::jobs::uncached;
use super::notifications::json;
use crate::api_error::ApiError;
use crate::app::App;
use crate::request::caller::Caller;

/// The key to subscribe with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PushKeyAnswer {
    /// `applicationServerKey`, in base64url; `null` where Web Push is off.
    pub public_key: Option<String>,
}

/// A subscription, as `PushSubscription.toJSON()` gives it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PushSubscription {
    /// An address of the browser's push service.
    pub endpoint: String,
    /// When the browser ends it by itself, in milliseconds since 1970; no browser says so today.
    #[serde(default)]
    pub expiration_time: Option<f64>,
    /// What payloads are encrypted with.
    pub keys: PushKeys,
}

/// Keys of a browser, in base64url.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PushKeys {
    /// The browser's public key on P-256.
    pub p256dh: String,
    /// The browser's authentication secret.
    pub auth: String,
}

/// A subscription to end.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PushEnd {
    /// As it was added.
    pub endpoint: String,
}

/// `GET /v1/push/key`
pub async fn key(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, ApiError> {
    let request = app.server.call_as(v1::GetPushKeyRequest {}, &caller.token)?;
    let key = app.server.notifications().get_push_key(request).await?.into_inner().public_key;
    let public_key = Some(URL_SAFE_NO_PAD.encode(&key)).filter(|_| !key.is_empty());
    Ok(uncached(PushKeyAnswer { public_key }))
}

/// `PUT /v1/push/subscriptions`
pub async fn add(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Result<Response, ApiError> {
    let PushSubscription { endpoint, keys, .. } = json(request).await?;
    // Browsers leave the padding out, libraries may not.
    let bytes = |field, text: &str| {
        let decoded = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
        decoded.map_err(|_| ApiError::field(field, "must be base64url"))
    };
    let request = v1::AddPushSubscriptionRequest {
        endpoint,
        p256dh: bytes("keys.p256dh", &keys.p256dh)?.into(),
        auth: bytes("keys.auth", &keys.auth)?.into(),
    };
    app.server.notifications().add_push_subscription(app.server.call_as(request, &caller.token)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /v1/push/subscriptions`
pub async fn end(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Result<Response, ApiError> {
    let PushEnd { endpoint } = json(request).await?;
    let request = v1::RemovePushSubscriptionRequest { endpoint };
    app.server.notifications().remove_push_subscription(app.server.call_as(request, &caller.token)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
