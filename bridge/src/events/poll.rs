//! Long polling: the answer is everything since the cursor, at once when there is something, else when something comes or
//! the time is over. It is written as it is read, so a long one needs no memory.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Following, Next};
use crate::connection::outbox::Batch;
use crate::wire::encode::{Kind, Push};

/// An answer longer than this ends at the next cursor; the client asks on from there.
const ENOUGH_BYTES: usize = 1 << 20;

/// Answers with what there is or will be.
pub fn response(following: Following, wait: Duration) -> Response {
    let poll = Poll { following, until: Instant::now() + wait, answer: Answer::begin() };
    let body = stream::unfold(Some(poll), |poll| async {
        let mut poll = poll?;
        let more = poll.step().await;
        let text = Bytes::from(std::mem::take(&mut poll.answer.text));
        Some((Ok::<_, std::convert::Infallible>(text), more.then_some(poll)))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

struct Poll {
    following: Following,
    until: Instant,
    answer: Answer,
}

impl Poll {
    /// Takes what is there; `false` when the answer is whole.
    async fn step(&mut self) -> bool {
        // Without a cursor there is nothing to continue from: what began must come to `live`.
        let far = Instant::now() + Duration::from_secs(24 * 3600);
        let until = if self.answer.cursor.is_some() { self.until } else { far };
        let next = self.following.next(&mut self.answer, until).await;
        let whole = match next {
            Next::Messages => self.answer.is_enough(),
            Next::Silence | Next::End => true,
        };
        if whole {
            self.answer.end();
        }
        !whole
    }
}

/// The JSON of the answer, as far as it has not been sent.
struct Answer {
    text: Vec<u8>,
    bytes: usize,
    messages: usize,
    /// Messages that say something about jobs.
    told: usize,
    live: bool,
    cursor: Option<Box<str>>,
}

impl Answer {
    fn begin() -> Self {
        Self { text: b"{\"messages\":[".to_vec(), bytes: 0, messages: 0, told: 0, live: false, cursor: None }
    }

    fn message(&mut self, text: &str) {
        if self.messages > 0 {
            self.text.push(b',');
        }
        self.messages += 1;
        self.bytes += text.len();
        self.text.extend_from_slice(text.as_bytes());
    }

    fn is_enough(&self) -> bool {
        self.cursor.is_some() && ((self.live && self.told > 0) || self.bytes >= ENOUGH_BYTES)
    }

    fn end(&mut self) {
        self.text.extend_from_slice(b"],\"cursor\":");
        match &self.cursor {
            // Opaque to us as well: written as any other text.
            Some(cursor) => {
                let text = serde_json::to_vec(cursor).unwrap_or_else(|_| b"null".to_vec());
                self.text.extend_from_slice(&text);
            }
            None => self.text.extend_from_slice(b"null"),
        }
        self.text.push(b'}');
    }
}

impl Batch for Answer {
    fn reply(&mut self, text: Utf8Bytes) {
        self.message(&text);
    }

    fn push(&mut self, push: &Push) {
        for frame in &push.frames {
            self.message(frame);
        }
        match push.kind {
            Kind::Durable { .. } | Kind::Transient { .. } | Kind::Snapshot { .. } => self.told += 1,
            // What came before it counts no more, and there is no place to continue from until `live`.
            Kind::Gap => (self.cursor, self.live) = (None, false),
            Kind::Mark => self.live |= push.cursor.is_some(),
            Kind::Bookmark => {}
        }
        if push.cursor.is_some() {
            self.cursor.clone_from(&push.cursor);
        }
    }
}
