//! What a request says of the answer it wants: its format, and how long it would wait for it.

use std::time::Duration;

use courant_proto::v1::ResultFormat;
use http::HeaderMap;
use http::header::{ACCEPT, HeaderName};

use crate::api_error::{ApiError, Code};

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The format that `Accept` likes best (RFC 9110, section 12.5.1); Markdown where it does not matter.
pub fn format(headers: &HeaderMap) -> Result<ResultFormat, ApiError> {
    let mut ranges =
        headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(','));
    let mut best = None;
    let mut named = false;
    for range in ranges.by_ref().map(str::trim).filter(|range| !range.is_empty()) {
        named = true;
        let (kind, weight) = weighed(range);
        let better = best.is_none_or(|(_, known)| weight > known);
        if let Some(format) = of_media_type(kind).filter(|_| weight > 0.0 && better) {
            best = Some((format, weight));
        }
    }
    match best {
        Some((format, _)) => Ok(format),
        None if !named => Ok(ResultFormat::Markdown),
        None => Err(ApiError::new(
            Code::NotAcceptable,
            "Accept must have application/json, text/markdown, text/plain or text/html; or name a format in the query",
        )),
    }
}

/// How long the client prefers to wait, in whole seconds (`Prefer: wait=10`, RFC 7240). What cannot be read is no preference.
pub fn wait(headers: &HeaderMap) -> Option<Duration> {
    let all = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut preferences = all.flat_map(|value| value.split([',', ';']));
    preferences.find_map(|preference| {
        let (name, seconds) = preference.split_once('=')?;
        let is_wait = name.trim().eq_ignore_ascii_case("wait");
        seconds.trim().trim_matches('"').parse().ok().filter(|_| is_wait).map(Duration::from_secs)
    })
}

/// A media range, and its weight from 0 to 1.
fn weighed(range: &str) -> (&str, f32) {
    let mut parts = range.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    (kind, weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)))
}

fn of_media_type(kind: &str) -> Option<ResultFormat> {
    match kind.to_ascii_lowercase().as_str() {
        "application/json" | "application/*" => Some(ResultFormat::Json),
        "text/markdown" | "text/*" | "*/*" => Some(ResultFormat::Markdown),
        "text/plain" => Some(ResultFormat::Text),
        "text/html" => Some(ResultFormat::Html),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_format_is_what_accept_likes_best() {
        use ResultFormat::{Html, Json, Markdown, Text};
        for (accept, expected) in [
            ("*/*", Some(Markdown)),
            ("application/json", Some(Json)),
            ("text/plain", Some(Text)),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Some(Html)),
            ("text/plain;q=0.5, application/json;q=0.9", Some(Json)),
            ("image/png, text/markdown;q=0.1", Some(Markdown)),
            ("text/markdown;q=0", None),
            ("image/png", None),
        ] {
            assert_eq!(format(&headers(&[("accept", accept)])).ok(), expected, "{accept}");
        }
        assert_eq!(format(&HeaderMap::new()).unwrap(), Markdown);
    }

    #[test]
    fn a_preferred_wait_is_read() {
        let read = |prefer: &str| wait(&headers(&[("prefer", prefer)])).map(|wait| wait.as_secs());
        for (prefer, expected) in [
            ("wait=10", Some(10)),
            ("respond-async, wait=100", Some(100)),
            ("Wait = \"7\"", Some(7)),
            ("respond-async", None),
            ("wait=soon", None),
        ] {
            assert_eq!(read(prefer), expected, "{prefer}");
        }
        assert_eq!(wait(&HeaderMap::new()), None);
    }
}
