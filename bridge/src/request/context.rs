//! What a request belongs to: its id, which the answer names, and its span in the trace of the browser.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use courant_runtime::request::{self, Context, REQUEST_ID};
use courant_runtime::traces::{self, Span, SpanKind, TraceContext};
use http::HeaderValue;

/// The part of a program that the spans belong to.
const PART: &str = "courant-bridge";
/// Where the API begins. Probes, metrics and the console's files begin no trace.
const API: &str = "/v1/";
/// Streams of events last for hours: they begin no trace.
const EVENTS: &str = "/v1/events";

/// Answers within what the request belongs to.
pub async fn identify(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let mut context = Context::of_request(|name| headers.get(name)?.to_str().ok());
    let mut span = if traces::is_on() { span(&request, &context) } else { Span::default() };
    context.trace = span.context();
    let id = context.request.as_deref().map(HeaderValue::from_str);
    let mut response = request::scope(context, next.run(request)).await;
    if let Some(Ok(id)) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let status = response.status();
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail(status.as_str().to_owned());
    }
    response
}

fn span(request: &Request, context: &Context) -> Span {
    let Some(route) = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) else {
        return Span::default();
    };
    if !route.starts_with(API) || (route.starts_with(EVENTS) && context.trace.is_none()) {
        return Span::default();
    }
    let method = request.method();
    let mut span = Span::begin(PART, format!("{method} {route}"), SpanKind::Server, context.trace);
    span.set("http.request.method", method.to_string());
    span.set("http.route", route.to_owned());
    if let Some(id) = &context.request {
        span.set("courant.request", id.to_string());
    }
    span
}

/// A command of a WebSocket, in the trace that it names; nothing where it names none.
pub fn command_span(name: &'static str, traceparent: Option<&str>) -> Span {
    match traceparent.filter(|_| traces::is_on()).and_then(TraceContext::parse) {
        Some(parent) => Span::begin(PART, name, SpanKind::Server, Some(parent)),
        None => Span::default(),
    }
}
