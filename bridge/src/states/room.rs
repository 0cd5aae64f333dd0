//! One room about a state: keeps the newest of each part, hands it to all members, and to those who come.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{States, Subject, feed};
use crate::backoff::pause;
use crate::fault::{Code, Fault};
use crate::rooms::member::Member;
use crate::rooms::room::TELL_AFTER;
use crate::rooms::{Leave, Members};
use crate::wire::encode::{Push, Slot};
use crate::wire::message::{Ended, Mode, Subscribed};
use crate::wire::{ServerMessage, Tier};

/// One room.
pub struct StateRoom {
    /// What it is about.
    pub subject: Subject,
    /// How often it says something.
    pub tier: Tier,
    name: Arc<str>,
    inner: Mutex<Inner>,
    complete: Notify,
    emptied: Notify,
}

#[derive(Default)]
struct Inner {
    members: Members,
    /// Subscriptions, also those that wait for the first state.
    places: usize,
    parts: BTreeMap<Slot, Part>,
    stalled: bool,
}

/// The newest of one kind.
struct Part {
    hash: u64,
    push: Arc<Push>,
}

/// A part of a state as it is read from the core: what makes it new, and the message once its cursor is known.
pub struct News {
    /// Which part.
    pub slot: Slot,
    /// Says the same for states that are the same to those who look.
    pub hash: u64,
    /// Writes the message.
    pub message: Box<dyn FnOnce(Arc<str>, String) -> ServerMessage + Send>,
}

/// Whether a member is in.
enum Admitted {
    Yes,
    NotYet,
    Never,
}

/// What a subscription to a state wants.
pub struct Wish {
    /// The command to answer.
    pub id: Option<u64>,
    /// The state that is known already.
    pub after: Option<String>,
}

impl StateRoom {
    /// An empty room that knows nothing yet.
    pub fn new(subject: Subject, tier: Tier) -> Self {
        Self {
            tier,
            name: subject.name().into(),
            subject,
            inner: Mutex::default(),
            complete: Notify::new(),
            emptied: Notify::new(),
        }
    }

    /// How many members there are.
    pub fn members(&self) -> usize {
        self.inner.lock().members.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inner.lock().places == 0
    }

    /// Somebody is coming: the room must not end.
    pub(super) fn expect(&self) {
        self.inner.lock().places += 1;
    }

    /// Waits until the state is known, tells it to the member, and lets it hear what follows. Fails while the core is away
    /// and has told nothing yet.
    pub async fn welcome(&self, member: &Arc<Member>, wish: &Wish) -> Result<(), Fault> {
        loop {
            let complete = self.complete.notified();
            tokio::pin!(complete);
            complete.as_mut().enable();
            member.outbox.has_room().await;
            match self.admit(member, wish) {
                Admitted::Yes => return Ok(()),
                Admitted::NotYet => {}
                Admitted::Never => return Err(Fault::unreachable()),
            }
            complete.await;
        }
    }

    /// Under one lock with what is said to all: nothing is missed and nothing comes twice.
    fn admit(&self, member: &Arc<Member>, wish: &Wish) -> Admitted {
        let mut inner = self.inner.lock();
        if inner.parts.len() < feed::parts(&self.subject) {
            return if inner.stalled { Admitted::Never } else { Admitted::NotYet };
        }
        let cursor = inner.cursor();
        let known = wish.after.as_ref() == Some(&cursor);
        let message = ServerMessage::Subscribed(Subscribed {
            id: wish.id,
            topic: self.name.clone(),
            mode: if known { Mode::Resumed } else { Mode::Snapshot },
            reason: None,
            cursor: known.then(|| cursor.clone()),
            min_interval_ms: self.tier.interval().as_millis() as u64,
        });
        member.replay(Arc::new(Push::mark(&self.name, message)));
        if !known {
            inner.parts.values().for_each(|part| member.replay(part.push.clone()));
        }
        member.release(Arc::new(Push::live(&self.name, &cursor)), 0);
        if inner.stalled {
            member.deliver(&Arc::new(self.stalled()));
        }
        inner.members.push(member.clone());
        Admitted::Yes
    }

    /// Takes a part as it is now, and tells the members.
    pub(super) fn hear(&self, news: News, metrics: &crate::metrics::Metrics) {
        let mut inner = self.inner.lock();
        let cursor = inner.cursor_with(news.slot, news.hash);
        let message = (news.message)(self.name.clone(), cursor.clone());
        let push = Arc::new(Push::state(&self.name, news.slot, &cursor, message));
        metrics.encoded.inc();
        inner.members.iter().for_each(|member| member.deliver(&push));
        inner.parts.insert(news.slot, Part { hash: news.hash, push });
        let complete = inner.parts.len() == feed::parts(&self.subject);
        if complete && std::mem::take(&mut inner.stalled) {
            let live = Arc::new(Push::live(&self.name, &cursor));
            inner.members.iter().for_each(|member| member.deliver(&live));
        }
        drop(inner);
        if complete {
            self.complete.notify_waiters();
        }
    }

    /// Whether a part is the same as it was told last.
    pub(super) fn knows(&self, slot: Slot, hash: u64) -> bool {
        self.inner.lock().parts.get(&slot).is_some_and(|part| part.hash == hash)
    }

    fn stall(&self) {
        let push = Arc::new(self.stalled());
        let mut inner = self.inner.lock();
        inner.stalled = true;
        inner.members.iter().for_each(|member| member.deliver(&push));
        drop(inner);
        self.complete.notify_waiters();
    }

    fn stalled(&self) -> Push {
        let code = Code::CoreUnreachable.name().to_owned();
        Push::mark(&self.name, ServerMessage::Stalled(Ended { topic: self.name.clone(), code }))
    }
}

impl Leave for StateRoom {
    fn leave(&self, id: u64) {
        let mut inner = self.inner.lock();
        inner.places -= 1;
        if let Some(index) = inner.members.iter().position(|member| member.id == id) {
            inner.members.swap_remove(index).leave();
        }
        if inner.places == 0 {
            self.emptied.notify_one();
        }
    }
}

impl Inner {
    fn cursor(&self) -> String {
        name(self.parts.iter().map(|(slot, part)| (*slot, part.hash)))
    }

    fn cursor_with(&self, slot: Slot, hash: u64) -> String {
        let mut hashes: BTreeMap<_, _> = self.parts.iter().map(|(slot, part)| (*slot, part.hash)).collect();
        hashes.insert(slot, hash);
        name(hashes.into_iter())
    }
}

/// Names a state by its content. Another build may name it otherwise: then it is only told once more.
fn name(hashes: impl Iterator<Item = (Slot, u64)>) -> String {
    let mut all = DefaultHasher::new();
    hashes.for_each(|part| part.hash(&mut all));
    format!("state-{:016x}", all.finish())
}

/// Runs a room until it has been empty for its grace.
pub async fn run(states: Arc<States>, room: Arc<StateRoom>) {
    loop {
        tokio::select! {
            () = follow_for_ever(&states, &room) => {}
            () = empty_for(&room, states.times.room_grace) => {
                if states.end_if_empty(&room) {
                    return;
                }
            }
        }
    }
}

async fn follow_for_ever(states: &States, room: &StateRoom) {
    let mut losses = 0;
    loop {
        let fault = match feed::follow(states, room, &mut losses).await {
            Err(fault) => fault,
            Ok(()) => Fault::unreachable(),
        };
        states.metrics.upstream_losses.inc();
        losses += 1;
        tracing::debug!(topic = %room.name, %fault, losses, "state feed lost");
        if losses == TELL_AFTER {
            room.stall();
        }
        tokio::time::sleep(pause(losses, states.times.backoff)).await;
    }
}

async fn empty_for(room: &StateRoom, grace: Duration) {
    loop {
        room.emptied.notified().await;
        tokio::time::sleep(grace).await;
        if room.is_empty() {
            return;
        }
    }
}
