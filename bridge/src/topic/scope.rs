//! What a topic is about, and what makes two subscriptions share one.

use std::sync::Arc;

use crate::wire::{ThrottleTier, TopicKind, TopicName};

/// In place of an owner: the jobs of all users. The server's API writes it so.
pub const EVERYBODY: &str = "-";

/// What a topic is about, as the server is asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The name clients know.
    pub topic: TopicName,
    /// Whose: a user's name, [`EVERYBODY`], or empty for `queue` and `admin`, which are nobody's.
    pub owner: String,
    /// Of one job: its document.
    pub document: Option<String>,
}

/// From where a new subscriber gets what came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// From the server, after the subscriber's cursor; meanwhile the subscriber holds what the topic sends.
    Replayed,
    /// From the topic, which keeps the newest of each part of a state. There are so many parts.
    Retained(usize),
    /// The topic is the subscriber's own, and follows from its cursor at its pace.
    Private,
}

impl Scope {
    /// Of topics that need no more than an owner.
    pub fn new(topic: TopicName, owner: impl Into<String>) -> Self {
        Self { topic, owner: owner.into(), document: None }
    }

    /// The topic's name, shared by all its messages.
    pub fn name(&self) -> Arc<str> {
        self.topic.to_string().into()
    }

    /// From where subscribers get what came before them.
    pub fn history(&self) -> History {
        History::of(&self.topic)
    }
}

impl History {
    /// Of a topic, whoever's it is.
    pub fn of(topic: &TopicName) -> Self {
        match topic.kind() {
            TopicKind::Jobs(_) => Self::Replayed,
            TopicKind::State { parts, .. } => Self::Retained(parts),
            TopicKind::Inbox => Self::Private,
        }
    }
}

/// What makes two subscriptions share a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopicKey {
    /// What it is about.
    pub scope: Scope,
    /// How often transient messages come.
    pub tier: ThrottleTier,
    /// Of a private topic: whose subscription it is.
    pub subscriber: Option<u64>,
}

impl TopicKey {
    /// The topic for a subscriber of this number.
    pub fn new(scope: Scope, tier: ThrottleTier, subscriber: u64) -> Self {
        match scope.history() {
            // Nothing in it is transient.
            History::Private => Self { scope, tier: ThrottleTier::Unthrottled, subscriber: Some(subscriber) },
            History::Replayed | History::Retained(_) => Self { scope, tier, subscriber: None },
        }
    }
}
