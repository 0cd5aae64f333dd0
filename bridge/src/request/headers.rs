//! Headers that every response has, and which headers of a request are trusted.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::header::{
    AUTHORIZATION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, ORIGIN, REFERRER_POLICY, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue};

use crate::api_error::{ApiError, Code};
use crate::app::{App, Peer};
use crate::config::Config;

/// The console loads everything from its own place and talks to nobody else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; \
    connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Adds what every answer has, unless it says otherwise itself.
pub async fn secure(State(app): State<Arc<App>>, response: Response) -> Response {
    secured(&app.config, response)
}

/// The same, for who has the configuration at hand.
pub fn secured(config: &Config, mut response: Response) -> Response {
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
    if let Some(age) = config.hsts_max_age.filter(|_| config.is_secure())
        && let Ok(value) = HeaderValue::try_from(format!("max-age={}", age.as_secs()))
    {
        response.headers_mut().entry(STRICT_TRANSPORT_SECURITY).or_insert(value);
    }
    response
}

/// Headers that decide who asks and what is asked. Two of one kind would be judged by one and meant by the other.
const SINGLE_HEADERS: [HeaderName; 8] = [
    HOST,
    ORIGIN,
    AUTHORIZATION,
    CONTENT_TYPE,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("x-http-method-override"),
];

/// Refuses requests that have one of these headers more than once.
pub fn check_duplicates(headers: &HeaderMap) -> Result<(), ApiError> {
    match SINGLE_HEADERS.iter().find(|name| headers.get_all(*name).iter().nth(1).is_some()) {
        None => Ok(()),
        Some(name) => {
            Err(ApiError::new(Code::BadMessage, format!("the header {name} is there more than once; send it once")))
        }
    }
}

/// Where a request comes from. Behind a proxy that is trusted, the last address it added.
pub fn address(peer: Peer, headers: &HeaderMap, config: &Config) -> IpAddr {
    let forwarded = || {
        let value = headers.get_all("x-forwarded-for").into_iter().next_back()?.to_str().ok()?;
        forwarded_address(value.rsplit(',').next()?.trim())
    };
    if config.trust_forwarded { forwarded().unwrap_or(peer.0) } else { peer.0 }
}

/// Some proxies add the port.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let plain = text.trim_start_matches('[').trim_end_matches(']');
    let address = plain.parse().or_else(|_| text.parse().map(|with_port: SocketAddr| with_port.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_may_be_there_once() {
        let headers = |pairs: &[(&'static str, &str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
        };
        for name in ["origin", "host", "authorization", "content-type", "sec-fetch-site"] {
            assert!(check_duplicates(&headers(&[(name, "a"), ("accept", "x"), ("accept", "y")])).is_ok(), "{name}");
            assert!(check_duplicates(&headers(&[(name, "a"), (name, "a")])).is_err(), "{name}");
        }
    }

    #[test]
    fn proxies_write_addresses_with_and_without_ports() {
        for text in ["192.0.2.1", "192.0.2.1:4711", "::ffff:192.0.2.1", "[::ffff:192.0.2.1]:4711"] {
            assert_eq!(forwarded_address(text), Some(IpAddr::from([192, 0, 2, 1])), "{text}");
        }
        assert_eq!(forwarded_address("[2001:db8::1]"), "2001:db8::1".parse().ok());
        assert_eq!(forwarded_address("unknown"), None);
    }
}
