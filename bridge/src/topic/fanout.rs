//! One topic: its subscribers, whose share of the streams it takes, and the state it keeps if it is about one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::retained::Retained;
use super::scope::{History, TopicKey};
use super::subscriber::Subscriber;
use super::upstream::{Part, SubscribeRequest};
use crate::api_error::{ApiError, Code};
use crate::ledger::Share;
use crate::wire::encode::Push;
use crate::wire::message::{Ended, Mode, Subscribed};
use crate::wire::{ServerMessage, ThrottleTier};

pub(super) struct Topic {
    pub(super) key: TopicKey,
    pub(super) name: Arc<str>,
    inner: Mutex<Inner>,
    /// The state has become whole, or it will not become so for now.
    state_changed: Notify,
    emptied: Notify,
}

struct Inner {
    subscribers: Vec<Arc<Subscriber>>,
    /// How many subscribers each user has.
    users: HashMap<Arc<str>, usize>,
    /// The topic's stream from the server: of the only user it has or had last, of nobody while several share it. None for
    /// states, which the bridge follows for all.
    stream: Option<Share>,
    retained: Retained,
    stalled: bool,
}

/// Whether a subscriber could be given the state.
enum CatchUp {
    Done,
    NotYet,
    Never,
}

impl Topic {
    /// Without subscribers, and with the share of whoever starts it in the streams from the server.
    pub(super) fn new(key: TopicKey, stream: Option<Share>) -> Self {
        let needed = match key.scope.history() {
            History::Retained(parts) => parts,
            History::Replayed | History::Private => 0,
        };
        let inner = Inner {
            subscribers: Vec::new(),
            users: HashMap::new(),
            stream,
            retained: Retained::new(needed),
            stalled: false,
        };
        let name = key.scope.name();
        Self { key, name, inner: Mutex::new(inner), state_changed: Notify::new(), emptied: Notify::new() }
    }

    /// Lets a subscriber in. It holds what is sent until it has caught up.
    pub(super) fn enter(&self, subscriber: Arc<Subscriber>) {
        let mut inner = self.inner.lock();
        let before = inner.users.len();
        if let Some(user) = subscriber.outbox.user() {
            *inner.users.entry(user.name().clone()).or_default() += 1;
        }
        inner.subscribers.push(subscriber);
        inner.pass_on_stream(before);
    }

    /// Lets a subscriber out; nothing more is sent to it.
    pub(super) fn leave(&self, id: u64) {
        let mut inner = self.inner.lock();
        if let Some(index) = inner.subscribers.iter().position(|subscriber| subscriber.id == id) {
            let before = inner.users.len();
            let subscriber = inner.subscribers.swap_remove(index);
            subscriber.end();
            inner.forget(&subscriber);
            inner.pass_on_stream(before);
        }
        if inner.subscribers.is_empty() {
            self.emptied.notify_one();
        }
    }

    pub(super) fn subscribers(&self) -> usize {
        self.inner.lock().subscribers.len()
    }

    /// Waits until nobody has been there for so long.
    pub(super) async fn empty_for(&self, grace: Duration) {
        loop {
            if self.subscribers() > 0 {
                self.emptied.notified().await;
            }
            tokio::time::sleep(grace).await;
            if self.subscribers() == 0 {
                return;
            }
        }
    }

    pub(super) fn send(&self, push: Push) {
        self.inner.lock().send(&Arc::new(push));
    }

    /// Sends to all that nothing is missing.
    pub(super) fn send_live(&self, cursor: &str) {
        let mut inner = self.inner.lock();
        inner.stalled = false;
        inner.send(&Arc::new(Push::live(&self.name, cursor)));
    }

    /// Sends to all that nothing comes for now; who waits for the state waits in vain.
    pub(super) fn send_stalled(&self) {
        let mut inner = self.inner.lock();
        inner.stalled = true;
        inner.send(&Arc::new(stalled(&self.name)));
        drop(inner);
        self.state_changed.notify_waiters();
    }

    /// Keeps a part of the state and sends it to all.
    pub(super) fn retain(&self, part: Part) {
        let mut inner = self.inner.lock();
        let push = inner.retained.keep(&self.name, part);
        inner.send(&push);
        let whole = inner.retained.is_whole();
        if whole && std::mem::take(&mut inner.stalled) {
            inner.send(&Arc::new(Push::live(&self.name, &inner.retained.cursor())));
        }
        drop(inner);
        if whole {
            self.state_changed.notify_waiters();
        }
    }

    /// Waits until the state is whole and gives it to a subscriber, which is live from then on. Fails while the server is
    /// unavailable and the state is not known.
    pub(super) async fn catch_up(&self, subscriber: &Subscriber, request: &SubscribeRequest) -> Result<(), ApiError> {
        loop {
            let state_changed = self.state_changed.notified();
            tokio::pin!(state_changed);
            state_changed.as_mut().enable();
            subscriber.outbox.wait_for_space().await;
            match self.try_catch_up(subscriber, request) {
                CatchUp::Done => return Ok(()),
                CatchUp::NotYet => {}
                CatchUp::Never => return Err(ApiError::unreachable()),
            }
            state_changed.await;
        }
    }

    /// Under one lock with what is sent to all: nothing is missed and nothing comes twice.
    fn try_catch_up(&self, subscriber: &Subscriber, request: &SubscribeRequest) -> CatchUp {
        let inner = self.inner.lock();
        if !inner.retained.is_whole() {
            return if inner.stalled { CatchUp::Never } else { CatchUp::NotYet };
        }
        let cursor = inner.retained.cursor();
        let known = request.after.as_ref() == Some(&cursor);
        let mode = if known { Mode::Resumed } else { Mode::Snapshot };
        let answer = subscribed(&self.name, request, mode, None, known.then(|| cursor.clone()), self.key.tier);
        let state = inner.retained.pushes().filter(|_| !known);
        subscriber.go_live([Arc::new(answer)].into_iter().chain(state), Arc::new(Push::live(&self.name, &cursor)));
        if inner.stalled {
            subscriber.deliver(&Arc::new(stalled(&self.name)));
        }
        CatchUp::Done
    }
}

impl Inner {
    fn send(&self, push: &Arc<Push>) {
        self.subscribers.iter().for_each(|subscriber| subscriber.deliver(push));
    }

    fn forget(&mut self, subscriber: &Subscriber) {
        let Some(user) = subscriber.outbox.user() else { return };
        if let Some(count) = self.users.get_mut(user.name()) {
            *count -= 1;
            if *count == 0 {
                self.users.remove(user.name());
            }
        }
    }

    /// After the users have changed: says whose the stream is. Of an empty topic it stays with the last, until the topic
    /// ends: who comes and goes must not get more streams than who stays.
    fn pass_on_stream(&mut self, before: usize) {
        let Some(stream) = &mut self.stream else { return };
        match self.users.len() {
            0 => {}
            1 if before != 1 => {
                stream.assign_to(self.subscribers.first().and_then(|subscriber| subscriber.outbox.user()).cloned());
            }
            2 if before == 1 => stream.assign_to(None),
            _ => {}
        }
    }
}

/// Says that nothing comes for now.
pub(super) fn stalled(topic: &Arc<str>) -> Push {
    let code = Code::ServerUnavailable.name().to_owned();
    Push::mark(topic, ServerMessage::Stalled(Ended { topic: topic.clone(), code }))
}

/// Answers the command of a subscriber.
pub(super) fn subscribed(
    topic: &Arc<str>,
    request: &SubscribeRequest,
    mode: Mode,
    reason: Option<String>,
    cursor: Option<String>,
    tier: ThrottleTier,
) -> Push {
    let min_interval_ms = tier.interval().as_millis() as u64;
    let answer = Subscribed { id: request.id, topic: topic.clone(), mode, reason, cursor, min_interval_ms };
    Push::mark(topic, ServerMessage::Subscribed(answer))
}
