//! What a topic does with updates: each goes to all subscribers, and nobody is waited for. A subscriber that is too slow is
//! ended by its outbox.

use std::convert::Infallible;
use std::ops::ControlFlow;

use courant_proto::v1::{ErrorReason, GapReason};

use super::fanout::Topic;
use super::follow::{Next, Receiver, Retry, STALLED_AFTER};
use super::upstream::{Content, Update, Updates, Upstream};
use crate::api_error::ApiError;
use crate::metrics::Metrics;
use crate::outbox::flusher::Flushers;
use crate::wire::encode::Push;

/// Of a topic with so many subscribers or more, updates wait for what was sent before them to be written.
const MANY_SUBSCRIBERS: usize = 64;
/// Updates that go to many before they are to be written: as many as the server has credit for at a time.
const BURST: usize = 32;

pub(super) struct Broadcast<'a> {
    pub(super) topic: &'a Topic,
    pub(super) upstream: &'a dyn Upstream,
    pub(super) flushers: &'a Flushers,
    pub(super) metrics: &'a Metrics,
    /// Where the topic has come to.
    pub(super) cursor: String,
    /// Subscribers wait for `live`: they got a gap, a stall or snapshots.
    pub(super) announce_live: bool,
    /// Updates since what was sent had to be written.
    pub(super) burst: usize,
}

impl Broadcast<'_> {
    fn gap(&mut self, reason: GapReason) {
        self.topic.send(Push::gap(&self.topic.name, reason));
        self.announce_live = true;
    }

    /// Sends no faster than is written. What comes faster stays with the server, which keeps the newest update of each job: here it
    /// would take its way through each outbox only to make place for the next.
    async fn pace(&mut self) {
        self.burst += 1;
        if self.burst >= BURST {
            self.burst = 0;
            if self.topic.subscribers() >= MANY_SUBSCRIBERS {
                self.flushers.have_had_their_turn().await;
            }
        }
    }
}

impl Receiver for Broadcast<'_> {
    type End = Infallible;

    async fn open(&mut self) -> Result<Updates, ApiError> {
        self.upstream.follow(&self.topic.key, &self.cursor).await
    }

    async fn receive(&mut self, Update { cursor, content }: Update) -> Next<Infallible> {
        if !cursor.is_empty() {
            self.cursor = cursor;
        }
        match content {
            Content::Event(push) => {
                self.metrics.encoded.inc();
                self.topic.send(push);
            }
            Content::Part(part) => {
                self.metrics.encoded.inc();
                self.topic.retain(part);
            }
            Content::Snapshot(push) => {
                self.topic.send(push);
                self.announce_live = true;
            }
            Content::Gap(reason) => self.gap(reason),
            Content::Live(_) => {
                if std::mem::take(&mut self.announce_live) {
                    self.topic.send_live(&self.cursor);
                }
            }
            Content::Bookmark => self.topic.send(Push::bookmark(&self.topic.name, self.cursor.clone())),
            Content::Ended(code) => self.topic.send(Push::ended(&self.topic.name, code)),
            Content::Nothing => {}
        }
        self.pace().await;
        Next::Update
    }

    fn lost(&mut self, error: ApiError, losses: u32) -> ControlFlow<Infallible, Retry> {
        let name = &self.topic.name;
        if error.is(ErrorReason::CursorInvalid) {
            tracing::info!(topic = %name, "the server does not know the topic's cursor; starting over");
            self.gap(GapReason::LogReplaced);
            self.cursor.clear();
        }
        tracing::debug!(topic = %self.topic.name, %error, losses, "upstream lost, retrying");
        if losses == STALLED_AFTER {
            self.topic.send_stalled();
            self.announce_live = true;
        }
        // The next stream has a new token.
        let at_once = error.is(ErrorReason::TokenExpired) && losses < STALLED_AFTER;
        ControlFlow::Continue(if at_once { Retry::AtOnce } else { Retry::AfterPause })
    }
}
