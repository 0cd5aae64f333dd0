//! What waits to be written to one connection. Bounded in bytes, whatever the client does.
//!
//! When it is full: transient messages are left out (newer ones follow), anything else ends the connection with 4508, so
//! that the client comes back and resumes by cursor. A transient message takes the place of an older one of the same
//! subscription, job and type that still waits; it goes to the end, so that it never overtakes a durable one.
//!
//! What waits for all connections of one user is bounded as well. Then those connections count as full that have something
//! waiting already: one that reads does not pay for others that do not.

pub mod close_reason;
pub mod flusher;

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use courant_proto::v1::ErrorReason;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::api_error::{ApiError, Code};
use crate::ledger::User;
use crate::metrics::Metrics;
use crate::wire::ServerMessage;
use crate::wire::encode::{Push, text};
use crate::wire::message::Draining;
use close_reason::CloseReason;

/// Written in one go before others get a turn.
const BATCH_BYTES: usize = 32 << 10;
/// What may wait for a connection whose user is not known.
const ANONYMOUS_BYTES: usize = 64 << 10;
/// Empty places are swept out when there are more than this, and more than places in use.
const COMPACT_ABOVE: usize = 64;

/// What waits for one connection.
#[derive(Debug)]
pub struct Outbox {
    inner: Mutex<Inner>,
    writer: AtomicWaker,
    drained: Notify,
    ended: Notify,
    limit: usize,
    /// Set once it is known.
    user: OnceLock<Arc<User>>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Inner {
    /// Empty places are messages that were replaced.
    queue: VecDeque<Option<Waiting>>,
    /// The number of the first place.
    first: u64,
    empty: usize,
    bytes: usize,
    /// The number of the place of each transient message.
    slots: FxHashMap<SlotKey, u64>,
    close_reason: Option<CloseReason>,
}

/// What a transient message is about, to one subscription. The hash of [`Push::slot_hash`] has a secret key: two of the same hash
/// would cost no more than that none takes the place of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct SlotKey {
    subscription: u64,
    slot: u64,
}

#[derive(Debug)]
struct Waiting {
    content: Content,
    slot: Option<SlotKey>,
}

#[derive(Debug)]
enum Content {
    One(Utf8Bytes),
    Shared(Arc<Push>),
}

impl Content {
    fn bytes(&self) -> usize {
        match self {
            Self::One(text) => text.len(),
            Self::Shared(push) => push.bytes,
        }
    }

    /// Whether a newer message of the same slot hash is about the same.
    fn is_replaced_by(&self, newer: &Self) -> bool {
        match (self, newer) {
            (Self::Shared(old), Self::Shared(newer)) => old.kind.same_slot(&newer.kind),
            _ => false,
        }
    }
}

/// Where a writer gathers what it takes out.
pub trait Batch {
    /// A reply, or last words.
    fn reply(&mut self, text: Utf8Bytes);
    /// A push with all its messages.
    fn push(&mut self, push: Arc<Push>);
}

#[cfg(test)]
impl Batch for VecDeque<Utf8Bytes> {
    fn reply(&mut self, text: Utf8Bytes) {
        self.push_back(text);
    }

    fn push(&mut self, push: Arc<Push>) {
        self.extend(push.frames.iter().cloned());
    }
}

/// What the writer found.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    Some,
    Nothing,
    /// Nothing any more: close with this.
    End(Box<CloseReason>),
}

impl Outbox {
    /// An empty one that holds at most `limit` bytes.
    pub fn new(limit: usize, metrics: Metrics) -> Self {
        Self {
            inner: Mutex::default(),
            writer: AtomicWaker::new(),
            drained: Notify::new(),
            ended: Notify::new(),
            limit,
            user: OnceLock::new(),
            metrics,
        }
    }

    /// Says whose it is, once: from now on what waits counts for that user.
    pub fn assign_to(&self, user: &Arc<User>) {
        let inner = self.inner.lock();
        if self.user.set(user.clone()).is_ok() {
            user.bytes().record_change(0, inner.bytes);
        }
    }

    /// Whose it is, if that is known.
    pub fn user(&self) -> Option<&Arc<User>> {
        self.user.get()
    }

    /// Counts a change of what waits. To be called under the lock, so that changes count in their order.
    fn count(&self, before: usize, after: usize) {
        if let Some(user) = self.user.get() {
            user.bytes().record_change(before, after);
        }
    }

    fn append(&self, inner: &mut Inner, waiting: Waiting) {
        let before = inner.bytes;
        inner.append(waiting);
        self.count(before, inner.bytes);
    }

    /// Whether so much more may wait, of this connection and of its user.
    fn fits(&self, inner: &Inner, bytes: usize) -> bool {
        let for_user = || self.user.get().is_none_or(|user| user.bytes().has_space(bytes));
        let total = inner.bytes + bytes;
        // Before that there are only short replies, and nobody whose share it could be.
        let limit = if self.user.get().is_some() { self.limit } else { self.limit.min(ANONYMOUS_BYTES) };
        total <= limit && (total <= BATCH_BYTES || inner.bytes == 0 || for_user())
    }

    /// Puts in a reply.
    pub fn reply(&self, message: &ServerMessage) {
        self.enqueue(Waiting { content: Content::One(text(message)), slot: None });
    }

    /// Puts in a push for the subscription.
    pub fn push(&self, subscription: u64, push: Arc<Push>) {
        let slot = push.slot_hash.map(|slot| SlotKey { subscription, slot });
        self.enqueue(Waiting { content: Content::Shared(push), slot });
    }

    /// Puts in a push of a replay. It waited for [`Outbox::wait_for_space`], so it may go over the limit by itself.
    pub fn push_replayed(&self, push: Arc<Push>) {
        let mut inner = self.inner.lock();
        if inner.close_reason.is_none() {
            self.append(&mut inner, Waiting { content: Content::Shared(push), slot: None });
        }
        drop(inner);
        self.writer.wake();
    }

    /// Ends the connection after what waits already. The first reason stands.
    pub fn end(&self, close_reason: CloseReason) {
        let mut inner = self.inner.lock();
        if inner.close_reason.is_none() {
            let closing = Content::One(text(&close_reason.closing()));
            self.append(&mut inner, Waiting { content: closing, slot: None });
            inner.close_reason = Some(close_reason);
        }
        drop(inner);
        self.announce_end();
    }

    /// Ends it because the bridge stops: it may come back at once, elsewhere.
    pub fn end_for_drain(&self) {
        self.reply(&ServerMessage::Draining(Draining { retry_after_ms: 0 }));
        let code = Code::Server(ErrorReason::Draining);
        let error = ApiError::new(code, "the bridge is stopping; connect again");
        self.end(CloseReason::on(ApiError { retry_after: Some(Duration::ZERO), ..error }));
    }

    fn announce_end(&self) {
        self.writer.wake();
        self.drained.notify_waiters();
        self.ended.notify_one();
    }

    /// Waits until the connection is to end, whoever decided it. For the session alone.
    pub async fn ended(&self) {
        if !self.is_ended() {
            self.ended.notified().await;
        }
    }

    /// Whether the connection is ending.
    pub fn is_ended(&self) -> bool {
        self.inner.lock().close_reason.is_some()
    }

    /// Waits until half of the space is free, so that a long replay goes at the client's pace.
    pub async fn wait_for_space(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            let user = self.user.get();
            let others = user.map_or(&self.drained, |user| &user.bytes().drained).notified();
            tokio::pin!(others);
            others.as_mut().enable();
            let bytes = {
                let inner = self.inner.lock();
                if inner.close_reason.is_some() {
                    return;
                }
                inner.bytes
            };
            // With nothing of its own waiting it always goes on, whatever its user's other connections do.
            if bytes * 2 <= self.limit && (bytes == 0 || user.is_none_or(|user| user.bytes().is_half_free())) {
                return;
            }
            tokio::select! {
                () = drained => {}
                () = others => {}
            }
        }
    }

    fn enqueue(&self, waiting: Waiting) {
        let mut inner = self.inner.lock();
        if inner.close_reason.is_some() {
            return;
        }
        let before = inner.bytes;
        if let Some(slot) = &waiting.slot
            && inner.remove_replaced(*slot, &waiting.content)
        {
            self.metrics.coalesced.inc();
            self.count(before, inner.bytes);
        }
        if self.fits(&inner, waiting.content.bytes()) {
            self.append(&mut inner, waiting);
        } else if waiting.slot.is_some() {
            self.metrics.dropped.inc();
        } else {
            self.metrics.too_slow.inc();
            let close_reason = CloseReason::too_slow();
            self.count(inner.bytes, 0);
            *inner = Inner::default();
            self.append(&mut inner, Waiting { content: Content::One(text(&close_reason.closing())), slot: None });
            inner.close_reason = Some(close_reason);
            drop(inner);
            self.announce_end();
        }
        self.writer.wake();
    }

    /// The same for a writer that waits: there is something to take, or the end has come.
    pub fn poll_take(&self, batch: &mut impl Batch, context: &Context<'_>) -> Poll<Taken> {
        match self.take(batch, context) {
            Taken::Nothing => Poll::Pending,
            taken => Poll::Ready(taken),
        }
    }

    /// Waits until there is something to take. For the writer alone.
    pub async fn wait_until_filled(&self) {
        std::future::poll_fn(|context| {
            self.writer.register(context.waker());
            if self.inner.lock().bytes > 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Moves what waits into `batch`, up to a bounded size; registers the writer when there is nothing.
    pub fn take(&self, batch: &mut impl Batch, context: &Context<'_>) -> Taken {
        self.writer.register(context.waker());
        let mut inner = self.inner.lock();
        let before = inner.bytes;
        let (mut bytes, mut messages) = (0, 0);
        while bytes < BATCH_BYTES
            && let Some(waiting) = inner.pop()
        {
            bytes += waiting.content.bytes();
            match waiting.content {
                Content::One(text) => {
                    messages += 1;
                    batch.reply(text);
                }
                Content::Shared(push) => {
                    messages += push.frames.len();
                    batch.push(push);
                }
            }
        }
        self.count(before, inner.bytes);
        let close_reason = inner.close_reason.clone();
        let half_free = inner.bytes * 2 <= self.limit;
        drop(inner);
        if bytes > 0 {
            self.metrics.sent.inc_by(messages as u64);
            self.metrics.sent_bytes.inc_by(bytes as u64);
            if half_free {
                self.drained.notify_waiters();
            }
            return Taken::Some;
        }
        close_reason.map_or(Taken::Nothing, |close_reason| Taken::End(Box::new(close_reason)))
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let bytes = self.inner.get_mut().bytes;
        self.count(bytes, 0);
    }
}

impl Inner {
    fn append(&mut self, waiting: Waiting) {
        self.bytes += waiting.content.bytes();
        if let Some(slot) = &waiting.slot {
            self.slots.insert(*slot, self.first + self.queue.len() as u64);
        }
        self.queue.push_back(Some(waiting));
    }

    /// Removes the message that waits in the slot of a newer one.
    fn remove_replaced(&mut self, slot: SlotKey, newer: &Content) -> bool {
        let Some(index) = self.slots.get(&slot) else { return false };
        let place = self.queue.get_mut((index - self.first) as usize);
        let Some(old) = place.and_then(|place| place.take_if(|old| old.content.is_replaced_by(newer))) else {
            return false;
        };
        self.slots.remove(&slot);
        self.bytes -= old.content.bytes();
        self.empty += 1;
        if self.empty > COMPACT_ABOVE && self.empty * 2 > self.queue.len() {
            self.compact();
        }
        true
    }

    fn compact(&mut self) {
        self.queue.retain(Option::is_some);
        self.empty = 0;
        let slots = self.queue.iter().enumerate().filter_map(|(index, waiting)| {
            let slot = waiting.as_ref()?.slot?;
            Some((slot, self.first + index as u64))
        });
        self.slots = slots.collect();
    }

    fn pop(&mut self) -> Option<Waiting> {
        loop {
            let entry = self.queue.pop_front()?;
            self.first += 1;
            let Some(waiting) = entry else {
                self.empty -= 1;
                continue;
            };
            self.bytes -= waiting.content.bytes();
            if let Some(slot) = &waiting.slot
                && self.slots.get(slot) == Some(&(self.first - 1))
            {
                self.slots.remove(slot);
            }
            return Some(waiting);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::task::noop_waker;

    use super::*;
    use crate::ledger::{Bound, Bounds, Ledger};
    use crate::wire::encode::{Kind, Slot};

    fn push(kind: Kind, text: &str) -> Arc<Push> {
        Arc::new(Push::plain(&"mine".into(), kind, &[text]))
    }

    fn transient(job: &str, text: &str) -> Arc<Push> {
        push(Kind::Transient { job: job.into(), revision: 1, slot: Slot::Progress }, text)
    }

    fn durable(text: &str) -> Arc<Push> {
        push(Kind::Durable { job: "A".into(), revision: 1 }, text)
    }

    fn outbox(limit: usize) -> Outbox {
        Outbox::new(limit, Metrics::default())
    }

    fn all(outbox: &Outbox) -> Vec<String> {
        let waker = noop_waker();
        let (mut batch, mut out) = (VecDeque::<Utf8Bytes>::new(), Vec::new());
        while outbox.take(&mut batch, &Context::from_waker(&waker)) == Taken::Some {
            out.extend(batch.drain(..).map(|text| text.to_string()));
        }
        out
    }

    #[test]
    fn a_transient_message_replaces_an_older_one_of_its_job_and_never_overtakes_a_durable_one() {
        let outbox = outbox(100);
        for (job, text) in [("A", "a1"), ("B", "b1")] {
            outbox.push(1, transient(job, text));
        }
        outbox.push(1, durable("f"));
        outbox.push(1, transient("A", "a2"));
        outbox.push(2, transient("A", "other subscription"));
        assert_eq!(all(&outbox), ["b1", "f", "a2", "other subscription"]);
    }

    #[test]
    fn a_million_transient_messages_to_a_client_that_does_not_read_take_one_slot() {
        let outbox = outbox(100);
        outbox.push(1, durable("f"));
        for _ in 0..1_000_000 {
            outbox.push(1, transient("A", "a"));
        }
        assert!(outbox.inner.lock().queue.len() <= 2 * COMPACT_ABOVE + 2);
        assert_eq!(all(&outbox), ["f", "a"]);
    }

    #[test]
    fn when_full_a_transient_message_is_dropped_and_a_durable_one_ends_the_connection() {
        let outbox = outbox(10);
        outbox.push(1, durable("123456789"));
        outbox.push(1, transient("A", "news"));
        assert!(!outbox.is_ended());
        outbox.push(1, durable("fact"));
        assert!(outbox.is_ended());
        let last = all(&outbox);
        assert_eq!(last.len(), 1);
        assert!(last[0].contains("\"code\":4508"), "{last:?}");
        outbox.push(1, durable("late"));
        assert!(all(&outbox).is_empty());
    }

    #[test]
    fn what_waits_for_one_user_is_bounded_over_all_connections_and_who_reads_does_not_pay() {
        let outboxes = Bound { total: 1 << 30, per_user: 4 * BATCH_BYTES };
        let ledger = Ledger::new(Bounds { outboxes, ..Bounds::default() });
        let of = |user: &str| {
            let outbox = outbox(100 * BATCH_BYTES);
            outbox.assign_to(&ledger.user(user));
            outbox
        };
        let half = "x".repeat(BATCH_BYTES / 2);
        let stalled: Vec<_> = (0..8).map(|_| of("alice")).collect();
        for _ in 0..8 {
            stalled.iter().for_each(|outbox| outbox.push(1, durable(&half)));
        }
        let waiting = ledger.user("alice").bytes().waiting();
        assert!(waiting <= 12 * BATCH_BYTES, "{waiting}");
        assert!(stalled.iter().any(Outbox::is_ended));
        let (reads, other) = (of("alice"), of("bob"));
        for _ in 0..8 {
            reads.push(1, durable(&half));
            assert_eq!(all(&reads), [half.as_str()]);
            other.push(1, durable(&half));
        }
        assert!(!reads.is_ended() && !other.is_ended());
        drop((stalled, reads, other));
        assert_eq!(ledger.users(), 0);
    }

    #[tokio::test]
    async fn a_replay_waits_until_half_is_free() {
        let outbox = Arc::new(outbox(10));
        outbox.push(1, durable("123456"));
        let waiting = tokio::spawn({
            let outbox = outbox.clone();
            async move { outbox.wait_for_space().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        all(&outbox);
        waiting.await.unwrap();
    }
}
