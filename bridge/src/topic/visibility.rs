//! Who may see what a subscription shows. Decided again with every token.

use courant_auth::{Identity, Role};

use super::scope::{EVERYBODY, Scope};
use super::upstream::JobAccess;
use crate::wire::{Audience, JobFilter, TopicKind};

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
        let owner = || Self::Owner(scope.owner.clone());
        match scope.topic.kind() {
            // The server has said whose job it is.
            TopicKind::Jobs(JobFilter::Job(_)) => owner(),
            TopicKind::Jobs(_) if scope.owner == EVERYBODY => Self::Admins,
            TopicKind::Jobs(_) | TopicKind::Inbox => owner(),
            TopicKind::State { audience, .. } => match audience {
                Audience::Everybody => Self::Everybody,
                Audience::Owner => owner(),
                Audience::Admins => Self::Admins,
            },
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

impl JobAccess {
    /// As far as the roles of this identity reach.
    pub fn of(identity: &Identity) -> Self {
        if identity.has(Role::Admin) { Self::All } else { Self::Own }
    }
}
