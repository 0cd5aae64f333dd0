//! Pages of other origins on the list may use the HTTP side as well (CORS). Of no other does a browser show an answer.

use std::time::Duration;

use courant_runtime::request::{REQUEST_ID, TRACEPARENT};
use http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName,
    IF_NONE_MATCH, IF_RANGE, LOCATION, RANGE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// What requests of tus carry.
const TUS_REQUEST_HEADERS: [HeaderName; 5] = [
    HeaderName::from_static("tus-resumable"),
    HeaderName::from_static("upload-length"),
    HeaderName::from_static("upload-metadata"),
    HeaderName::from_static("upload-offset"),
    HeaderName::from_static("x-http-method-override"),
];
/// What answers of tus carry, and ours about the job.
const TUS_RESPONSE_HEADERS: [HeaderName; 9] = [
    HeaderName::from_static("tus-resumable"),
    HeaderName::from_static("tus-version"),
    HeaderName::from_static("tus-extension"),
    HeaderName::from_static("tus-max-size"),
    HeaderName::from_static("upload-length"),
    HeaderName::from_static("upload-offset"),
    HeaderName::from_static("upload-expires"),
    HeaderName::from_static("courant-job"),
    HeaderName::from_static("courant-cursor"),
];

/// How long a browser may remember the answer to its query whether it may.
const REMEMBER: Duration = Duration::from_secs(600);

/// For the origins on the list; None when there are none. Never `*`: cookies count.
pub fn layer(allowed: &[String]) -> Option<CorsLayer> {
    // Browsers write origins in small letters.
    let origins: Vec<HeaderValue> = allowed.iter().filter_map(|origin| origin.to_lowercase().parse().ok()).collect();
    let [last_event_id, prefer, preference_applied, traceparent] =
        ["last-event-id", "prefer", "preference-applied", TRACEPARENT].map(HeaderName::from_static);
    let request_id = HeaderName::from_static(REQUEST_ID);
    let request_headers = [
        AUTHORIZATION,
        CONTENT_TYPE,
        IF_NONE_MATCH,
        IF_RANGE,
        RANGE,
        last_event_id,
        prefer,
        traceparent,
        request_id.clone(),
    ];
    let response_headers = [
        ACCEPT_RANGES,
        CONTENT_DISPOSITION,
        CONTENT_LOCATION,
        CONTENT_RANGE,
        ETAG,
        LOCATION,
        RETRY_AFTER,
        WWW_AUTHENTICATE,
        preference_applied,
        request_id,
    ];
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_credentials(true)
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::DELETE])
            .allow_headers(request_headers.into_iter().chain(TUS_REQUEST_HEADERS).collect::<Vec<_>>())
            .expose_headers(response_headers.into_iter().chain(TUS_RESPONSE_HEADERS).collect::<Vec<_>>())
            .max_age(REMEMBER)
    })
}
