//! What one connection follows, and the joins on the way there.

use std::collections::HashMap;
use std::sync::Arc;

use courant_auth::Identity;
use courant_proto::v1::ErrorReason;
use courant_runtime::request::{self, Context};
use courant_runtime::traces::Span;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::api_error::{ApiError, Code};
use crate::ledger::TopicShare;
use crate::topic::subscribe::{SubscribeError, Subscription, Topics};
use crate::topic::subscriber::Subscriber;
use crate::topic::upstream::SubscribeRequest;
use crate::wire::TopicName;

/// Replays under way at once for one connection; more wait their turn.
const REPLAYS: usize = 4;

/// The subscriptions of one connection. Dropping it ends them all.
pub struct Subscriptions {
    topics: HashMap<TopicName, Entry>,
    tasks: JoinSet<SubscribeResult>,
    replays: Arc<Semaphore>,
}

struct Entry {
    subscriber: Arc<Subscriber>,
    /// What brings it about; it is let go afterwards, since a handle keeps all the memory of its task.
    task: Option<AbortHandle>,
    /// None while it comes about.
    subscription: Option<Subscription>,
    command: Option<u64>,
    /// The user's share in topics.
    _share: TopicShare,
}

/// What became of a request to subscribe.
pub struct SubscribeResult {
    topic: TopicName,
    subscriber: u64,
    result: Result<Subscription, SubscribeError>,
}

/// A subscribe task that ended, or panicked.
pub type FinishedTask = Result<(Id, SubscribeResult), JoinError>;

/// A command that failed.
pub struct RefusedCommand {
    pub command: Option<u64>,
    /// What it was about.
    pub topic: TopicName,
    pub error: ApiError,
}

impl Entry {
    fn end(self) {
        self.subscriber.end();
        if let Some(task) = self.task {
            task.abort();
        }
    }
}

impl Subscriptions {
    pub fn new() -> Self {
        Self { topics: HashMap::new(), tasks: JoinSet::new(), replays: Arc::new(Semaphore::new(REPLAYS)) }
    }

    /// How many there are, also those that are not live yet.
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// Begins to subscribe, if the user may follow one more topic. A former subscription to the topic ends. The span ends when
    /// the subscription is live.
    pub fn add(
        &mut self,
        topics: &Arc<Topics>,
        subscriber: Arc<Subscriber>,
        request: SubscribeRequest,
        span: Span,
    ) -> Result<(), ApiError> {
        let (topic, command) = (request.topic.clone(), request.id);
        self.remove(&topic);
        let share = request.user.take_topic(&topic).map_err(|refused| {
            refused.api_error("topics over all connections", "--max-topics-per-user", "unsubscribe from some")
        })?;
        let (replays, name, topics, entering) =
            (self.replays.clone(), topic.clone(), topics.clone(), subscriber.clone());
        let task = self.tasks.spawn(async move {
            // Never closed, so this is always a turn.
            let _turn = replays.acquire_owned().await;
            let subscriber = entering.id;
            let context = Context { trace: span.context(), ..Context::default() };
            let result = request::scope(context, topics.subscribe(entering, request)).await;
            drop(span);
            SubscribeResult { topic: name, subscriber, result }
        });
        self.topics.insert(topic, Entry { subscriber, task: Some(task), subscription: None, command, _share: share });
        Ok(())
    }

    /// Ends one; nothing more is sent for it.
    pub fn remove(&mut self, topic: &TopicName) {
        if let Some(entry) = self.topics.remove(topic) {
            entry.end();
        }
    }

    pub fn clear(&mut self) {
        self.topics.drain().for_each(|(_, entry)| entry.end());
    }

    /// The next task to end; none while none is under way. Cancel-safe.
    pub async fn finished(&mut self) -> Option<FinishedTask> {
        self.tasks.join_next_with_id().await
    }

    /// Keeps what a task brought, unless its subscription has ended meanwhile. The client is to be answered with a refusal.
    pub fn apply(&mut self, finished: FinishedTask) -> Option<RefusedCommand> {
        let SubscribeResult { topic, subscriber, result } = match finished {
            Ok((_, subscribe_result)) => subscribe_result,
            Err(error) if error.is_cancelled() => return None,
            Err(error) => return self.panicked(&error),
        };
        let entry = self.topics.get_mut(&topic).filter(|found| found.subscriber.id == subscriber)?;
        let error = match result {
            Ok(subscription) => {
                entry.subscription = Some(subscription);
                entry.task = None;
                return None;
            }
            Err(error) => error,
        };
        let command = entry.command;
        self.remove(&topic);
        match error {
            SubscribeError::Refused(error) => Some(RefusedCommand { command, topic, error }),
            SubscribeError::Ended => None,
        }
    }

    fn panicked(&mut self, error: &JoinError) -> Option<RefusedCommand> {
        tracing::error!(%error, "subscribe task panicked");
        let (topic, entry) =
            self.topics.iter().find(|(_, entry)| entry.task.as_ref().is_some_and(|task| task.id() == error.id()))?;
        let (topic, command) = (topic.clone(), entry.command);
        self.remove(&topic);
        let error = ApiError::new(Code::Server(ErrorReason::Internal), "something failed on our side; try again");
        Some(RefusedCommand { command, topic, error })
    }

    /// Ends all that this identity may not see, and what was asked for with more rights and is not live yet.
    pub fn recheck(&mut self, before: &Identity, now: &Identity) -> Vec<TopicName> {
        let fewer = before.roles.difference(&now.roles).next().is_some();
        let lost = self.topics.iter().filter(|(topic, entry)| match &entry.subscription {
            Some(subscription) => !subscription.visibility.allows(now),
            None => fewer && topic.kind().may_need_role(),
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
