//! Topics over plain HTTP, where WebSockets are blocked: as Server-Sent Events and by long polling.
//!
//! The messages, their order and their cursors are those of the WebSocket. A request subscribes to the same topics with the same
//! bounded outbox; only the writing differs.

mod poll;
mod query;
mod session;
mod sse;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::request::Parts;

use crate::api_error::ApiError;
use crate::app::App;
use crate::config::Config;
use crate::presence::connections::Transport;
use crate::request::caller::Caller;
use query::EventsQuery;
use session::EventsSession;

/// `GET /v1/events`
pub async fn stream(State(app): State<Arc<App>>, caller: Caller, parts: Parts) -> Result<Response, ApiError> {
    let query = EventsQuery::of_stream(&parts.uri, &parts.headers, app.config.limits.subscriptions)?;
    Ok(sse::response(EventsSession::open(app, &caller, &parts, query, Transport::EventStream).await?))
}

/// `GET /v1/events:poll`
pub async fn poll(State(app): State<Arc<App>>, caller: Caller, parts: Parts) -> Result<Response, ApiError> {
    let Config { times, limits, .. } = &app.config;
    let (query, wait) = EventsQuery::of_poll(&parts.uri, times.poll, limits.subscriptions)?;
    Ok(poll::response(EventsSession::open(app, &caller, &parts, query, Transport::Poll).await?, wait))
}
