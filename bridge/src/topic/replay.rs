//! What one subscriber is sent from its cursor on, at its pace: what it missed, until it is where its topic is; or, of a
//! private topic, everything for as long as it stays.

use std::ops::ControlFlow;
use std::sync::Arc;

use courant_proto::v1::{ErrorReason, GapReason};
use tokio::sync::oneshot;

use super::fanout::{stalled, subscribed};
use super::follow::{Next, Receiver, Retry, STALLED_AFTER};
use super::scope::{History, TopicKey};
use super::subscriber::{Released, Subscriber};
use super::upstream::{Content, SubscribeRequest, Update, Updates, Upstream};
use crate::api_error::ApiError;
use crate::ledger::{Resource, Share};
use crate::metrics::{Limit, Metrics, Refusal};
use crate::wire::encode::{Kind, Push};
use crate::wire::message::Mode;
use crate::wire::names;

/// Why a subscription came to nothing.
#[derive(Debug)]
pub enum SubscribeError {
    /// The command has no answer yet: this.
    Refused(ApiError),
    /// It was answered, and the client got the end of the subscription.
    Ended,
}

pub(super) struct Replay {
    pub(super) upstream: Arc<dyn Upstream>,
    pub(super) metrics: Metrics,
    pub(super) key: TopicKey,
    pub(super) name: Arc<str>,
    pub(super) subscriber: Arc<Subscriber>,
    pub(super) request: SubscribeRequest,
    /// Where it has come to.
    from: String,
    answered: bool,
    /// Of a private topic: nothing is missing, as far as the client knows.
    live: bool,
    /// Who waits for the command to be answered.
    waiting: Option<oneshot::Sender<()>>,
    /// The user's share in the streams from the server, while one is open that no topic has.
    share: Option<Share>,
}

impl Replay {
    pub(super) fn new(
        upstream: Arc<dyn Upstream>,
        metrics: Metrics,
        key: TopicKey,
        subscriber: Arc<Subscriber>,
        request: SubscribeRequest,
    ) -> Self {
        let (name, from) = (key.scope.name(), request.after.clone().unwrap_or_default());
        let (answered, live, waiting, share) = (false, false, None, None);
        Self { upstream, metrics, key, name, subscriber, request, from, answered, live, waiting, share }
    }

    /// Tells when the command has been answered.
    pub(super) fn on_answer(&mut self) -> oneshot::Receiver<()> {
        let (waiting, answered) = oneshot::channel();
        self.waiting = Some(waiting);
        answered
    }

    fn is_private(&self) -> bool {
        self.key.scope.history() == History::Private
    }

    /// Answers the command, once.
    fn answer(&mut self, mode: Mode, reason: Option<GapReason>) {
        if std::mem::replace(&mut self.answered, true) {
            return;
        }
        let cursor = self.request.after.clone().filter(|_| mode == Mode::Resumed);
        let reason = reason.map(|reason| names::gap_reason(reason).to_owned());
        let answer = subscribed(&self.name, &self.request, mode, reason, cursor, self.key.tier);
        self.subscriber.replay(Arc::new(answer));
        // Nobody may wait any more.
        self.waiting.take().map(|waiting| waiting.send(()));
    }

    /// Who begins anywhere gets snapshots.
    fn mode(&self) -> Mode {
        if self.from.is_empty() { Mode::Snapshot } else { Mode::Resumed }
    }

    async fn send(&self, push: Push) {
        self.subscriber.outbox.wait_for_space().await;
        self.subscriber.replay(Arc::new(push));
    }

    fn moved(&mut self, cursor: String) {
        if !cursor.is_empty() {
            self.from = cursor;
        }
    }

    /// Begins with the job as it is, for a subscriber with whom its topic starts there.
    pub(super) async fn begin_with(&mut self, snapshot: Push, cursor: String, revision: i64) -> Released {
        self.answer(Mode::Snapshot, None);
        self.send(snapshot).await;
        let live = Arc::new(Push::live(&self.name, &cursor));
        self.from = cursor;
        self.subscriber.release(live, revision)
    }

    async fn gap(&mut self, reason: GapReason) {
        if self.answered {
            self.send(Push::gap(&self.name, reason)).await;
        } else {
            self.answer(Mode::Snapshot, Some(reason));
        }
        self.from.clear();
        self.live = false;
    }

    fn reached_live(&mut self, cursor: String, revision: i64) -> Next<Result<(), SubscribeError>> {
        self.answer(self.mode(), None);
        let live = Arc::new(Push::live(&self.name, &cursor));
        self.moved(cursor);
        if self.is_private() {
            if !std::mem::replace(&mut self.live, true) {
                self.subscriber.replay(live);
            }
            return Next::Update;
        }
        match self.subscriber.release(live, revision) {
            Released::Live => Next::End(Ok(())),
            // Too much came meanwhile.
            Released::Again => Next::Reopen,
        }
    }
}

impl Receiver for Replay {
    type End = Result<(), SubscribeError>;

    async fn open(&mut self) -> Result<Updates, ApiError> {
        if self.is_private() {
            return self.upstream.follow(&self.key, &self.from).await;
        }
        self.share = None;
        self.share = Some(stream_share(&self.request, &self.metrics)?);
        self.upstream.replay(&self.key.scope, &self.from).await
    }

    async fn receive(&mut self, Update { cursor, content }: Update) -> Next<Self::End> {
        match content {
            Content::Event(push) => {
                self.answer(self.mode(), None);
                if !matches!(push.kind, Kind::Transient { .. }) {
                    self.send(push).await;
                }
                self.moved(cursor);
            }
            Content::Snapshot(push) => {
                self.answer(Mode::Snapshot, None);
                self.send(push).await;
            }
            Content::Nothing => {
                self.answer(self.mode(), None);
                self.moved(cursor);
            }
            Content::Gap(reason) => self.gap(reason).await,
            Content::Live(revision) => return self.reached_live(cursor, revision),
            Content::Bookmark => {
                self.moved(cursor);
                if self.live {
                    self.send(Push::bookmark(&self.name, self.from.clone())).await;
                }
            }
            Content::Ended(code) => {
                self.send(Push::ended(&self.name, code)).await;
                return Next::End(Err(SubscribeError::Ended));
            }
            // Of a state, which nobody replays.
            Content::Part(_) => {}
        }
        Next::Update
    }

    fn lost(&mut self, error: ApiError, losses: u32) -> ControlFlow<Self::End, Retry> {
        self.share = None;
        if !self.answered {
            return ControlFlow::Break(Err(SubscribeError::Refused(error)));
        }
        if error.is(ErrorReason::JobNotFound) {
            self.subscriber.replay(Arc::new(Push::ended(&self.name, error.code.name())));
            return ControlFlow::Break(Err(SubscribeError::Ended));
        }
        tracing::debug!(topic = %self.name, %error, losses, "replay lost, retrying");
        // The cursor is the server's own: the log was replaced under us.
        if error.is(ErrorReason::CursorInvalid) {
            self.subscriber.replay(Arc::new(Push::gap(&self.name, GapReason::LogReplaced)));
            self.from.clear();
            self.live = false;
            return ControlFlow::Continue(Retry::AtOnce);
        }
        if losses == STALLED_AFTER && std::mem::take(&mut self.live) {
            self.subscriber.replay(Arc::new(stalled(&self.name)));
        }
        ControlFlow::Continue(Retry::AfterPause)
    }
}

/// One more stream from the server for the user of a request.
pub(super) fn stream_share(request: &SubscribeRequest, metrics: &Metrics) -> Result<Share, ApiError> {
    request.user.take(Resource::Streams).map_err(|refused| {
        metrics.refused.get_or_create(&Refusal { limit: Limit::StreamsPerUser }).inc();
        refused.api_error("streams of topics", "--max-streams-per-user", "unsubscribe from some")
    })
}
