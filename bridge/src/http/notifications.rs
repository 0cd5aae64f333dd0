//! Notifications over HTTP.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::response::Response;
use courant_proto::v1;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::jobs::uncached;
use crate::api_error::ApiError;
use crate::app::App;
use crate::request::caller::Caller;
use crate::request::{parameters, query};
use crate::wire::admin::AuditAction;
use crate::wire::names;
#[cfg(feature = "schema")]
use crate::wire::schema_enums::Severity;
use crate::wire::service::Notification;

/// The newest notifications of the caller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct NotificationsAnswer {
    /// At most `pageSize`, newest first.
    pub notifications: Vec<Notification>,
    /// How many are unread, of all that are kept.
    pub unread: i32,
    /// A subscription from here misses nothing.
    pub cursor: String,
}

/// A notification that was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct NotificationAnswer {
    /// As it is kept.
    pub notification: Notification,
}

/// How many are left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct UnreadAnswer {
    /// How many are unread now.
    pub unread: i32,
}

/// A notification to send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Notify {
    /// The user; everybody when left out.
    #[serde(default)]
    pub user: String,
    /// `info`, `success`, `warning`, `error`.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Severity>"))]
    pub severity: Option<String>,
    /// One line of text.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub title: String,
    /// Further text, which may have several lines.
    #[serde(default)]
    pub body: String,
    /// The job it is about.
    #[serde(default)]
    pub job_id: String,
    /// Makes the call safe to repeat.
    #[serde(default)]
    pub request_id: String,
}

/// Notifications that were read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// Which; all when empty.
    #[serde(default)]
    pub ids: Vec<String>,
}

/// `GET /v1/notifications`
pub async fn list(State(app): State<Arc<App>>, caller: Caller, uri: http::Uri) -> Result<Response, ApiError> {
    let mut request = v1::ListNotificationsRequest::default();
    for (name, value) in query::pairs(&uri, &[parameters::LIST_NOTIFICATIONS])? {
        match name.as_str() {
            "pageSize" => request.page_size = query::number(&name, &value)?,
            "unread" => request.unread_only = value == "true",
            _ => {}
        }
    }
    let request = app.server.call_as(request, &caller.token)?;
    let found = app.server.notifications().list_notifications(request).await?.into_inner();
    let notifications = found.notifications.iter().map(Notification::from).collect();
    Ok(uncached(NotificationsAnswer { notifications, unread: found.unread, cursor: found.cursor }))
}

/// `POST /v1/notifications`
pub async fn send(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Result<Response, ApiError> {
    let Notify { user, severity, title, body, job_id, request_id } = json(request).await?;
    let mut request = v1::NotifyRequest { user, title, body, job_id, request_id, ..v1::NotifyRequest::default() };
    if let Some(severity) = severity {
        let known = || ApiError::field("severity", "must be info, success, warning or error");
        request.set_severity(names::parse_severity(&severity).ok_or_else(known)?);
    }
    let target = request.user.clone();
    let sent = app.server.notifications().notify(app.server.call_as(request, &caller.token)?).await?.into_inner();
    caller.audit(&app, AuditAction::Notified, Some(&target));
    Ok(uncached(NotificationAnswer { notification: Notification::from(&sent.notification.unwrap_or_default()) }))
}

/// `POST /v1/notifications:read`
pub async fn read(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Result<Response, ApiError> {
    let Read { ids } = json(request).await?;
    let request = v1::MarkNotificationsReadRequest { notification_ids: ids };
    let request = app.server.call_as(request, &caller.token)?;
    let left = app.server.notifications().mark_notifications_read(request).await?.into_inner();
    Ok(uncached(UnreadAnswer { unread: left.unread }))
}

/// A small JSON body.
pub(super) async fn json<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    let read = Json::<T>::from_request(request, &()).await;
    read.map(|Json(body)| body).map_err(|error| ApiError::field("body", error.body_text()))
}
