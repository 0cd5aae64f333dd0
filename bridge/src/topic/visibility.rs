//! Who may see what a subscription shows. Decided again with every token.

use courant_auth::{Identity, Role};

use super::scope::Scope;
use super::upstream::Reach;
use crate::wire::TopicName;

/// What one must be to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visibility {
    Everybody,
    /// The owner, and who sees everybody's jobs.
    Owner(String),
    Admins,
}

impl Visibility {
    /// Who may see the topic of a scope.
    pub fn of(scope: &Scope) -> Self {
        match (&scope.topic, scope.owner.as_str()) {
            (TopicName::Queue, _) => Self::Everybody,
            (TopicName::Admin, _) => Self::Admins,
            (TopicName::Document(_) | TopicName::Batch(_) | TopicName::Mine, "-") => Self::Admins,
            (
                TopicName::Job(_)
                | TopicName::Document(_)
                | TopicName::Batch(_)
                | TopicName::Mine
                | TopicName::Notifications
                | TopicName::Devices,
                owner,
            ) => Self::Owner(owner.to_owned()),
        }
    }

    /// Whether this identity may see it.
    pub fn allows(&self, identity: &Identity) -> bool {
        match self {
            Self::Everybody => true,
            Self::Owner(owner) => *owner == identity.subject || identity.sees_all(),
            Self::Admins => identity.has(Role::Admin),
        }
    }
}

impl Reach {
    /// As far as the roles of this identity reach.
    pub fn of(identity: &Identity) -> Self {
        if identity.has(Role::Admin) { Self::All } else { Self::Own }
    }
}
