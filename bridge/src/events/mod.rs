//! Topics over plain HTTP, for networks that let no WebSocket through: as Server-Sent Events and by long polling.
//!
//! The messages, their order and their cursors are those of the WebSocket. A request enters the same rooms with the same
//! bounded outbox; only the writing differs.

mod following;
mod poll;
mod sse;
mod wanted;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::request::Parts;

use crate::app::App;
use crate::config::Config;
use crate::fault::Fault;
use crate::presence::own::Transport;
use crate::request::caller::Caller;
use following::Following;
use wanted::Wanted;

/// `GET /v1/events`
pub async fn stream(State(app): State<Arc<App>>, caller: Caller, parts: Parts) -> Result<Response, Fault> {
    let wanted = Wanted::of_stream(&parts.uri, &parts.headers, app.config.limits.subscriptions)?;
    Ok(sse::response(Following::open(app, &caller, &parts, wanted, Transport::EventStream).await?))
}

/// `GET /v1/events:poll`
pub async fn poll(State(app): State<Arc<App>>, caller: Caller, parts: Parts) -> Result<Response, Fault> {
    let Config { times, limits, .. } = &app.config;
    let (wanted, wait) = Wanted::of_poll(&parts.uri, times.poll, limits.subscriptions)?;
    Ok(poll::response(Following::open(app, &caller, &parts, wanted, Transport::Poll).await?, wait))
}
