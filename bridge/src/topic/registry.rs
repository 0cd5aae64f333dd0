//! All topics of a bridge, by what makes subscriptions share them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::fanout::Topic;
use super::scope::TopicKey;
use super::subscriber::Subscriber;
use crate::api_error::ApiError;
use crate::ledger::Share;
use crate::metrics::Metrics;

pub struct Registry {
    topics: Mutex<HashMap<TopicKey, Arc<Topic>>>,
    metrics: Metrics,
}

/// A subscriber's place in a topic; dropping it leaves the topic.
pub(super) struct SubscriberGuard {
    pub(super) topic: Arc<Topic>,
    subscriber: u64,
    metrics: Metrics,
}

impl Drop for SubscriberGuard {
    fn drop(&mut self) {
        self.topic.leave(self.subscriber);
        self.metrics.subscriptions.dec();
    }
}

/// Who started a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Started {
    /// This subscriber: everything after the topic's cursor comes through the topic.
    Now,
    /// Somebody else: what came before this subscriber entered must be given to it otherwise.
    Before,
}

impl Registry {
    pub fn new(metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { topics: Mutex::default(), metrics })
    }

    /// Enters a topic that is there already.
    pub(super) fn enter(&self, key: &TopicKey, subscriber: &Arc<Subscriber>) -> Option<SubscriberGuard> {
        let topics = self.topics.lock();
        topics.get(key).map(|topic| self.join(topic, subscriber))
    }

    /// Enters a topic, and starts it if nobody has; `share` then takes the stream it needs, if it needs one.
    pub(super) fn enter_or_start(
        &self,
        key: &TopicKey,
        subscriber: &Arc<Subscriber>,
        share: impl FnOnce() -> Result<Option<Share>, ApiError>,
    ) -> Result<(SubscriberGuard, Started), ApiError> {
        let mut topics = self.topics.lock();
        if let Some(topic) = topics.get(key) {
            return Ok((self.join(topic, subscriber), Started::Before));
        }
        let topic = Arc::new(Topic::new(key.clone(), share()?));
        topics.insert(key.clone(), topic.clone());
        self.metrics.topics.inc();
        Ok((self.join(&topic, subscriber), Started::Now))
    }

    fn join(&self, topic: &Arc<Topic>, subscriber: &Arc<Subscriber>) -> SubscriberGuard {
        topic.enter(subscriber.clone());
        self.metrics.subscriptions.inc();
        SubscriberGuard { topic: topic.clone(), subscriber: subscriber.id, metrics: self.metrics.clone() }
    }

    /// Ends a topic unless somebody has come in the meantime.
    pub(super) fn end_if_empty(&self, topic: &Topic) -> bool {
        let mut topics = self.topics.lock();
        let empty = topic.subscribers() == 0;
        if empty {
            topics.remove(&topic.key);
            self.metrics.topics.dec();
        }
        empty
    }

    /// How many subscribers each topic has, by name. Without private topics, which have one each.
    pub fn subscribers(&self) -> Vec<(String, usize)> {
        let topics = self.topics.lock();
        let shared = topics.iter().filter(|(key, _)| key.subscriber.is_none());
        shared.map(|(key, topic)| (key.scope.topic.to_string(), topic.subscribers())).collect()
    }
}
