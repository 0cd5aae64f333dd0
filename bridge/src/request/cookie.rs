//! The session cookie: a token that the browser keeps and no script can read.

use std::time::Duration;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::api_error::ApiError;
use crate::config::Config;

/// With this prefix browsers take it from this very host by https alone, for all paths (RFC 6265bis, section 4.1.3.2).
const SECURE: &str = "__Host-courant";
/// Without https that prefix is refused by browsers.
const PLAIN: &str = "courant";
/// Browsers need not keep more, name and attributes aside.
const MAX_BYTES: usize = 4000;

fn name(config: &Config) -> &'static str {
    if config.is_secure() { SECURE } else { PLAIN }
}

/// The token in the cookie, when there is exactly one: two mean that somebody has put in another.
pub fn token<'a>(headers: &'a HeaderMap, config: &Config) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(found, _)| *found == name(config)).map(|(_, value)| value);
    found.next().filter(|token| found.next().is_none() && !token.is_empty())
}

/// The header that sets it.
pub fn set(token: &str, life: Duration, config: &Config) -> Result<HeaderValue, ApiError> {
    if token.len() > MAX_BYTES {
        return Err(ApiError::field("token", format!("is too long for a cookie, which holds {MAX_BYTES} bytes")));
    }
    header(config, token, life.as_secs())
}

/// The header that ends it.
pub fn end(config: &Config) -> Result<HeaderValue, ApiError> {
    header(config, "", 0)
}

fn header(config: &Config, value: &str, seconds: u64) -> Result<HeaderValue, ApiError> {
    let secure = if config.is_secure() { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}", name(config));
    let mut header = HeaderValue::try_from(text).map_err(|_| ApiError::from(courant_auth::TokenError::Invalid))?;
    header.set_sensitive(true);
    Ok(header)
}
