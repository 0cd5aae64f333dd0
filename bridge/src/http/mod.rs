//! Everything over HTTP: the API, probes, the console and the upgrade to WebSockets.

mod action;
pub mod console;
mod convert;
mod cors;
mod document_body;
mod filename;
pub mod jobs;
pub mod notifications;
pub mod outputs;
mod pages;
mod pieces;
pub mod push;
pub mod results;
pub mod service;
pub mod session;
pub mod upload;
pub mod uploads;
pub mod webhooks;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post, put};
use courant_tls::Socket;
use http::StatusCode;
use hyper_util::rt::TokioIo;

use crate::api_error::{ApiError, Code};
use crate::app::{App, Peer};
use crate::events;
use crate::request::caller::Caller;
use crate::request::origin::{Origins, PageOrigin};
use crate::request::{body_timeout, context, cookie, headers};
use crate::server::health::Health;
use crate::ws::handshake::{Choice, Opening};
use crate::ws::session::Session;

pub fn router(app: Arc<App>) -> Router {
    let cors = cors::layer(&app.config.allow_origins);
    let router = Router::new()
        .route("/ws", any(upgrade))
        .route("/v1/jobs", get(jobs::list).post(upload::submit).fallback(wrong_method))
        .route("/v1/convert", post(convert::convert).fallback(wrong_method))
        .route("/v1/uploads", post(uploads::create).fallback(wrong_method))
        .route(
            "/v1/uploads/{id}",
            axum::routing::head(uploads::state)
                .patch(uploads::write)
                .delete(uploads::delete)
                .post(uploads::overridden)
                .fallback(wrong_method),
        )
        // Uploads have their own limit, which counts the document and not the form.
        .route_layer(DefaultBodyLimit::disable())
        .route("/v1/jobs/{id}", get(jobs::get).post(jobs::change).delete(jobs::delete).fallback(wrong_method))
        .route("/v1/batches/{id}", get(service::batch).post(service::change_batch).fallback(wrong_method))
        .route("/v1/notifications", get(notifications::list).post(notifications::send).fallback(wrong_method))
        .route("/v1/notifications:read", post(notifications::read).fallback(wrong_method))
        .route("/v1/push/key", get(push::key).fallback(wrong_method))
        .route("/v1/push/subscriptions", put(push::add).delete(push::end).fallback(wrong_method))
        .route("/v1/webhooks", get(webhooks::list).post(webhooks::create).fallback(wrong_method))
        .route(
            "/v1/webhooks/{id}",
            get(webhooks::get)
                .patch(webhooks::update)
                .delete(webhooks::delete)
                .post(webhooks::act)
                .fallback(wrong_method),
        )
        .route("/v1/webhooks/{id}/deliveries", get(webhooks::deliveries).fallback(wrong_method))
        .route("/v1/queue", get(service::queue).fallback(wrong_method))
        .route("/v1/devices", get(service::devices).fallback(wrong_method))
        .route("/v1/quota", get(service::quota).fallback(wrong_method))
        .route("/v1/system", get(service::system).fallback(wrong_method))
        .route("/v1/workers", get(service::workers).fallback(wrong_method))
        .route("/v1/workers/{id}", post(service::change_worker).fallback(wrong_method))
        .route("/v1/jobs/{id}/pages/{page}", get(pages::read).fallback(wrong_method))
        .route("/v1/jobs/{id}/results/{format}", get(results::read).fallback(wrong_method))
        .route("/v1/jobs/{id}/outputs", get(outputs::list).fallback(wrong_method))
        .route("/v1/jobs/{id}/outputs/{*name}", get(results::output).fallback(wrong_method))
        .route("/v1/jobs/{id}/document", get(results::document).fallback(wrong_method))
        .route("/v1/events", get(events::stream).fallback(wrong_method))
        .route("/v1/events:poll", get(events::poll).fallback(wrong_method))
        .route("/v1/session", get(session::read).post(session::begin).delete(session::end).fallback(wrong_method))
        .route("/v1/{*rest}", any(no_such_path))
        .merge(operation())
        .fallback(console::serve)
        .layer(axum::middleware::from_fn_with_state(app.clone(), limit_rate))
        .layer(axum::middleware::from_fn_with_state(app.clone(), count))
        .layer(axum::middleware::map_response_with_state(app.clone(), headers::secure))
        .with_state(app.clone());
    let router = match cors {
        Some(cors) => router.layer(cors),
        None => router,
    };
    let router = router.layer(axum::middleware::from_fn_with_state(app.clone(), uploads::tus));
    let router = router.layer(axum::middleware::from_fn_with_state(app, refuse_duplicate_headers));
    router.layer(axum::middleware::from_fn(context::identify))
}

/// Probes and metrics.
fn operation() -> Router<Arc<App>> {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/healthz", get(ready))
        .route("/metrics", get(metrics))
}

/// Before anything looks at them: headers that must be there once.
async fn refuse_duplicate_headers(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match headers::check_duplicates(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => headers::secured(&app.config, error.into_response()),
    }
}

/// Counts requests by their route. What has none is a file of the console, or nothing.
async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let (method, begun) = (request.method().clone(), Instant::now());
    let response = next.run(request).await;
    let route = route.as_ref().map_or("console", MatchedPath::as_str);
    app.metrics.request(route, &method, response.status().as_u16(), begun.elapsed());
    response
}

/// Refuses what comes too often from one address. Probes are let through: they must not fail because others ask much.
async fn limit_rate(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>();
    let address = peer.map(|peer| headers::address(*peer, request.headers(), &app.config));
    let probe = matches!(request.uri().path(), "/livez" | "/readyz" | "/healthz");
    match address.filter(|_| !probe).map(|address| app.permits.check_request_rate(address)) {
        Some(Err(error)) => error.into_response(),
        Some(Ok(())) | None => next.run(with_body_deadline(&app, request)).await,
    }
}

/// Bodies that are no documents are short, and have their time as a whole.
fn with_body_deadline(app: &App, request: Request) -> Request {
    let path = request.uri().path();
    let document =
        matches!(path, "/v1/jobs" | "/v1/convert") || path == "/v1/uploads" || path.starts_with("/v1/uploads/");
    if document || !uploads::has_body(request.headers()) {
        return request;
    }
    request.map(|body| body_timeout::with_deadline(body, app.config.times.body))
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.is_ready() {
        return "ok\n".into_response();
    }
    let why = match *app.health.borrow() {
        _ if app.shutdown.is_draining() => "draining",
        Health::Degraded(missing) => missing,
        Health::Serving | Health::Unavailable => "the server cannot be reached",
    };
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
}

/// For admins: the metrics show what others do.
async fn metrics(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, ApiError> {
    caller.require(courant_auth::Role::Admin)?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(http::header::CONTENT_TYPE, kind)], app.metrics.text()).into_response())
}

async fn no_such_path() -> ApiError {
    ApiError::new(Code::NotFound, "there is nothing at this path")
}

async fn wrong_method() -> ApiError {
    action::no_such_method()
}

async fn upgrade(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let opening = Opening::read(request.method(), request.version(), request.headers(), Origins::of(&app.config))?;
    let cookie = cookie::token(request.headers(), &app.config)
        .filter(|_| opening.page_origin == PageOrigin::Known)
        .map(str::to_owned);
    let peer = request.extensions().get::<Peer>().map(|peer| headers::address(*peer, request.headers(), &app.config));
    let Some(address) = peer else {
        return Err(ApiError::new(Code::UpgradeRequired, "this connection cannot be upgraded"));
    };
    app.permits.check_connect_rate(address)?;
    let response = opening.response();
    let at = app.clone();
    at.spawn(async move {
        match take_socket(request).await {
            // Boxed: the task then holds no more for as long as the connection lives.
            Some((socket, read)) => Box::pin(run_session(app, opening, cookie, address, socket, read)).await,
            None => tracing::debug!("WebSocket upgrade failed"),
        }
    });
    Ok(response)
}

/// The bare socket under an upgraded connection, and what was read past the handshake.
async fn take_socket(request: Request) -> Option<(Socket, bytes::Bytes)> {
    let upgraded = hyper::upgrade::on(request).await.ok()?;
    let parts = upgraded.downcast::<TokioIo<Socket>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}

async fn run_session(
    app: Arc<App>,
    opening: Opening,
    cookie: Option<String>,
    address: std::net::IpAddr,
    socket: Socket,
    read: bytes::Bytes,
) {
    let format = opening.choice.format();
    match app.permits.permit(address) {
        Ok(permit) => {
            let mut session = Box::new(Session::new(app, permit, format));
            session.set_cookie(cookie);
            match (opening.choice, opening.token) {
                (Choice::Unknown, _) => {
                    session.refuse(ApiError::new(
                        Code::SubprotocolUnknown,
                        "offer the subprotocol courant.v1.json or courant.v1.msgpack",
                    ));
                }
                (Choice::Offered(_) | Choice::Default, Some(token)) => session.authenticate(token),
                (Choice::Offered(_) | Choice::Default, None) => {}
            }
            session.run(socket, read).await;
        }
        Err(error) => crate::ws::session::refuse_connection(&app, error, format, socket, read).await,
    }
}
