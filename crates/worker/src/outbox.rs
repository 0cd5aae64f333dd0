//! The reports of one attempt that the server may not have yet.
//!
//! Durable reports wait in order until they are acknowledged and are sent again on every new stream. Transient ones
//! have one place each: the newest wins, and a stream that is down forgets them. An offer of pages has one place, too,
//! and goes out on every new stream. Never grows beyond its capacity, but for the one report that ends the attempt.

use std::collections::VecDeque;

use courant_proto::v1::work_request::Message;
use courant_proto::v1::{AttemptRef, ResumeReports};
use tokio::time::Instant;

/// The order of reports on one stream, over all attempts.
pub(crate) type Seq = u64;

/// Bytes of the reports that wait, beyond which no other is taken: artifacts may be in them.
const MAX_BYTES: usize = 4 << 20;

struct Waiting {
    message: Message,
    bytes: usize,
    /// Where on the current stream it went out.
    sent: Option<Seq>,
}

/// A transient report's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Progress,
    Zone,
    Export,
}

const SLOTS: usize = 3;

pub(crate) struct Outbox {
    capacity: usize,
    waiting: VecDeque<Waiting>,
    /// Of all that wait.
    bytes: usize,
    /// How many of `waiting`, from the front, went out on the current stream.
    sent: usize,
    latest: [Option<Message>; SLOTS],
    /// The newest offer, and whether it went out on the current stream.
    offer: Option<(Message, bool)>,
    ended: bool,
    deferred: Option<Deferred>,
}

/// The server did not take a report, nor any behind it.
struct Deferred {
    attempt: AttemptRef,
    /// Nothing goes out before.
    until: Instant,
}

impl Outbox {
    pub(crate) fn new(capacity: usize) -> Self {
        let latest = [const { None }; SLOTS];
        Self {
            capacity,
            waiting: VecDeque::new(),
            bytes: 0,
            sent: 0,
            latest,
            offer: None,
            ended: false,
            deferred: None,
        }
    }

    /// Whether another durable report fits.
    pub(crate) fn has_capacity(&self) -> bool {
        self.waiting.len() < self.capacity && self.bytes < MAX_BYTES
    }

    /// Takes a durable report, for which there must be room. After the end it is dropped.
    pub(crate) fn push(&mut self, message: Message) {
        if !self.ended {
            self.wait(message);
        }
    }

    fn wait(&mut self, message: Message) {
        let bytes = message.encoded_len();
        self.bytes += bytes;
        self.waiting.push_back(Waiting { message, bytes, sent: None });
    }

    /// Takes the report that ends the attempt. There is always room for it; nothing is taken afterwards.
    pub(crate) fn end(&mut self, message: Message) {
        if !self.ended {
            self.ended = true;
            self.latest = [const { None }; SLOTS];
            self.offer = None;
            self.wait(message);
        }
    }

    /// Takes a transient report in place of the one before.
    pub(crate) fn set(&mut self, slot: Slot, message: Message) {
        if !self.ended {
            self.latest[slot as usize] = Some(message);
        }
    }

    /// Takes an offer in place of the one before.
    pub(crate) fn offer(&mut self, message: Message) {
        if !self.ended {
            self.offer = Some((message, false));
        }
    }

    /// The next durable report to send, as number `seq` of the stream. After a deferral the word that they come again is
    /// first.
    pub(crate) fn next_durable(&mut self, seq: Seq) -> Option<Message> {
        if let Some(deferred) = self.deferred.take_if(|deferred| deferred.until <= Instant::now()) {
            return Some(Message::ResumeReports(ResumeReports { attempt: Some(deferred.attempt) }));
        }
        if self.deferred.is_some() {
            return None;
        }
        let waiting = self.waiting.get_mut(self.sent)?;
        waiting.sent = Some(seq);
        self.sent += 1;
        Some(waiting.message.clone())
    }

    /// The next transient report to send. To be asked only when nothing durable is left, since transient reports speak
    /// of what comes after it.
    pub(crate) fn next_transient(&mut self) -> Option<Message> {
        if self.deferred.is_some() {
            return None;
        }
        if let Some((offer, sent @ false)) = &mut self.offer {
            *sent = true;
            return Some(offer.clone());
        }
        self.latest.iter_mut().find_map(Option::take)
    }

    /// Everything sent up to `seq` has arrived. Whether room was made.
    pub(crate) fn acknowledge(&mut self, seq: Seq) -> bool {
        let before = self.waiting.len();
        while self.waiting.front().is_some_and(|waiting| waiting.sent.is_some_and(|sent| sent <= seq)) {
            self.bytes -= self.waiting.pop_front().map_or(0, |arrived| arrived.bytes);
            self.sent -= 1;
        }
        self.waiting.len() < before
    }

    /// A new stream: what was not acknowledged goes out again.
    pub(crate) fn rewind(&mut self) {
        self.deferred = None;
        self.sent = 0;
        self.waiting.iter_mut().for_each(|waiting| waiting.sent = None);
        self.offer.iter_mut().for_each(|(_, sent)| *sent = false);
    }

    /// The server did not take some: what was not acknowledged goes out again from then on.
    pub(crate) fn defer(&mut self, attempt: AttemptRef, until: Instant) {
        self.rewind();
        self.deferred = Some(Deferred { attempt, until });
    }

    /// What is deferred goes out at once.
    pub(crate) fn resend_now(&mut self) {
        self.deferred.iter_mut().for_each(|deferred| deferred.until = Instant::now());
    }

    /// When what is deferred goes out.
    pub(crate) fn deferred_until(&self) -> Option<Instant> {
        self.deferred.as_ref().map(|deferred| deferred.until)
    }

    /// The stream is down: what is only of the moment is forgotten.
    pub(crate) fn forget_transient(&mut self) {
        self.latest = [const { None }; SLOTS];
    }

    /// Whether the attempt has ended, known to the server or not.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether the attempt has ended and the server knows all about it.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.ended && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use courant_proto::v1::{ReportPlan, ReportProgress, ReportSucceeded};

    use super::*;

    fn plan(pages_total: i32) -> Message {
        Message::Plan(ReportPlan { attempt: None, pages_total, document_pages: 0 })
    }

    fn progress(percent: f64) -> Message {
        Message::Progress(ReportProgress { percent, ..Default::default() })
    }

    fn drain(outbox: &mut Outbox, seq: &mut Seq) -> Vec<Message> {
        let next = || {
            *seq += 1;
            outbox.next_durable(*seq).or_else(|| outbox.next_transient())
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn unacknowledged_reports_go_out_again_in_order() {
        let (mut outbox, mut seq) = (Outbox::new(8), 0);
        for n in 1..=3 {
            outbox.push(plan(n));
        }
        assert_eq!(drain(&mut outbox, &mut seq), [plan(1), plan(2), plan(3)]);
        assert!(outbox.acknowledge(1));
        outbox.rewind();
        assert!(!outbox.acknowledge(99), "nothing of this stream was sent yet");
        assert_eq!(drain(&mut outbox, &mut seq), [plan(2), plan(3)]);
    }

    #[test]
    fn room_comes_back_with_the_acknowledgement_and_the_end_always_fits() {
        let (mut outbox, mut seq) = (Outbox::new(1), 0);
        assert!(outbox.has_capacity());
        outbox.push(plan(1));
        assert!(!outbox.has_capacity());
        outbox.end(Message::Succeeded(ReportSucceeded::default()));
        assert_eq!(drain(&mut outbox, &mut seq).len(), 2);
        assert!(!outbox.is_acknowledged());
        assert!(outbox.acknowledge(seq));
        assert!(outbox.is_acknowledged());
    }

    #[test]
    fn an_offer_follows_what_is_durable_and_goes_out_on_every_stream() {
        let (mut outbox, mut seq) = (Outbox::new(8), 0);
        let offer = |revision| Message::Offer(courant_proto::v1::OfferPages { revision, ..Default::default() });
        outbox.offer(offer(1));
        outbox.offer(offer(2));
        outbox.push(plan(1));
        assert_eq!(drain(&mut outbox, &mut seq), [plan(1), offer(2)]);
        assert_eq!(drain(&mut outbox, &mut seq), []);
        outbox.acknowledge(seq);
        outbox.rewind();
        outbox.forget_transient();
        assert_eq!(drain(&mut outbox, &mut seq), [offer(2)]);
        outbox.rewind();
        outbox.end(Message::Succeeded(ReportSucceeded::default()));
        assert_eq!(drain(&mut outbox, &mut seq).len(), 1, "nothing is offered after the end");
    }

    #[test]
    fn the_newest_progress_wins_and_comes_after_what_is_durable() {
        let (mut outbox, mut seq) = (Outbox::new(8), 0);
        outbox.set(Slot::Progress, progress(10.0));
        outbox.set(Slot::Progress, progress(20.0));
        outbox.push(plan(1));
        assert_eq!(drain(&mut outbox, &mut seq), [plan(1), progress(20.0)]);
        outbox.set(Slot::Progress, progress(30.0));
        outbox.end(Message::Succeeded(ReportSucceeded::default()));
        outbox.set(Slot::Progress, progress(40.0));
        assert_eq!(drain(&mut outbox, &mut seq).len(), 1, "nothing of the moment after the end");
    }

    #[test]
    fn what_is_deferred_goes_out_again_from_the_first_and_no_answer_to_a_heartbeat_settles_it() {
        let (mut outbox, mut seq) = (Outbox::new(8), 0);
        let attempt = || AttemptRef { job_id: "J".into(), attempt: 1, ..AttemptRef::default() };
        (1..=3).for_each(|n| outbox.push(plan(n)));
        outbox.set(Slot::Progress, progress(10.0));
        drain(&mut outbox, &mut seq);
        outbox.acknowledge(1);
        outbox.set(Slot::Progress, progress(20.0));
        let until = Instant::now() + std::time::Duration::from_secs(5);
        outbox.defer(attempt(), until);
        assert!(!outbox.acknowledge(seq), "they were not taken");
        assert_eq!((drain(&mut outbox, &mut seq), outbox.deferred_until()), (vec![], Some(until)));
        outbox.resend_now();
        let resume = Message::ResumeReports(ResumeReports { attempt: Some(attempt()) });
        assert_eq!(drain(&mut outbox, &mut seq), [resume, plan(2), plan(3), progress(20.0)]);
        assert!(outbox.acknowledge(seq) && outbox.deferred_until().is_none());
        outbox.defer(attempt(), until + std::time::Duration::from_secs(60));
        outbox.push(plan(4));
        outbox.rewind();
        assert_eq!(drain(&mut outbox, &mut seq), [plan(4)], "a new stream begins without deferrals");
    }
}
