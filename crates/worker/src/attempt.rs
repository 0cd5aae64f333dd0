//! One attempt as the task, the stream and the shutdown see it.
//!
//! Written by the task (reports) and by the stream (acknowledgements, stop). Lives until the server knows how it ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use courant_proto::v1::work_request::Message;
use courant_proto::v1::{
    AttemptRef, JobError, OfferPages, PartsChanged, ReportCancelled, ReportFailed, ReportReleased, ReportSucceeded,
};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::outbox::{Outbox, Slot};
use crate::turns::{Kind, Turns};
use crate::{Outcome, TaskError};
use courant_runtime::Backoff;

/// What is added to the wait that the server asks for before deferred reports are sent again: the first bound and the last.
const RESEND: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Warnings beyond this many are not sent.
const MAX_WARNINGS: usize = 100;

/// An attempt at a job, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AttemptKey {
    pub(crate) job_id: String,
    pub(crate) number: i32,
    /// Empty for the attempt itself.
    pub(crate) part: String,
    credential: Credential,
}

/// Shows the server that the attempt is this worker's. No part of its name, and not shown.
#[derive(Clone, Default)]
struct Credential(String);

impl AttemptKey {
    pub(crate) fn to_ref(&self) -> AttemptRef {
        AttemptRef {
            job_id: self.job_id.clone(),
            attempt: self.number,
            part: self.part.clone(),
            credential: self.credential.0.clone(),
        }
    }
}

impl From<AttemptRef> for AttemptKey {
    fn from(attempt: AttemptRef) -> Self {
        let credential = Credential(attempt.credential);
        Self { job_id: attempt.job_id, number: attempt.attempt, part: attempt.part, credential }
    }
}

impl PartialEq for Credential {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Credential {}

impl PartialOrd for Credential {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Credential {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl std::hash::Hash for Credential {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// Why an attempt was told to stop. The first reason stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Somebody cancelled the job.
    Cancelled,
    /// The job belongs to someone else now; nothing more is reported.
    Lost,
    /// This worker is going away.
    Released,
    /// It took longer than a job may; [`Config::max_job_duration`](crate::Config::max_job_duration).
    TimedOut(Duration),
}

struct State {
    outbox: Outbox,
    /// Waits between deferrals; again when something was taken.
    resends: Backoff,
    stop: Option<Stop>,
}

pub(crate) struct Attempt {
    pub(crate) key: AttemptKey,
    state: Mutex<State>,
    stopped: CancellationToken,
    /// Room in the outbox.
    room: Notify,
    /// Something to send: the stream learns of it here.
    turns: Arc<Turns>,
    /// How the pages it offers to others stand.
    parts: watch::Sender<PartsChanged>,
}

impl Attempt {
    pub(crate) fn new(key: AttemptKey, capacity: usize, turns: Arc<Turns>) -> Self {
        let state =
            Mutex::new(State { outbox: Outbox::new(capacity), resends: Backoff::new(RESEND.0, RESEND.1), stop: None });
        let parts = watch::Sender::new(PartsChanged::default());
        Self { key, state, stopped: CancellationToken::new(), room: Notify::new(), turns, parts }
    }

    /// Fires when the attempt must stop, for whatever reason.
    pub(crate) fn stopped(&self) -> &CancellationToken {
        &self.stopped
    }

    pub(crate) fn stop(&self, why: Stop) {
        let mut state = self.state();
        // A lost job overrules: nothing may be reported for it any more.
        if state.stop.is_none() || why == Stop::Lost {
            state.stop = Some(why);
        }
        drop(state);
        self.stopped.cancel();
    }

    /// Why it was told to stop, if it was.
    pub(crate) fn stop_reason(&self) -> Option<Stop> {
        self.state().stop
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.state().stop == Some(Stop::Lost)
    }

    /// Queues a durable report; waits while the outbox is full. False when the attempt was stopped.
    pub(crate) async fn report(&self, message: Message) -> bool {
        let mut message = Some(message);
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Registered before looking, so that room made in between is not missed.
            room.as_mut().enable();
            if self.stopped.is_cancelled() {
                return false;
            }
            if self.push_if_capacity(&mut message) {
                self.turns.add(Kind::Durable, &self.key);
                return true;
            }
            tokio::select! {
                () = room => {}
                () = self.stopped.cancelled() => return false,
            }
        }
    }

    fn push_if_capacity(&self, message: &mut Option<Message>) -> bool {
        let mut state = self.state();
        if !state.outbox.has_capacity() {
            return false;
        }
        if let Some(message) = message.take() {
            state.outbox.push(message);
        }
        true
    }

    /// Replaces a transient report.
    pub(crate) fn report_latest(&self, slot: Slot, message: Message) {
        self.state().outbox.set(slot, message);
        self.turns.add(Kind::Transient, &self.key);
    }

    /// Replaces the offer of pages, which is sent on every stream.
    pub(crate) fn offer(&self, offer: OfferPages) {
        self.state().outbox.offer(Message::Offer(offer));
        self.turns.add(Kind::Transient, &self.key);
    }

    /// How the offered pages stand.
    pub(crate) fn parts(&self) -> watch::Receiver<PartsChanged> {
        self.parts.subscribe()
    }

    /// The server says how they stand.
    pub(crate) fn parts_changed(&self, changed: PartsChanged) {
        self.parts.send_replace(changed);
    }

    /// The handler has returned: queues the last report.
    pub(crate) fn end(&self, result: Result<Outcome, TaskError>) {
        let attempt = Some(self.key.to_ref());
        let mut state = self.state();
        let last = match (state.stop, result) {
            (Some(Stop::Cancelled), _) => Message::Cancelled(ReportCancelled { attempt }),
            (Some(Stop::Released), Err(_)) => Message::Released(ReportReleased { attempt }),
            (Some(Stop::TimedOut(limit)), Err(_)) => {
                Message::Failed(ReportFailed { attempt, error: Some(timed_out(limit)) })
            }
            (_, Ok(Outcome { mut warnings })) => {
                warnings.truncate(MAX_WARNINGS);
                Message::Succeeded(ReportSucceeded { attempt, warnings })
            }
            (_, Err(TaskError { code, message, retryable })) => {
                Message::Failed(ReportFailed { attempt, error: Some(JobError { code, message, retryable }) })
            }
        };
        state.outbox.end(last);
        drop(state);
        self.turns.add(Kind::Durable, &self.key);
    }

    /// What waits is to be sent, or sent again.
    pub(crate) fn send_waiting(&self) {
        self.turns.add(Kind::Durable, &self.key);
        self.turns.add(Kind::Transient, &self.key);
    }

    /// Access for the stream.
    pub(crate) fn with_outbox<T>(&self, work: impl FnOnce(&mut Outbox) -> T) -> T {
        work(&mut self.state().outbox)
    }

    /// The server did not take some reports: they go out again after what it says and, each time in a row, some more, but no
    /// later than `at_most`.
    pub(crate) fn defer(&self, after: Duration, at_most: Duration) {
        let mut state = self.state();
        let wait = after.saturating_add(state.resends.pause()).min(at_most);
        state.outbox.defer(self.key.to_ref(), Instant::now() + wait);
    }

    /// Everything sent up to `seq` has arrived.
    pub(crate) fn acknowledge(&self, seq: u64) {
        let mut state = self.state();
        if state.outbox.acknowledge(seq) {
            state.resends.reset();
            drop(state);
            self.room.notify_waiters();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held leaves no half-made change behind: every change is one call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Trying again would take as long.
fn timed_out(limit: Duration) -> JobError {
    let seconds = limit.as_secs();
    let limit = match seconds {
        0..120 => format!("{:.3} seconds", limit.as_secs_f64()),
        120..7200 => format!("{} minutes", seconds / 60),
        _ => format!("{} hours", seconds / 3600),
    };
    let message = format!("Stopped after {limit}: this worker lets no job take longer. Submit less at once.");
    JobError { code: "JOB_TIMED_OUT".into(), message, retryable: false }
}

#[cfg(test)]
mod tests {
    use courant_proto::v1::ReportPlan;

    use super::*;

    fn attempt() -> Attempt {
        let key = AttemptKey::from(AttemptRef { job_id: "J".into(), attempt: 1, ..AttemptRef::default() });
        Attempt::new(key, 1, Arc::default())
    }

    fn last(attempt: &Attempt) -> Option<Message> {
        attempt.with_outbox(|outbox| outbox.next_durable(1))
    }

    #[test]
    fn a_cancelled_attempt_is_cancelled_whatever_the_handler_says() {
        let attempt = attempt();
        attempt.stop(Stop::Cancelled);
        attempt.stop(Stop::Released);
        attempt.end(Ok(Outcome::default()));
        assert!(matches!(last(&attempt), Some(Message::Cancelled(_))));
    }

    #[test]
    fn a_released_attempt_that_made_it_counts() {
        let made = attempt();
        made.stop(Stop::Released);
        made.end(Ok(Outcome::default()));
        assert!(matches!(last(&made), Some(Message::Succeeded(_))));
        let given_up = attempt();
        given_up.stop(Stop::Released);
        given_up.end(Err(TaskError::transient("STOPPED", "stopped")));
        assert!(matches!(last(&given_up), Some(Message::Released(_))));
    }

    #[tokio::test]
    async fn a_full_outbox_holds_the_task_until_there_is_room_or_it_is_stopped() {
        let attempt = Arc::new(attempt());
        let plan = || Message::Plan(ReportPlan::default());
        assert!(attempt.report(plan()).await);
        let held = tokio::spawn({
            let attempt = attempt.clone();
            async move { attempt.report(Message::Plan(ReportPlan::default())).await }
        });
        tokio::task::yield_now().await;
        assert!(!held.is_finished());
        assert!(last(&attempt).is_some());
        attempt.acknowledge(1);
        assert!(held.await.unwrap());
        attempt.stop(Stop::Lost);
        assert!(!attempt.report(plan()).await);
    }
}
