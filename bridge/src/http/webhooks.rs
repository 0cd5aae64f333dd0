//! Webhooks over HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest as _, Request, State};
use axum::response::{IntoResponse as _, Response};
use courant_proto::v1;
use http::StatusCode;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::action;
use super::jobs::uncached;
use super::notifications::json;
use crate::api_error::{ApiError, Code};
use crate::app::App;
use crate::request::caller::Caller;
use crate::request::path::Path;
use crate::wire::webhook::{Webhook, WebhookDelivery, event_names, parse_event};

/// A webhook to make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewWebhook {
    /// Where to send: https, and no private address.
    pub url: String,
    /// What to send; all events when left out.
    #[serde(default)]
    pub events: Vec<String>,
    /// For people.
    #[serde(default)]
    pub description: String,
}

/// What to change of a webhook. What is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookChange {
    pub url: Option<String>,
    pub description: Option<String>,
    pub events: Option<Vec<String>>,
    /// Whether to send to it. Enabled again, it goes on where it stopped.
    pub enabled: Option<bool>,
}

/// For how long the old secret signs as well.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookRotation {
    /// In seconds, up to 7 days; a day when left out.
    pub keep_old: Option<u32>,
}

/// From where to send again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookReplay {
    /// A cursor of events or answers; everything that is kept when left out.
    #[serde(default)]
    pub after: String,
}

/// All webhooks of the caller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct WebhooksAnswer {
    /// Oldest first.
    pub webhooks: Vec<Webhook>,
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WebhookAnswer {
    /// As it is now.
    pub webhook: Webhook,
    /// What signs, `whsec_…`. Shown this once, when it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Of a replay: some of what happened after the cursor is not kept any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_trimmed: Option<bool>,
}

/// What became of a test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct WebhookTestAnswer {
    /// Its `error` is `null` when it was received.
    pub delivery: WebhookDelivery,
}

/// The last attempts to send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct WebhookDeliveriesAnswer {
    /// Newest first, at most 50.
    pub deliveries: Vec<WebhookDelivery>,
}

impl WebhookAnswer {
    fn new(webhook: Option<v1::Webhook>) -> Self {
        Self { webhook: Webhook::from(&webhook.unwrap_or_default()), secret: None, history_trimmed: None }
    }
}

/// `GET /v1/webhooks`
pub async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, ApiError> {
    let request = app.server.call_as(v1::ListWebhooksRequest {}, &caller.token)?;
    let found = app.server.webhooks().list_webhooks(request).await?.into_inner();
    Ok(uncached(WebhooksAnswer { webhooks: found.webhooks.iter().map(Webhook::from).collect() }))
}

/// `POST /v1/webhooks`
pub async fn create(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Result<Response, ApiError> {
    let NewWebhook { url, events: names, description } = json(request).await?;
    let request = v1::CreateWebhookRequest { url, events: events(&names)?, description };
    let made = app.server.webhooks().create_webhook(app.server.call_as(request, &caller.token)?).await?.into_inner();
    let answer = WebhookAnswer { secret: Some(made.secret), ..WebhookAnswer::new(made.webhook) };
    let mut response = uncached(answer);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// `GET /v1/webhooks/{id}`
pub async fn get(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(webhook_id): Path<String>,
) -> Result<Response, ApiError> {
    let request = app.server.call_as(v1::GetWebhookRequest { webhook_id }, &caller.token)?;
    let found = app.server.webhooks().get_webhook(request).await?.into_inner();
    Ok(uncached(WebhookAnswer::new(found.webhook)))
}

/// `PATCH /v1/webhooks/{id}`
pub async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(webhook_id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let WebhookChange { url, description, events: names, enabled } = json(request).await?;
    if names.as_ref().is_some_and(Vec::is_empty) {
        return Err(ApiError::field("events", "must not be empty; leave it out, or disable the webhook"));
    }
    let events = events(&names.unwrap_or_default())?;
    let request = v1::UpdateWebhookRequest { webhook_id, url, description, events, enabled };
    let changed = app.server.webhooks().update_webhook(app.server.call_as(request, &caller.token)?).await?.into_inner();
    Ok(uncached(WebhookAnswer::new(changed.webhook)))
}

/// `DELETE /v1/webhooks/{id}`
pub async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(webhook_id): Path<String>,
) -> Result<Response, ApiError> {
    let request = app.server.call_as(v1::DeleteWebhookRequest { webhook_id }, &caller.token)?;
    app.server.webhooks().delete_webhook(request).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET /v1/webhooks/{id}/deliveries`
pub async fn deliveries(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(webhook_id): Path<String>,
) -> Result<Response, ApiError> {
    let request = app.server.call_as(v1::ListWebhookDeliveriesRequest { webhook_id }, &caller.token)?;
    let found = app.server.webhooks().list_webhook_deliveries(request).await?.into_inner();
    Ok(uncached(WebhookDeliveriesAnswer { deliveries: found.deliveries.iter().map(WebhookDelivery::from).collect() }))
}

/// `POST /v1/webhooks/{id}:rotate`, `:test`, `:enable` and `:replay`
pub async fn act(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(path): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let Some((id, wanted)) = path.rsplit_once(':') else { return Ok(action::missing("GET, HEAD, PATCH, DELETE")) };
    let body = Bytes::from_request(request, &()).await.map_err(|error| ApiError::field("body", error.body_text()))?;
    let (server, token) = (&app.server, &caller.token);
    let mut webhooks = server.webhooks();
    let answer = match wanted {
        "rotate" => {
            let WebhookRotation { keep_old } = optional(&body)?;
            let keep_old = keep_old.map(|seconds| Duration::from_secs(seconds.into()).try_into().unwrap_or_default());
            let request = v1::RotateWebhookSecretRequest { webhook_id: id.to_owned(), keep_old };
            let rotated = webhooks.rotate_webhook_secret(server.call_as(request, token)?).await?.into_inner();
            WebhookAnswer { secret: Some(rotated.secret), ..WebhookAnswer::new(rotated.webhook) }
        }
        "test" => {
            let request = v1::TestWebhookRequest { webhook_id: id.to_owned() };
            // The receiver has its own time to answer, which is not that of calls.
            let tested = webhooks.test_webhook(server.stream_as(request, token)?).await?.into_inner();
            let delivery = WebhookDelivery::from(&tested.delivery.unwrap_or_default());
            return Ok(uncached(WebhookTestAnswer { delivery }));
        }
        "enable" => {
            let request = v1::EnableWebhookRequest { webhook_id: id.to_owned() };
            WebhookAnswer::new(webhooks.enable_webhook(server.call_as(request, token)?).await?.into_inner().webhook)
        }
        "replay" => {
            let WebhookReplay { after } = optional(&body)?;
            let request = v1::ReplayWebhookRequest { webhook_id: id.to_owned(), after_cursor: after };
            let begun = webhooks.replay_webhook(server.call_as(request, token)?).await?.into_inner();
            WebhookAnswer { history_trimmed: Some(begun.history_trimmed), ..WebhookAnswer::new(begun.webhook) }
        }
        _ => {
            let known = "the actions of a webhook are :rotate, :test, :enable and :replay";
            return Err(ApiError::new(Code::NotFound, known));
        }
    };
    Ok(uncached(answer))
}

fn events(names: &[String]) -> Result<Vec<i32>, ApiError> {
    let unknown =
        |name: &str| ApiError::field("events", format!("does not know {name:?}; there are {}", event_names()));
    names.iter().map(|name| parse_event(name).map(i32::from).ok_or_else(|| unknown(name))).collect()
}

/// A small JSON body that may be left out.
fn optional<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, ApiError> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| ApiError::field("body", error.to_string()))
}
