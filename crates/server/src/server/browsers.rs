//! gRPC-Web for pages: their calls are translated, and browsers are told which pages may make them.
//!
//! Off unless origins are named: then the port speaks what it always did.

use std::time::Duration;

use courant_runtime::request::{REQUEST_ID, TRACEPARENT};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method};
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::Layer;
use tower::util::Either;
use tower_http::cors::{AllowOrigin, Cors, CorsLayer};

/// What calls of gRPC-Web carry.
const REQUEST_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-grpc-web"),
    HeaderName::from_static("x-user-agent"),
    HeaderName::from_static("grpc-timeout"),
];
/// What answers carry that have no body: others have it behind their body.
const RESPONSE_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
];
/// How long a browser may remember the answer to its query whether it may.
const REMEMBER: Duration = Duration::from_secs(600);

/// The layer for pages of these origins.
#[derive(Clone, Debug)]
pub struct ForBrowsers(Option<CorsLayer>);

impl ForBrowsers {
    /// As a browser writes the origins, in whatever case. The token comes in a header, which no browser sends by itself: there are no
    /// cookies, and so no credentials in the sense of CORS.
    pub fn new(allowed: &[String]) -> Self {
        let origins: Vec<HeaderValue> =
            allowed.iter().filter_map(|origin| origin.to_lowercase().parse().ok()).collect();
        let [request_id, traceparent] = [REQUEST_ID, TRACEPARENT].map(HeaderName::from_static);
        let request_headers = [AUTHORIZATION, CONTENT_TYPE, traceparent, request_id.clone()].into_iter();
        Self((!origins.is_empty()).then(|| {
            CorsLayer::new()
                .allow_origin(AllowOrigin::list(origins))
                .allow_methods([Method::POST])
                .allow_headers(request_headers.chain(REQUEST_HEADERS).collect::<Vec<_>>())
                .expose_headers(RESPONSE_HEADERS.into_iter().chain([request_id]).collect::<Vec<_>>())
                .max_age(REMEMBER)
        }))
    }

    /// Whether there are any.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }
}

impl<S> Layer<S> for ForBrowsers {
    type Service = Either<Cors<GrpcWebService<S>>, S>;

    fn layer(&self, inner: S) -> Self::Service {
        match &self.0 {
            Some(cors) => Either::Left(cors.layer(GrpcWebLayer::new().layer(inner))),
            None => Either::Right(inner),
        }
    }
}
