//! Headers that every answer has, and what is believed of a request's.

use std::net::IpAddr;

use axum::response::Response;
use http::header::{CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use http::{HeaderMap, HeaderValue};

use crate::app::Peer;
use crate::config::Config;

/// The console loads everything from its own place and talks to nobody else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; \
    connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Adds what every answer has, unless it says otherwise itself.
pub async fn secure(mut response: Response) -> Response {
    let always = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
        (CONTENT_SECURITY_POLICY, POLICY),
    ];
    for (name, value) in always {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Where a request comes from. Behind a proxy that is trusted, the last address it added.
pub fn address(peer: Peer, headers: &HeaderMap, config: &Config) -> IpAddr {
    let forwarded = || {
        let value = headers.get_all("x-forwarded-for").into_iter().next_back()?.to_str().ok()?;
        value.rsplit(',').next()?.trim().parse().ok()
    };
    if config.trust_forwarded { forwarded().unwrap_or(peer.0) } else { peer.0 }
}
