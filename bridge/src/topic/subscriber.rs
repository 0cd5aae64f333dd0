//! One subscription of one connection: takes what its topic sends, from the moment of entering, without doubles.
//!
//! While the subscriber is given what it missed, updates are held, up to a bound; beyond it they are thrown away and another
//! replay follows. So subscribing costs bounded memory and never loses anything.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::outbox::Outbox;
use crate::wire::encode::{Kind, Push, Slot};

/// Bytes of updates held for one subscriber that is being given what it missed.
const HELD_BYTES: usize = 256 << 10;

static NEXT: AtomicU64 = AtomicU64::new(1);

#[derive(Debug)]
pub struct Subscriber {
    /// Unique in the bridge, never used again.
    pub id: u64,
    /// The queue of its connection.
    pub outbox: Arc<Outbox>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    CatchingUp(Held, Delivered),
    Live(Delivered),
    Ended,
}

/// Updates that wait until the subscriber has caught up.
#[derive(Debug, Default)]
struct Held {
    durable: Vec<Arc<Push>>,
    /// The newest of each job and slot, and its number among all that came.
    transient: HashMap<(Arc<str>, Slot), (u64, Arc<Push>)>,
    arrivals: u64,
    bytes: usize,
    overflowed: bool,
}

/// What the subscriber has been sent otherwise than by its topic; empty once the topic has come past it.
#[derive(Debug, Default)]
struct Delivered {
    /// Every event up to here was in the replay.
    replayed: i64,
    /// Where each job was when it was sent.
    jobs: HashMap<Arc<str>, Shown>,
    /// The largest revision in all of the above.
    newest: i64,
    /// The last cursor that was sent.
    cursor: Option<Box<str>>,
}

/// Up to where a job was shown.
#[derive(Clone, Copy, Debug)]
struct Shown {
    revision: i64,
    /// Of a snapshot of an attempt.
    elapsed_ms: Option<i64>,
}

impl Shown {
    /// Whether an update or snapshot of the job is older than what was shown.
    fn is_after(self, revision: i64, push: &Push) -> bool {
        let earlier = || push.elapsed_ms.zip(self.elapsed_ms).is_some_and(|(push, shown)| push < shown);
        revision < self.revision || (revision == self.revision && earlier())
    }
}

/// Whether a subscriber has caught up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    Live,
    /// Too much has happened meanwhile: replay again from where the replay ended.
    Again,
}

impl Subscriber {
    /// One that has been given nothing yet.
    pub fn new(outbox: Arc<Outbox>) -> Arc<Self> {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { id, outbox, state: Mutex::new(State::CatchingUp(Held::default(), Delivered::default())) })
    }

    /// Takes an update of the topic.
    pub fn deliver(&self, push: &Arc<Push>) {
        match &mut *self.state.lock() {
            State::CatchingUp(held, _) => held.take(push),
            State::Live(delivered) => {
                if delivered.is_new(push) {
                    self.outbox.push(self.id, delivered.adjusted(push));
                }
            }
            State::Ended => {}
        }
    }

    /// Sends a message of the replay. The caller waits for space in the outbox first.
    pub fn replay(&self, push: Arc<Push>) {
        if let State::CatchingUp(_, delivered) = &mut *self.state.lock() {
            delivered.replayed(&push);
            self.outbox.push_replayed(push);
        }
    }

    /// Ends the replay, which came up to a revision: sends `live` and what was held.
    pub fn release(&self, live: Arc<Push>, revision: i64) -> Released {
        let mut state = self.state.lock();
        let State::CatchingUp(held, delivered) = &mut *state else { return Released::Live };
        let (held, mut delivered) = match mem::take(held) {
            held if held.overflowed => return Released::Again,
            held => (held, mem::take(delivered)),
        };
        delivered.cursor.clone_from(&live.cursor);
        self.outbox.push_replayed(live);
        delivered.reach(revision);
        let mut sent = delivered.jobs.clone();
        for push in held.durable {
            if delivered.is_new(&push) {
                if let Kind::Durable { job, revision } | Kind::Snapshot { job, revision } = &push.kind {
                    delivered.record(job, *revision, &push);
                    sent.insert(job.clone(), Shown { revision: *revision, elapsed_ms: push.elapsed_ms });
                }
                self.outbox.push(self.id, delivered.adjusted(&push));
            }
        }
        let mut transient: Vec<_> = held.transient.into_values().collect();
        transient.sort_unstable_by_key(|(arrival, _)| *arrival);
        for (_, push) in transient {
            // What is older than a durable update that was sent must not come after it.
            let old = matches!(&push.kind, Kind::Transient { job, revision, .. } if sent.get(job).is_some_and(|sent| sent.is_after(*revision, &push)));
            if !old && delivered.is_new(&push) {
                self.outbox.push(self.id, push);
            }
        }
        *state = State::Live(delivered);
        Released::Live
    }

    /// Sends a state as it is now, and `live`. To be called under the lock of the topic: what was held is part of the state.
    pub fn go_live(&self, state: impl Iterator<Item = Arc<Push>>, live: Arc<Push>) {
        let mut current = self.state.lock();
        if let State::CatchingUp(..) = &*current {
            state.chain([live]).for_each(|push| self.outbox.push_replayed(push));
            *current = State::Live(Delivered::default());
        }
    }

    /// From here on nothing is sent any more.
    pub fn end(&self) {
        *self.state.lock() = State::Ended;
    }
}

impl Held {
    fn take(&mut self, push: &Arc<Push>) {
        match &push.kind {
            Kind::Bookmark => {}
            Kind::Transient { job, slot, .. } => {
                self.arrivals += 1;
                self.transient.insert((job.clone(), *slot), (self.arrivals, push.clone()));
            }
            _ if self.overflowed => {}
            Kind::Durable { .. } | Kind::Snapshot { .. } | Kind::Gap | Kind::Ended | Kind::Live | Kind::Mark => {
                self.bytes += push.bytes;
                self.durable.push(push.clone());
            }
        }
        let waiting = self.bytes + self.transient.values().map(|(_, push)| push.bytes).sum::<usize>();
        if waiting > HELD_BYTES {
            *self = Self { overflowed: true, ..Self::default() };
        }
    }
}

impl Delivered {
    /// Takes note of what the replay sent.
    fn replayed(&mut self, push: &Push) {
        match &push.kind {
            // Not of a job: nothing else sends it.
            Kind::Durable { revision: 0, .. } => {}
            Kind::Durable { job, revision } => {
                self.replayed = *revision;
                self.record(job, *revision, push);
                self.cursor.clone_from(&push.cursor);
            }
            Kind::Snapshot { job, revision } => self.record(job, *revision, push),
            Kind::Gap => *self = Self::default(),
            Kind::Transient { .. } | Kind::Ended | Kind::Live | Kind::Mark | Kind::Bookmark => {}
        }
    }

    /// Takes note of how far the replay came, which may be beyond the last event that it sent.
    fn reach(&mut self, revision: i64) {
        self.replayed = self.replayed.max(revision);
        self.newest = self.newest.max(revision);
    }

    fn record(&mut self, job: &Arc<str>, revision: i64, push: &Push) {
        self.jobs.insert(job.clone(), Shown { revision, elapsed_ms: push.elapsed_ms });
        self.newest = self.newest.max(revision);
    }

    /// Whether an update of the topic is new to the subscriber.
    fn is_new(&mut self, push: &Push) -> bool {
        if self.newest == 0 {
            return true;
        }
        match &push.kind {
            Kind::Durable { job, revision } => {
                if *revision > self.newest {
                    // The topic's events come in order: it has passed everything that was sent otherwise.
                    *self = Self::default();
                    return true;
                }
                let new = *revision > self.replayed
                    && self.jobs.get(job).is_none_or(|delivered| *revision > delivered.revision);
                if new {
                    self.cursor.clone_from(&push.cursor);
                }
                new
            }
            Kind::Transient { job, revision, .. } | Kind::Snapshot { job, revision } => {
                self.jobs.get(job).is_none_or(|delivered| !delivered.is_after(*revision, push))
            }
            Kind::Gap => {
                *self = Self::default();
                true
            }
            Kind::Ended | Kind::Live | Kind::Mark => true,
            // Its cursor may lie before what was sent already.
            Kind::Bookmark => false,
        }
    }

    /// What is sent for an update that was let through. A topic that comes back says where it is, and a subscriber may be
    /// farther: then it is live at its own cursor.
    fn adjusted(&self, push: &Arc<Push>) -> Arc<Push> {
        match (&push.kind, &self.cursor) {
            (Kind::Live, Some(cursor)) if self.newest > 0 => Arc::new(Push::live(&push.topic, cursor)),
            _ => push.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Context;

    use futures::task::noop_waker;
    use tokio_tungstenite::tungstenite::Utf8Bytes;

    use super::*;
    use crate::metrics::Metrics;
    use crate::outbox::Taken;

    fn push(kind: Kind, text: &str, bytes: usize) -> Arc<Push> {
        Arc::new(Push { bytes, ..Push::plain(&"mine".into(), kind, &[text]) })
    }

    fn durable(job: &str, revision: i64) -> Arc<Push> {
        push(Kind::Durable { job: job.into(), revision }, &format!("{job}{revision}"), 10)
    }

    fn transient(job: &str, revision: i64) -> Arc<Push> {
        push(
            Kind::Transient { job: job.into(), revision, slot: Slot::Progress },
            &format!("transient {job}{revision}"),
            10,
        )
    }

    fn snapshot(job: &str, revision: i64) -> Arc<Push> {
        push(Kind::Snapshot { job: job.into(), revision }, &format!("snapshot {job}{revision}"), 10)
    }

    fn live() -> Arc<Push> {
        push(Kind::Live, "live", 4)
    }

    fn live_at(cursor: &str) -> Arc<Push> {
        Arc::new(Push::live(&"mine".into(), cursor))
    }

    /// The cursor of the last `live` among what was sent.
    fn live_cursor(sent: &[String]) -> String {
        let live = sent.iter().rev().find_map(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        live.expect("a `live`")["cursor"].as_str().unwrap().to_owned()
    }

    fn subscriber() -> Arc<Subscriber> {
        Subscriber::new(Arc::new(Outbox::new(1 << 20, Metrics::default())))
    }

    fn sent(subscriber: &Subscriber) -> Vec<String> {
        let waker = noop_waker();
        let (mut batch, mut out) = (VecDeque::<Utf8Bytes>::new(), Vec::new());
        while subscriber.outbox.take(&mut batch, &Context::from_waker(&waker)) == Taken::Some {
            out.extend(batch.drain(..).map(|text| text.to_string()));
        }
        out
    }

    #[test]
    fn what_replay_and_topic_both_send_is_sent_once_and_in_order() {
        let subscriber = subscriber();
        for revision in [3, 4, 5, 6] {
            subscriber.deliver(&durable("A", revision));
        }
        subscriber.deliver(&transient("A", 4));
        for revision in [1, 2, 3, 4] {
            subscriber.replay(durable("A", revision));
        }
        assert_eq!(subscriber.release(live(), 0), Released::Live);
        for revision in [6, 7] {
            subscriber.deliver(&durable("A", revision));
        }
        // It was older than what was sent by then.
        assert_eq!(sent(&subscriber), ["A1", "A2", "A3", "A4", "live", "A5", "A6", "A7"]);
    }

    #[test]
    fn of_the_same_revision_what_is_older_than_a_snapshot_is_not_sent() {
        let at = |push: Arc<Push>, elapsed_ms| {
            let push = Arc::into_inner(push).unwrap();
            Arc::new(Push { elapsed_ms: Some(elapsed_ms), ..push })
        };
        let subscriber = subscriber();
        subscriber.deliver(&at(transient("A", 7), 900));
        subscriber.deliver(&at(transient("B", 4), 2_100));
        subscriber.replay(at(snapshot("A", 7), 1_000));
        subscriber.replay(at(snapshot("B", 4), 2_000));
        subscriber.release(live(), 0);
        let first = ["snapshot A7", "snapshot B4", "live", "transient B4"];
        assert_eq!(sent(&subscriber), first);
        subscriber.deliver(&at(transient("A", 7), 950));
        subscriber.deliver(&transient("A", 7));
        subscriber.deliver(&at(transient("A", 7), 1_000));
        assert_eq!(sent(&subscriber).len(), 1, "the newest of those that are not old");
        subscriber.deliver(&at(transient("A", 7), 950));
        assert!(sent(&subscriber).is_empty());
    }

    #[test]
    fn a_topic_that_lags_behind_a_snapshot_sends_nothing_old() {
        let subscriber = subscriber();
        subscriber.replay(snapshot("A", 7));
        subscriber.replay(snapshot("B", 4));
        subscriber.release(live(), 0);
        let mut all = sent(&subscriber);
        for (job, revision) in [("A", 5), ("B", 4), ("B", 6), ("A", 7), ("A", 8), ("B", 9)] {
            subscriber.deliver(&transient(job, revision - 1));
            subscriber.deliver(&durable(job, revision));
            all.extend(sent(&subscriber));
        }
        assert_eq!(
            all,
            ["snapshot A7", "snapshot B4", "live", "transient B5", "B6", "transient A7", "A8", "transient B8", "B9"]
        );
    }

    #[test]
    fn a_topic_that_comes_back_makes_no_subscriber_live_at_an_older_cursor() {
        let subscriber = subscriber();
        // The topic says that it is live again while the replay is where the topic has not come to yet.
        subscriber.deliver(&live_at("c3"));
        subscriber.replay(snapshot("A", 7));
        subscriber.release(live_at("c7"), 7);
        assert_eq!(live_cursor(&sent(&subscriber)), "c7");
        subscriber.deliver(&live_at("c4"));
        assert_eq!(live_cursor(&sent(&subscriber)), "c7");
        subscriber.deliver(&durable("A", 8));
        subscriber.deliver(&live_at("c8"));
        assert_eq!(live_cursor(&sent(&subscriber)), "c8");
    }

    #[test]
    fn after_a_gap_a_subscriber_is_live_where_the_topic_is() {
        let subscriber = subscriber();
        subscriber.release(live_at("c7"), 7);
        subscriber.deliver(&push(Kind::Gap, "gap", 3));
        subscriber.deliver(&live_at("d2"));
        assert_eq!(live_cursor(&sent(&subscriber)), "d2");
    }

    #[test]
    fn when_too_much_is_held_the_replay_goes_on() {
        let subscriber = subscriber();
        subscriber.deliver(&push(Kind::Durable { job: "A".into(), revision: 1 }, "A1", HELD_BYTES + 1));
        subscriber.deliver(&durable("A", 2));
        assert_eq!(subscriber.release(live(), 0), Released::Again);
        subscriber.deliver(&durable("A", 3));
        for revision in [1, 2] {
            subscriber.replay(durable("A", revision));
        }
        assert_eq!(subscriber.release(live(), 0), Released::Live);
        assert_eq!(sent(&subscriber), ["A1", "A2", "live", "A3"]);
    }

    #[test]
    fn a_topic_that_lags_behind_a_replay_without_events_sends_nothing_old() {
        let subscriber = subscriber();
        subscriber.deliver(&durable("A", 5));
        assert_eq!(subscriber.release(live(), 7), Released::Live);
        for revision in [6, 7, 8, 9] {
            subscriber.deliver(&durable("A", revision));
        }
        assert_eq!(sent(&subscriber), ["live", "A8", "A9"]);
    }

    #[test]
    fn held_transient_updates_come_in_the_order_it_came_in_and_not_after_what_outdates_it() {
        for _ in 0..32 {
            let subscriber = subscriber();
            let of =
                |slot, revision: i64, text: &str| push(Kind::Transient { job: "A".into(), revision, slot }, text, 10);
            subscriber.deliver(&durable("A", 1));
            subscriber.deliver(&durable("B", 2));
            subscriber.deliver(&transient("B", 1));
            subscriber.deliver(&of(Slot::Progress, 1, "30 %"));
            subscriber.deliver(&of(Slot::Zone, 1, "40 %"));
            subscriber.deliver(&of(Slot::QueuePosition, 1, "50 %"));
            subscriber.deliver(&of(Slot::Progress, 1, "60 %"));
            subscriber.deliver(&durable("C", 3));
            subscriber.release(live(), 0);
            assert_eq!(sent(&subscriber), ["live", "A1", "B2", "C3", "40 %", "50 %", "60 %"]);
        }
    }

    #[test]
    fn held_transient_updates_do_not_come_after_a_replay_that_outdates_it() {
        let subscriber = subscriber();
        subscriber.deliver(&transient("A", 1));
        subscriber.deliver(&durable("B", 3));
        subscriber.replay(durable("A", 2));
        subscriber.release(live(), 2);
        assert_eq!(sent(&subscriber), ["A2", "live", "B3"]);
    }

    #[test]
    fn after_leaving_nothing_is_sent() {
        let subscriber = subscriber();
        subscriber.end();
        subscriber.replay(durable("A", 1));
        subscriber.release(live(), 0);
        subscriber.deliver(&durable("A", 2));
        assert!(sent(&subscriber).is_empty());
    }
}
