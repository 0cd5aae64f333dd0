//! The opening of a WebSocket (RFC 6455, section 4.2), by hand: so that the frames are tungstenite's own, with small
//! buffers, and the HTTP connection's memory goes away.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::api_error::{ApiError, Code};
use crate::request::origin::{Origins, PageOrigin};
use crate::ws::format::Format;

/// JSON in text messages.
const JSON: &str = "courant.v1.json";
/// MessagePack in binary messages.
const MESSAGE_PACK: &str = "courant.v1.msgpack";
/// What comes before a token that is offered as a subprotocol.
const TOKEN: &str = "courant.token.";

/// A WebSocket that may be opened.
#[derive(Debug, PartialEq, Eq)]
pub struct Opening {
    accept: String,
    pub choice: Choice,
    /// The token, if it was offered as a subprotocol.
    pub token: Option<String>,
    /// Whether it comes from a page of ours: only then a cookie counts.
    pub page_origin: PageOrigin,
}

/// The format, and how it was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The first of those offered that is known.
    Offered(Format),
    /// JSON because nothing was asked for.
    Default,
    /// Only unknown formats were offered.
    Unknown,
}

impl Choice {
    /// The format; JSON also to say that none of those offered is known.
    pub fn format(self) -> Format {
        match self {
            Self::Offered(format) => format,
            Self::Default | Self::Unknown => Format::Json,
        }
    }

    /// The name to answer with.
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Offered(Format::Json) => Some(JSON),
            Self::Offered(Format::MessagePack) => Some(MESSAGE_PACK),
            Self::Default | Self::Unknown => None,
        }
    }
}

impl Opening {
    /// Judges the head of a request.
    pub fn read(
        method: &Method,
        version: Version,
        headers: &HeaderMap,
        origins: Origins<'_>,
    ) -> Result<Self, ApiError> {
        let upgrade = |why| ApiError::new(Code::UpgradeRequired, why);
        if method != Method::GET || version != Version::HTTP_11 {
            return Err(upgrade("open a WebSocket here: GET with Upgrade: websocket over HTTP/1.1"));
        }
        if !lists_token(headers, CONNECTION, "upgrade") || !lists_token(headers, UPGRADE, "websocket") {
            return Err(upgrade("open a WebSocket here: Connection: Upgrade and Upgrade: websocket are missing"));
        }
        if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(upgrade("only WebSocket version 13 is supported"));
        }
        let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| BASE64.decode(key).is_ok_and(|key| key.len() == 16));
        let key = key.ok_or_else(|| ApiError::new(Code::BadMessage, "Sec-WebSocket-Key is not a key"))?;
        let page_origin = origins.check(headers)?;
        let (choice, token) = subprotocols(headers)?;
        Ok(Self { accept: derive_accept_key(key.as_bytes()), choice, token, page_origin })
    }

    /// The answer that opens it.
    pub fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(accept) = HeaderValue::try_from(&self.accept) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        if let Some(name) = self.choice.name() {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
        }
        response
    }
}

/// Whether a header that lists words has this one.
fn lists_token(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    list_tokens(headers, name).any(|found| found.eq_ignore_ascii_case(word))
}

fn list_tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(str::trim)
}

fn subprotocols(headers: &HeaderMap) -> Result<(Choice, Option<String>), ApiError> {
    let mut choice = Choice::Default;
    let mut token = None;
    for word in list_tokens(headers, SEC_WEBSOCKET_PROTOCOL) {
        let known = match word {
            JSON => Some(Format::Json),
            MESSAGE_PACK => Some(Format::MessagePack),
            _ => None,
        };
        match (word.strip_prefix(TOKEN), known) {
            (Some(found), _) if token.is_none() => token = Some(found.to_owned()),
            (Some(_), _) => {
                return Err(ApiError::new(Code::BadMessage, "Sec-WebSocket-Protocol has more than one token"));
            }
            (None, Some(format)) if !matches!(choice, Choice::Offered(_)) => choice = Choice::Offered(format),
            (None, None) if choice == Choice::Default && !word.is_empty() => choice = Choice::Unknown,
            (None, _) => {}
        }
    }
    Ok((choice, token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(more: &[(&'static str, &str)]) -> HeaderMap {
        let basic = [
            ("host", "app.example:8080"),
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in basic.iter().chain(more) {
            headers.insert(*name, value.parse().unwrap());
        }
        headers
    }

    fn open(headers: &HeaderMap) -> Result<Opening, Code> {
        let origins = Origins { allowed: &[], public: None, secure: false };
        Opening::read(&Method::GET, Version::HTTP_11, headers, origins).map_err(|error| error.code)
    }

    #[test]
    fn the_example_of_the_rfc_opens() {
        let response = open(&head(&[])).unwrap().response();
        assert_eq!(response.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(response.headers().get(SEC_WEBSOCKET_PROTOCOL).is_none());
    }

    #[test]
    fn pages_of_other_sites_are_kept_out_and_ours_are_known() {
        assert_eq!(open(&head(&[("origin", "https://evil.example")])), Err(Code::OriginForbidden));
        assert_eq!(open(&head(&[("origin", "http://app.example:8080")])).unwrap().page_origin, PageOrigin::Known);
        assert_eq!(open(&head(&[])).unwrap().page_origin, PageOrigin::Absent);
    }

    #[test]
    fn subprotocols_choose_the_format_and_carry_the_token() {
        let offered = |value| {
            let opening = open(&head(&[("sec-websocket-protocol", value)])).unwrap();
            (opening.choice, opening.token)
        };
        let (json, packed) = (Choice::Offered(Format::Json), Choice::Offered(Format::MessagePack));
        assert_eq!(offered("courant.v1.json"), (json, None));
        assert_eq!(offered("courant.v9.xml, courant.v1.json"), (json, None));
        assert_eq!(offered("courant.v1.msgpack, courant.v1.json"), (packed, None));
        assert_eq!(offered("courant.v1.json, courant.v1.msgpack"), (json, None));
        assert_eq!(offered("courant.v9.xml"), (Choice::Unknown, None));
        assert_eq!(offered("courant.token.a.b.c"), (Choice::Default, Some("a.b.c".into())));
        assert_eq!(offered("courant.v1.json,courant.token.a.b.c"), (json, Some("a.b.c".into())));
        assert_eq!(
            open(&head(&[("sec-websocket-protocol", "courant.token.a, courant.token.b")])),
            Err(Code::BadMessage)
        );
    }

    #[test]
    fn what_is_no_handshake_is_told_so() {
        for (name, value) in [("connection", "close"), ("upgrade", "h2c"), ("sec-websocket-version", "8")] {
            assert_eq!(open(&head(&[(name, value)])), Err(Code::UpgradeRequired), "{name}");
        }
        assert_eq!(open(&head(&[("sec-websocket-key", "short")])), Err(Code::BadMessage));
    }
}
