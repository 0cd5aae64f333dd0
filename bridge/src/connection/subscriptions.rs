//! What one connection follows, and the joins on the way there.

use std::collections::HashMap;
use std::sync::Arc;

use courant_auth::Identity;
use courant_proto::v1::ErrorReason;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::fault::{Code, Fault};
use crate::ledger::TopicHold;
use crate::rooms::join::{Failed, Join, Joined};
use crate::rooms::member::Member;
use crate::wire::Topic;

/// Replays under way at once for one connection; more wait their turn.
const REPLAYS: usize = 4;

/// The subscriptions of one connection. Dropping it ends them all.
pub struct Subscriptions {
    topics: HashMap<Topic, Subscription>,
    joins: JoinSet<Outcome>,
    turns: Arc<Semaphore>,
}

struct Subscription {
    member: Arc<Member>,
    join: AbortHandle,
    /// None while joining.
    joined: Option<Joined>,
    command: Option<u64>,
    /// The user's share in topics.
    _hold: TopicHold,
}

/// What became of a join.
pub struct Outcome {
    topic: Topic,
    member: u64,
    result: Result<Joined, Failed>,
}

/// A join that ended, or broke.
pub type Finished = Result<(Id, Outcome), JoinError>;

/// A command that failed.
pub struct Refused {
    /// Its id.
    pub command: Option<u64>,
    /// What it was about.
    pub topic: Topic,
    /// Why.
    pub fault: Fault,
}

impl Subscription {
    fn end(self) {
        self.member.leave();
        self.join.abort();
    }
}

impl Subscriptions {
    /// None yet.
    pub fn new() -> Self {
        Self { topics: HashMap::new(), joins: JoinSet::new(), turns: Arc::new(Semaphore::new(REPLAYS)) }
    }

    /// How many there are, joining or joined.
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Starts joining, if the user may follow one more topic. A former subscription to the topic ends.
    pub fn add(&mut self, join: Join) -> Result<(), Fault> {
        let (topic, member, command) = (join.topic.clone(), join.member.clone(), join.id);
        self.remove(&topic);
        let hold = join.user.hold(&topic).map_err(|refused| {
            refused.fault("topics over all connections", "--max-topics-per-user", "unsubscribe from some")
        })?;
        let (turns, name, number) = (self.turns.clone(), topic.clone(), member.id);
        let join = self.joins.spawn(async move {
            // Never closed, so this is always a turn.
            let _turn = turns.acquire_owned().await;
            Outcome { topic: name, member: number, result: join.run().await }
        });
        self.topics.insert(topic, Subscription { member, join, joined: None, command, _hold: hold });
        Ok(())
    }

    /// Ends one; nothing more is sent for it.
    pub fn remove(&mut self, topic: &Topic) {
        if let Some(subscription) = self.topics.remove(topic) {
            subscription.end();
        }
    }

    /// Ends all.
    pub fn clear(&mut self) {
        self.topics.drain().for_each(|(_, subscription)| subscription.end());
    }

    /// The next join to end; none while none is under way. Cancel-safe.
    pub async fn finished(&mut self) -> Option<Finished> {
        self.joins.join_next_with_id().await
    }

    /// Keeps what a join brought, unless its subscription has ended meanwhile. A refusal is to be told the client.
    pub fn settle(&mut self, finished: Finished) -> Option<Refused> {
        let Outcome { topic, member, result } = match finished {
            Ok((_, outcome)) => outcome,
            Err(error) if error.is_cancelled() => return None,
            Err(error) => return self.broke(&error),
        };
        let subscription = self.topics.get_mut(&topic).filter(|found| found.member.id == member)?;
        let failed = match result {
            Ok(joined) => {
                subscription.joined = Some(joined);
                return None;
            }
            Err(failed) => failed,
        };
        let command = subscription.command;
        self.remove(&topic);
        match failed {
            Failed::Unanswered(fault) => Some(Refused { command, topic, fault }),
            Failed::Told => None,
        }
    }

    fn broke(&mut self, error: &JoinError) -> Option<Refused> {
        tracing::error!(%error, "a join broke");
        let (topic, subscription) =
            self.topics.iter().find(|(_, subscription)| subscription.join.id() == error.id())?;
        let (topic, command) = (topic.clone(), subscription.command);
        self.remove(&topic);
        let fault = Fault::new(Code::Core(ErrorReason::Internal), "something failed on our side; try again");
        Some(Refused { command, topic, fault })
    }

    /// Ends all that this identity may not see, and what it had asked for with more rights and is only just being joined.
    pub fn recheck(&mut self, before: &Identity, now: &Identity) -> Vec<Topic> {
        let fewer = before.roles.difference(&now.roles).next().is_some();
        let lost = self.topics.iter().filter(|(topic, subscription)| match &subscription.joined {
            Some(joined) => !joined.sight.allows(now),
            None => fewer && !matches!(topic, Topic::Mine | Topic::Notifications | Topic::Devices | Topic::Queue),
        });
        let lost: Vec<_> = lost.map(|(topic, _)| topic.clone()).collect();
        lost.iter().for_each(|topic| self.remove(topic));
        lost
    }
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.clear();
    }
}
