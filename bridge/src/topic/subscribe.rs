//! How a subscription comes about: the user is authorised, enters the topic and is given what came before; then it is live.
//! Giving goes at the client's pace and never holds up the topic.

use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1;
use courant_runtime::supervisor::Supervisor;
use futures::FutureExt as _;
use tokio::sync::oneshot;

use super::broadcast::Broadcast;
use super::fanout::Topic;
use super::follow::follow;
use super::registry::{Registry, Started, SubscriberGuard};
pub use super::replay::SubscribeError;
use super::replay::{Replay, stream_share};
use super::scope::{History, TopicKey};
use super::subscriber::{Released, Subscriber};
use super::upstream::{Grant, SubscribeRequest, Upstream};
use super::visibility::Visibility;
use crate::api_error::ApiError;
use crate::config::Times;
use crate::metrics::Metrics;
use crate::outbox::flusher::Flushers;
use crate::wire::encode::Push;

/// Topics, and what they need.
pub struct Topics {
    registry: Arc<Registry>,
    upstream: Arc<dyn Upstream>,
    flushers: Arc<Flushers>,
    times: Times,
    metrics: Metrics,
    supervisor: Supervisor,
}

/// A subscription that is live; dropping it ends it.
pub struct Subscription {
    /// What one must be to see it.
    pub visibility: Visibility,
    _membership: SubscriberGuard,
}

impl Topics {
    /// Topics in a registry, with their updates from upstream. They stop with the supervisor.
    pub fn new(
        registry: Arc<Registry>,
        upstream: Arc<dyn Upstream>,
        flushers: Arc<Flushers>,
        times: Times,
        metrics: Metrics,
        supervisor: Supervisor,
    ) -> Arc<Self> {
        Arc::new(Self { registry, upstream, flushers, times, metrics, supervisor })
    }

    /// Subscribes. The command is answered on the subscriber's way unless this fails with
    /// [`SubscribeError::Refused`].
    pub async fn subscribe(
        self: Arc<Self>,
        subscriber: Arc<Subscriber>,
        request: SubscribeRequest,
    ) -> Result<Subscription, SubscribeError> {
        // Before entering a topic: from then on the subscriber must hold what it sends. Never closed, so this is a turn.
        let _turn = match History::of(&request.topic) {
            History::Retained(_) => None,
            History::Replayed | History::Private => Some(request.user.joins.clone().acquire_owned().await),
        };
        let Grant { scope, job } = self.upstream.authorize(&request).await.map_err(SubscribeError::Refused)?;
        let visibility = Visibility::of(&scope);
        let key = TopicKey::new(scope, request.tier, subscriber.id);
        let membership = match key.scope.history() {
            History::Retained(_) => {
                self.with_state(&key, &subscriber, &request).await.map_err(SubscribeError::Refused)?
            }
            History::Private => self.with_private_topic(key, subscriber, request).await?,
            History::Replayed => self.with_replay(key, job, subscriber, request).await?,
        };
        Ok(Subscription { visibility, _membership: membership })
    }

    /// Gives the state as it is as soon as it is known.
    async fn with_state(
        self: &Arc<Self>,
        key: &TopicKey,
        subscriber: &Arc<Subscriber>,
        request: &SubscribeRequest,
    ) -> Result<SubscriberGuard, ApiError> {
        let (membership, started) = self.registry.enter_or_start(key, subscriber, || Ok(None))?;
        if started == Started::Now {
            self.broadcast(&membership.topic, String::new());
        }
        membership.topic.catch_up(subscriber, request).await?;
        Ok(membership)
    }

    /// Replays what was missed until the subscriber is where its topic is.
    async fn with_replay(
        self: &Arc<Self>,
        key: TopicKey,
        job: Option<(v1::Job, String)>,
        subscriber: Arc<Subscriber>,
        request: SubscribeRequest,
    ) -> Result<SubscriberGuard, SubscribeError> {
        let entered = self.enter(&key, job.as_ref().map(|(_, cursor)| cursor.clone()), &subscriber, &request).await;
        let (membership, started) = entered.map_err(SubscribeError::Refused)?;
        let begins_now = request.after.is_none() && started == Started::Now;
        let mut replay = Replay::new(self.upstream.clone(), self.metrics.clone(), key, subscriber, request);
        if let Some((job, cursor)) = job.filter(|_| begins_now) {
            // The topic begins where this snapshot ends.
            let snapshot = Push::snapshot(&replay.name, &job);
            if replay.begin_with(snapshot, cursor, job.revision).await == Released::Live {
                return Ok(membership);
            }
        }
        follow(&mut replay, &self.metrics, self.times.backoff).await?;
        Ok(membership)
    }

    /// Enters a topic; starts it at `cursor`, or at the present, if nobody has, with a stream that counts for the user.
    async fn enter(
        self: &Arc<Self>,
        key: &TopicKey,
        cursor: Option<String>,
        subscriber: &Arc<Subscriber>,
        request: &SubscribeRequest,
    ) -> Result<(SubscriberGuard, Started), ApiError> {
        if let Some(membership) = self.registry.enter(key, subscriber) {
            return Ok((membership, Started::Before));
        }
        let cursor = match cursor {
            Some(cursor) => cursor,
            None => self.upstream.head(&key.scope, request).await?,
        };
        let share = || stream_share(request, &self.metrics).map(Some);
        let (membership, started) = self.registry.enter_or_start(key, subscriber, share)?;
        if started == Started::Now {
            self.broadcast(&membership.topic, cursor);
        }
        Ok((membership, started))
    }

    /// Gives the subscriber a topic of its own.
    async fn with_private_topic(
        self: &Arc<Self>,
        key: TopicKey,
        subscriber: Arc<Subscriber>,
        request: SubscribeRequest,
    ) -> Result<SubscriberGuard, SubscribeError> {
        let share = || stream_share(&request, &self.metrics).map(Some);
        let entered = self.registry.enter_or_start(&key, &subscriber, share);
        let (membership, _) = entered.map_err(SubscribeError::Refused)?;
        let mut replay = Replay::new(self.upstream.clone(), self.metrics.clone(), key, subscriber, request);
        let answered = replay.on_answer();
        let (ended, end) = oneshot::channel();
        let (metrics, backoff) = (self.metrics.clone(), self.times.backoff);
        self.run(&membership.topic, Duration::ZERO, async move {
            // `subscribe` learns why there is no answer; later nobody waits.
            drop(ended.send(follow(&mut replay, &metrics, backoff).await));
        });
        tokio::select! {
            biased;
            Ok(()) = answered => Ok(membership),
            Ok(Err(error)) = end => Err(error),
            else => Err(SubscribeError::Refused(ApiError::unreachable())),
        }
    }

    /// Starts to send a topic's updates to all its subscribers.
    fn broadcast(self: &Arc<Self>, topic: &Arc<Topic>, cursor: String) {
        let (topics, to) = (self.clone(), topic.clone());
        self.run(topic, self.times.topic_grace, async move {
            let (upstream, flushers, metrics) = (&*topics.upstream, &*topics.flushers, &topics.metrics);
            let mut broadcast =
                Broadcast { topic: &to, upstream, flushers, metrics, cursor, announce_live: false, burst: 0 };
            follow(&mut broadcast, metrics, topics.times.backoff).await;
        });
    }

    /// Runs what a topic does until it has been empty for its grace.
    fn run(
        self: &Arc<Self>,
        topic: &Arc<Topic>,
        grace: Duration,
        following: impl Future<Output = ()> + Send + 'static,
    ) {
        let (topics, topic) = (self.clone(), topic.clone());
        // Boxed, and so is the task: passed on as they are, each would be there several times.
        let mut following = Box::pin(following).fuse();
        let run = async move {
            loop {
                tokio::select! {
                    () = &mut following => {}
                    () = topic.empty_for(grace) => {
                        if topics.registry.end_if_empty(&topic) {
                            return;
                        }
                    }
                }
            }
        };
        self.supervisor.run("topic", Box::pin(run));
    }
}
