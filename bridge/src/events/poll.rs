//! Long polling: the answer is everything since the cursor, at once when there is something, else when something comes or
//! the time is over. It is written as it is read, so a long one needs no memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::session::{EventsSession, Next};
use crate::outbox::Batch;
use crate::wire::encode::{Kind, Push};

/// An answer longer than this ends at the next cursor; the client asks on from there.
const MAX_BYTES: usize = 1 << 20;

/// Answers with what there is or will be.
pub fn response(session: EventsSession, wait: Duration) -> Response {
    let answer = PollBody::begin(session.asked, &session.greeting);
    let poll = Poll { session, until: Instant::now() + wait, answer };
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
    session: EventsSession,
    until: Instant,
    answer: PollBody,
}

impl Poll {
    /// Takes what is there; `false` when the answer is whole.
    async fn step(&mut self) -> bool {
        // Before that there is nothing to continue from: what began must come to `live`.
        let far = Instant::now() + Duration::from_secs(24 * 3600);
        let until = if self.answer.all_have_a_cursor() { self.until } else { far };
        let whole = self.answer.is_complete()
            || match self.session.next(&mut self.answer, until).await {
                Next::Messages => self.answer.is_complete(),
                Next::Silence | Next::End => true,
            };
        if whole {
            self.answer.end();
        }
        !whole
    }
}

/// The JSON of the answer, as far as it has not been sent.
struct PollBody {
    text: Vec<u8>,
    bytes: usize,
    /// How many topics there are to come.
    asked: usize,
    /// Messages that say something about jobs, and topics that ended.
    updates: usize,
    topics: BTreeMap<Arc<str>, TopicPosition>,
}

/// Where a topic stands.
#[derive(Default)]
struct TopicPosition {
    cursor: Option<Box<str>>,
    live: bool,
    ended: bool,
}

impl PollBody {
    fn begin(asked: usize, greeting: &str) -> Self {
        let text = [b"{\"messages\":[", greeting.as_bytes()].concat();
        Self { text, bytes: 0, asked, updates: 0, topics: BTreeMap::new() }
    }

    fn message(&mut self, text: &str) {
        self.bytes += text.len();
        self.text.push(b',');
        self.text.extend_from_slice(text.as_bytes());
    }

    fn all(&self, holds: impl Fn(&TopicPosition) -> bool) -> bool {
        self.topics.values().filter(|position| position.ended || holds(position)).count() == self.asked
    }

    fn all_have_a_cursor(&self) -> bool {
        self.all(|position| position.cursor.is_some())
    }

    fn is_complete(&self) -> bool {
        let updates = self.updates > 0 || self.asked == 0;
        (updates && self.all(|position| position.live)) || (self.bytes >= MAX_BYTES && self.all_have_a_cursor())
    }

    fn end(&mut self) {
        let cursors: BTreeMap<_, _> = self.topics.iter().map(|(topic, position)| (topic, &position.cursor)).collect();
        // Maps of text to text can always be written.
        let cursors = serde_json::to_vec(&cursors).unwrap_or_else(|_| b"{}".to_vec());
        self.text.extend_from_slice(b"],\"cursors\":");
        self.text.extend_from_slice(&cursors);
        self.text.push(b'}');
    }
}

impl Batch for PollBody {
    fn reply(&mut self, text: Utf8Bytes) {
        self.message(&text);
    }

    fn push(&mut self, push: Arc<Push>) {
        for frame in &push.frames {
            self.message(frame);
        }
        let position = self.topics.entry(push.topic.clone()).or_default();
        match push.kind {
            Kind::Durable { .. } | Kind::Transient { .. } | Kind::Snapshot { .. } => self.updates += 1,
            // What came before it counts no more, and there is no position to continue from until `live`.
            Kind::Gap => *position = TopicPosition::default(),
            Kind::Ended => {
                position.ended = true;
                self.updates += 1;
            }
            Kind::Live => position.live = true,
            Kind::Mark | Kind::Bookmark => {}
        }
        if push.cursor.is_some() {
            position.cursor.clone_from(&push.cursor);
        }
    }
}
