//! Server-Sent Events (WHATWG HTML, section 9.2): each message is one event, its id the cursor to continue from.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use courant_runtime::next_tick;
use futures::stream;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::session::{EventsSession, Next};
use crate::outbox::Batch;
use crate::wire::encode::Push;

/// How long a browser waits before it connects again, in milliseconds. Part of the first event: some readers take each block for one.
const RETRY: &[u8] = b"retry: 1000\n";
/// A keepalive that a script can see. A comment would not do: proxies may drop it, and scripts do not see it.
const PING: &[u8] = b"event: ping\ndata: {}\n\n";

/// Answers with the stream.
pub fn response(session: EventsSession) -> Response {
    let mut first = Text { bytes: RETRY.to_vec(), ids: false };
    first.event(&session.greeting, None);
    let first = stream::iter([Ok(Bytes::from(first.bytes))]);
    let rest = stream::unfold(Some(session), |session| async {
        let mut session = session?;
        let mut text = Text { bytes: Vec::new(), ids: session.asked == 1 };
        let silence = next_tick(Instant::now() + session.app.config.times.client_ping);
        let session = match session.next(&mut text, silence).await {
            Next::Messages => Some(session),
            Next::Silence => {
                text.bytes.extend_from_slice(PING);
                Some(session)
            }
            Next::End => return None,
        };
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text.bytes)), session))
    });
    let mut response = Response::new(Body::from_stream(stream::StreamExt::chain(first, rest)));
    let headers = [
        (CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        // Neither kept nor changed nor held back on the way.
        (CACHE_CONTROL, "no-store, no-transform"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Events as they go over the wire. Our JSON has no line breaks, cursors neither.
struct Text {
    bytes: Vec<u8>,
    /// With several topics there is no one place to continue from.
    ids: bool,
}

impl Text {
    fn event(&mut self, data: &str, id: Option<&str>) {
        if let Some(id) = id {
            self.bytes.extend_from_slice(b"id: ");
            self.bytes.extend_from_slice(id.as_bytes());
            self.bytes.push(b'\n');
        }
        self.bytes.extend_from_slice(b"data: ");
        self.bytes.extend_from_slice(data.as_bytes());
        self.bytes.extend_from_slice(b"\n\n");
    }
}

impl Batch for Text {
    fn reply(&mut self, text: Utf8Bytes) {
        self.event(&text, None);
    }

    fn push(&mut self, push: Arc<Push>) {
        // Only the last of a group has the cursor: who is cut off within gets the whole group again.
        let last = push.frames.len().saturating_sub(1);
        for (index, frame) in push.frames.iter().enumerate() {
            self.event(frame, push.cursor.as_deref().filter(|_| self.ids && index == last));
        }
    }
}
