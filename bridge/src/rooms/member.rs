//! One subscription of one connection: takes what the room says, from the moment of entering, without doubles.
//!
//! While the member reads what it missed, live messages are held, up to a bound; beyond it they are thrown away and
//! the reading goes on in another round. So joining costs bounded memory and never loses anything.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::outbox::Outbox;
use crate::wire::encode::{Kind, Push, Slot};

/// Bytes of live messages held for one joining member.
const HELD_BYTES: usize = 256 << 10;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// One subscription.
#[derive(Debug)]
pub struct Member {
    /// Unique in the bridge.
    pub id: u64,
    /// Where its messages go.
    pub outbox: Arc<Outbox>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Joining(Held, Seen),
    Live(Seen),
    Gone,
}

/// Live messages that wait for the join to finish.
#[derive(Debug, Default)]
struct Held {
    facts: Vec<Arc<Push>>,
    /// The newest of each kind, and when it came among all.
    news: HashMap<(Arc<str>, Slot), (u64, Arc<Push>)>,
    arrivals: u64,
    bytes: usize,
    overflowed: bool,
}

/// What the member has been sent in another way than through the room; empty once the room has come past it.
#[derive(Debug, Default)]
struct Seen {
    /// Every event up to here was in the replay.
    replayed: i64,
    /// The revision each job was sent at.
    jobs: HashMap<Arc<str>, i64>,
    /// The largest revision in all of the above.
    newest: i64,
    /// The last cursor that was sent.
    cursor: Option<Box<str>>,
}

/// Whether a join is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// The member is live.
    Live,
    /// Too much has happened meanwhile: read again from where the replay ended.
    Again,
}

impl Member {
    /// A member that has not read what it missed.
    pub fn new(outbox: Arc<Outbox>) -> Arc<Self> {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { id, outbox, state: Mutex::new(State::Joining(Held::default(), Seen::default())) })
    }

    /// Takes a message of the room.
    pub fn deliver(&self, push: &Arc<Push>) {
        match &mut *self.state.lock() {
            State::Joining(held, _) => held.take(push),
            State::Live(seen) => {
                if seen.admits(push) {
                    self.outbox.push(self.id, seen.own(push));
                }
            }
            State::Gone => {}
        }
    }

    /// Sends a message of the replay. The caller waits for room in the outbox before.
    pub fn replay(&self, push: Arc<Push>) {
        if let State::Joining(_, seen) = &mut *self.state.lock() {
            seen.note(&push);
            self.outbox.push_replayed(push);
        }
    }

    /// Ends the replay, which has told everything up to the revision `told`: sends `live` and what was held.
    pub fn release(&self, live: Arc<Push>, told: i64) -> Released {
        let mut state = self.state.lock();
        let State::Joining(held, seen) = &mut *state else { return Released::Live };
        let (held, mut seen) = match mem::take(held) {
            held if held.overflowed => return Released::Again,
            held => (held, mem::take(seen)),
        };
        seen.cursor.clone_from(&live.cursor);
        self.outbox.push_replayed(live);
        seen.reach(told);
        let mut said = seen.jobs.clone();
        for fact in held.facts {
            if seen.admits(&fact) {
                if let Kind::Durable { job, revision } | Kind::Snapshot { job, revision } = &fact.kind {
                    seen.record(job, *revision);
                    said.insert(job.clone(), *revision);
                }
                self.outbox.push(self.id, seen.own(&fact));
            }
        }
        let mut news: Vec<_> = held.news.into_values().collect();
        news.sort_unstable_by_key(|(arrival, _)| *arrival);
        for (_, news) in news {
            // News from before a fact that was sent must not come after it.
            let old = matches!(&news.kind, Kind::Transient { job, revision, .. } if said.get(job).is_some_and(|said| revision < said));
            if !old && seen.admits(&news) {
                self.outbox.push(self.id, news);
            }
        }
        *state = State::Live(seen);
        Released::Live
    }

    /// From here on nothing is sent any more.
    pub fn leave(&self) {
        *self.state.lock() = State::Gone;
    }
}

impl Held {
    fn take(&mut self, push: &Arc<Push>) {
        match &push.kind {
            Kind::Bookmark => {}
            Kind::Transient { job, slot, .. } => {
                self.arrivals += 1;
                self.news.insert((job.clone(), *slot), (self.arrivals, push.clone()));
            }
            _ if self.overflowed => {}
            Kind::Durable { .. } | Kind::Snapshot { .. } | Kind::Gap | Kind::Ended | Kind::Live | Kind::Mark => {
                self.bytes += push.bytes;
                self.facts.push(push.clone());
            }
        }
        let waiting = self.bytes + self.news.values().map(|(_, news)| news.bytes).sum::<usize>();
        if waiting > HELD_BYTES {
            *self = Self { overflowed: true, ..Self::default() };
        }
    }
}

impl Seen {
    /// Takes note of what the replay sent.
    fn note(&mut self, push: &Push) {
        match &push.kind {
            Kind::Durable { job, revision } => {
                self.replayed = *revision;
                self.record(job, *revision);
                self.cursor.clone_from(&push.cursor);
            }
            Kind::Snapshot { job, revision } => self.record(job, *revision),
            Kind::Gap => *self = Self::default(),
            Kind::Transient { .. } | Kind::Ended | Kind::Live | Kind::Mark | Kind::Bookmark => {}
        }
    }

    /// Takes note of how far the replay came, which may be beyond the last event that it sent.
    fn reach(&mut self, told: i64) {
        self.replayed = self.replayed.max(told);
        self.newest = self.newest.max(told);
    }

    fn record(&mut self, job: &Arc<str>, revision: i64) {
        self.jobs.insert(job.clone(), revision);
        self.newest = self.newest.max(revision);
    }

    /// Whether a message of the room is new to the member.
    fn admits(&mut self, push: &Push) -> bool {
        if self.newest == 0 {
            return true;
        }
        match &push.kind {
            Kind::Durable { job, revision } => {
                if *revision > self.newest {
                    // The room's events come in order: it has passed everything that was sent otherwise.
                    *self = Self::default();
                    return true;
                }
                let new = *revision > self.replayed && self.jobs.get(job).is_none_or(|seen| revision > seen);
                if new {
                    self.cursor.clone_from(&push.cursor);
                }
                new
            }
            Kind::Transient { job, revision, .. } | Kind::Snapshot { job, revision } => {
                self.jobs.get(job).is_none_or(|seen| revision >= seen)
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

    /// What is sent for a message of the room that was let through. A room that comes back says where it is, and a member
    /// may be farther: then it is live at its own place.
    fn own(&self, push: &Arc<Push>) -> Arc<Push> {
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

    use super::*;
    use crate::metrics::Metrics;
    use crate::outbox::Taken;

    fn push(kind: Kind, text: &str, bytes: usize) -> Arc<Push> {
        Arc::new(Push { bytes, ..Push::plain(&"mine".into(), kind, &[text]) })
    }

    fn fact(job: &str, revision: i64) -> Arc<Push> {
        push(Kind::Durable { job: job.into(), revision }, &format!("{job}{revision}"), 10)
    }

    fn news(job: &str, revision: i64) -> Arc<Push> {
        push(Kind::Transient { job: job.into(), revision, slot: Slot::Progress }, &format!("news {job}{revision}"), 10)
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

    fn member() -> Arc<Member> {
        Member::new(Arc::new(Outbox::new(1 << 20, Metrics::default())))
    }

    fn sent(member: &Member) -> Vec<String> {
        let waker = noop_waker();
        let (mut batch, mut out) = (VecDeque::new(), Vec::new());
        while member.outbox.take(&mut batch, &Context::from_waker(&waker)) == Taken::Some {
            out.extend(batch.drain(..).map(|text| text.to_string()));
        }
        out
    }

    #[test]
    fn what_replay_and_room_both_say_is_sent_once_and_in_order() {
        let member = member();
        for revision in [3, 4, 5, 6] {
            member.deliver(&fact("A", revision));
        }
        member.deliver(&news("A", 4));
        for revision in [1, 2, 3, 4] {
            member.replay(fact("A", revision));
        }
        assert_eq!(member.release(live(), 0), Released::Live);
        for revision in [6, 7] {
            member.deliver(&fact("A", revision));
        }
        // The news was older than what was sent by then.
        assert_eq!(sent(&member), ["A1", "A2", "A3", "A4", "live", "A5", "A6", "A7"]);
    }

    #[test]
    fn a_room_that_lags_behind_a_snapshot_says_nothing_old() {
        let member = member();
        member.replay(snapshot("A", 7));
        member.replay(snapshot("B", 4));
        member.release(live(), 0);
        let mut said = sent(&member);
        for (job, revision) in [("A", 5), ("B", 4), ("B", 6), ("A", 7), ("A", 8), ("B", 9)] {
            member.deliver(&news(job, revision - 1));
            member.deliver(&fact(job, revision));
            said.extend(sent(&member));
        }
        assert_eq!(said, ["snapshot A7", "snapshot B4", "live", "news B5", "B6", "news A7", "A8", "news B8", "B9"]);
    }

    #[test]
    fn a_room_that_comes_back_makes_no_member_live_at_an_older_place() {
        let member = member();
        // The room says that it is live again while the member reads what the room has not come to yet.
        member.deliver(&live_at("c3"));
        member.replay(snapshot("A", 7));
        member.release(live_at("c7"), 7);
        assert_eq!(live_cursor(&sent(&member)), "c7");
        member.deliver(&live_at("c4"));
        assert_eq!(live_cursor(&sent(&member)), "c7");
        member.deliver(&fact("A", 8));
        member.deliver(&live_at("c8"));
        assert_eq!(live_cursor(&sent(&member)), "c8");
    }

    #[test]
    fn after_a_gap_a_member_is_live_where_the_room_is() {
        let member = member();
        member.release(live_at("c7"), 7);
        member.deliver(&push(Kind::Gap, "gap", 3));
        member.deliver(&live_at("d2"));
        assert_eq!(live_cursor(&sent(&member)), "d2");
    }

    #[test]
    fn when_too_much_is_held_the_replay_goes_on() {
        let member = member();
        member.deliver(&push(Kind::Durable { job: "A".into(), revision: 1 }, "A1", HELD_BYTES + 1));
        member.deliver(&fact("A", 2));
        assert_eq!(member.release(live(), 0), Released::Again);
        member.deliver(&fact("A", 3));
        for revision in [1, 2] {
            member.replay(fact("A", revision));
        }
        assert_eq!(member.release(live(), 0), Released::Live);
        assert_eq!(sent(&member), ["A1", "A2", "live", "A3"]);
    }

    #[test]
    fn a_room_that_lags_behind_a_replay_without_events_says_nothing_old() {
        let member = member();
        member.deliver(&fact("A", 5));
        assert_eq!(member.release(live(), 7), Released::Live);
        for revision in [6, 7, 8, 9] {
            member.deliver(&fact("A", revision));
        }
        assert_eq!(sent(&member), ["live", "A8", "A9"]);
    }

    #[test]
    fn held_news_comes_in_the_order_it_came_in_and_not_after_what_outdates_it() {
        for _ in 0..32 {
            let member = member();
            let of =
                |slot, revision: i64, text: &str| push(Kind::Transient { job: "A".into(), revision, slot }, text, 10);
            member.deliver(&fact("A", 1));
            member.deliver(&fact("B", 2));
            member.deliver(&news("B", 1));
            member.deliver(&of(Slot::Progress, 1, "30 %"));
            member.deliver(&of(Slot::Zone, 1, "40 %"));
            member.deliver(&of(Slot::Place, 1, "50 %"));
            member.deliver(&of(Slot::Progress, 1, "60 %"));
            member.deliver(&fact("C", 3));
            member.release(live(), 0);
            assert_eq!(sent(&member), ["live", "A1", "B2", "C3", "40 %", "50 %", "60 %"]);
        }
    }

    #[test]
    fn held_news_does_not_come_after_a_replay_that_outdates_it() {
        let member = member();
        member.deliver(&news("A", 1));
        member.deliver(&fact("B", 3));
        member.replay(fact("A", 2));
        member.release(live(), 2);
        assert_eq!(sent(&member), ["A2", "live", "B3"]);
    }

    #[test]
    fn after_leaving_nothing_is_sent() {
        let member = member();
        member.leave();
        member.replay(fact("A", 1));
        member.release(live(), 0);
        member.deliver(&fact("A", 2));
        assert!(sent(&member).is_empty());
    }
}
