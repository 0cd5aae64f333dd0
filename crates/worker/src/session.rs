//! One stream to the server, from hello to its end.
//!
//! Owns what belongs to this stream only: the numbering of reports, the heartbeat under way, the time of the last sign
//! of life. What outlives it stands in [`Worker`](crate::worker::Worker).
//!
//! There is no acknowledgement of single reports on the wire. A heartbeat follows every batch of durable reports; its answer
//! says that everything sent before it has arrived, or that this takes longer: then the server says so later, by the number of
//! the heartbeat, and heartbeats go on meanwhile as signs of life. What the server could not take it defers by attempt, before
//! it acknowledges what is behind: such reports count as never sent, and go out again later.

use std::collections::VecDeque;
use std::time::Duration;

use courant_proto::v1::work_request::Message;
use courant_proto::v1::work_response::Message as Reply;
use courant_proto::v1::{
    Accepted, Assignment, AttemptRef, ChangeSlots, Heartbeat, ReportCancelled, ReportReleased, Welcome, WorkRequest,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::Status;
use crate::attempt::{AttemptKey, Stop};
use crate::outbox::Seq;
use crate::task::ArtifactLimits;
use crate::worker::Worker;

/// Messages handed to the transport and not yet sent. When it is full, reports wait in their outboxes.
const OUTGOING: usize = 64;
/// Small answers (accepted, cancelled) waiting to be sent; more than this means the server is flooding us.
const MAX_ANSWERS: usize = 4096;
/// How long the server may take for its welcome.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that a server may make deferred reports wait.
const MAX_DEFERRAL: Duration = Duration::from_secs(120);
/// What to assume when the server gives no or a senseless interval.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

/// How a stream ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The server closed it or it broke.
    Closed(Option<tonic::Status>),
    /// Nothing was heard for two heartbeat intervals.
    Silent,
    /// Everything is settled and a shutdown was asked for.
    Drained,
}

pub(crate) struct Session {
    outgoing: mpsc::Sender<WorkRequest>,
    incoming: Streaming<courant_proto::v1::WorkResponse>,
    interval: Duration,
    artifacts: ArtifactLimits,
    /// Sent before any report.
    answers: VecDeque<Message>,
    /// Whether the server knows that nothing new is taken.
    closed: bool,
    seq: Seq,
    acknowledged: Seq,
    /// What arrived up to here the server will say, in its answer to a heartbeat or later.
    asked: Option<Seq>,
    /// Whether a heartbeat has no answer yet.
    unanswered: bool,
    heartbeat_due: Instant,
    last_received: Instant,
}

impl Session {
    /// Opens a stream, says hello and takes the welcome.
    pub(crate) async fn open(worker: &Worker) -> Result<(Self, Welcome), tonic::Status> {
        let (outgoing, requests) = mpsc::channel(OUTGOING);
        let hello = worker.hello();
        let hello_slots = hello.slots;
        let hello = WorkRequest { message: Some(Message::Hello(hello)) };
        outgoing.try_send(hello).map_err(|_| tonic::Status::internal("a new stream has no room"))?;
        let mut client = worker.calls.client.clone();
        let opened = async {
            let mut incoming = client.work(ReceiverStream::new(requests)).await?.into_inner();
            match incoming.message().await?.and_then(|response| response.message) {
                Some(Reply::Welcome(welcome)) => Ok((incoming, welcome)),
                _ => Err(tonic::Status::unavailable("the server did not answer the hello with a welcome")),
            }
        };
        let (incoming, welcome) = timeout(WELCOME_TIMEOUT, opened)
            .await
            .map_err(|_| tonic::Status::unavailable("the server did not answer the hello in time"))??;
        let interval = welcome.heartbeat_interval.and_then(|interval| Duration::try_from(interval).ok());
        let now = Instant::now();
        let interval = interval.filter(|interval| !interval.is_zero()).unwrap_or(DEFAULT_INTERVAL);
        let session = Self {
            outgoing,
            incoming,
            interval,
            artifacts: ArtifactLimits::of(&welcome),
            answers: VecDeque::new(),
            closed: hello_slots == 0,
            seq: 0,
            acknowledged: 0,
            asked: None,
            unanswered: false,
            heartbeat_due: now + interval,
            last_received: now,
        };
        Ok((session, welcome))
    }

    /// Carries reports and orders until the stream ends.
    pub(crate) async fn run(mut self, worker: &mut Worker) -> End {
        let outgoing = self.outgoing.clone();
        let mut more = true;
        loop {
            if worker.is_unacknowledged() || worker.is_drained() && self.answers.is_empty() {
                return End::Drained;
            }
            let (resend, unacknowledged) = (worker.deferred_until(), worker.unacknowledged_deadline());
            tokio::select! {
                biased;
                received = self.incoming.message() => match received {
                    Ok(Some(response)) => {
                        self.handle(worker, response.message);
                        more = true;
                    }
                    Ok(None) => return End::Closed(None),
                    Err(status) => return End::Closed(Some(status)),
                },
                // Before sending: a task with much to say must not keep this from being looked at.
                () = sleep_until(self.last_received + 2 * self.interval) => return End::Silent,
                permit = outgoing.reserve(), if more => {
                    let Ok(permit) = permit else { return End::Closed(None) };
                    match self.next(worker) {
                        Some(message) => permit.send(WorkRequest { message: Some(message) }),
                        None => more = false,
                    }
                }
                () = worker.wait_for_wake() => more = true,
                () = sleep_until(self.heartbeat_due), if !more && !self.unanswered => more = true,
                () = sleep_until(resend.unwrap_or(self.last_received)), if !more && resend.is_some() => more = true,
                () = sleep_until(unacknowledged.unwrap_or(self.last_received)), if unacknowledged.is_some() => {}
            }
        }
    }

    /// The next message: that nothing new is taken, once that is so; then answers, then durable reports, then a heartbeat when some of that
    /// waits for its acknowledgement or it is time for one, at last what is only of the moment.
    fn next(&mut self, worker: &mut Worker) -> Option<Message> {
        if worker.is_draining() && !self.closed {
            // Before anything is handed back: it would come right back here.
            self.closed = true;
            worker.resend_now();
            return Some(Message::Slots(ChangeSlots { slots: 0 }));
        }
        if let Some(answer) = self.answers.pop_front() {
            return Some(answer);
        }
        if let Some(report) = worker.next_durable(self.seq + 1) {
            self.seq += 1;
            return Some(report);
        }
        let now = Instant::now();
        let has_news = self.asked.is_none() && self.seq != self.acknowledged;
        if !self.unanswered && (has_news || now >= self.heartbeat_due) {
            self.asked = Some(self.seq);
            self.unanswered = true;
            self.heartbeat_due = now + self.interval;
            return Some(Message::Heartbeat(Heartbeat { number: number_of(self.seq) }));
        }
        worker.next_transient()
    }

    fn handle(&mut self, worker: &mut Worker, reply: Option<Reply>) {
        self.last_received = Instant::now();
        if let Some(reply) = reply {
            self.take(worker, reply);
        }
    }

    /// Does what the server says.
    fn take(&mut self, worker: &mut Worker, reply: Reply) {
        match reply {
            Reply::Welcome(_) => {}
            Reply::Assignment(assignment) => self.assigned(worker, assignment),
            Reply::Cancel(cancel) => self.cancel(worker, cancel.attempt),
            Reply::HeartbeatAck(ack) => {
                self.unanswered = false;
                if let Some(seq) = self.asked.filter(|_| !ack.reports_pending) {
                    self.acknowledge(worker, seq);
                }
                for attempt in ack.cancel {
                    self.cancel(worker, Some(attempt));
                }
            }
            Reply::ReportsTaken(taken) => {
                if let Some(seq) = seq_of(taken.number).filter(|seq| *seq <= self.seq) {
                    self.acknowledge(worker, seq);
                }
            }
            Reply::LeaseLost(lost) => {
                if let Some(attempt) = lost.attempt {
                    worker.abandon(&attempt.into());
                }
            }
            Reply::DeferReports(deferred) => {
                let after = deferred.retry_after.and_then(|after| Duration::try_from(after).ok()).unwrap_or_default();
                if let Some(attempt) = deferred.attempt {
                    worker.defer(&attempt.into(), after.min(MAX_DEFERRAL), &deferred.message);
                }
            }
            Reply::Parts(changed) => worker.parts_changed(changed),
            Reply::Drain(drain) => {
                tracing::info!(reason = ?drain.reason(), "no new jobs will come; going on with what is in flight");
                worker.set_status(Status::Draining);
            }
            Reply::Resume(_) => {
                tracing::info!("dispatch resumed");
                worker.set_status(Status::Serving);
            }
        }
    }

    /// Everything up to here has arrived.
    fn acknowledge(&mut self, worker: &mut Worker, seq: Seq) {
        self.acknowledged = self.acknowledged.max(seq);
        self.asked = self.asked.filter(|asked| *asked > seq);
        worker.acknowledge(seq);
    }

    fn assigned(&mut self, worker: &mut Worker, assignment: Assignment) {
        let Some(attempt) = assignment.attempt.clone() else {
            tracing::warn!("the server sent an assignment without an attempt");
            return;
        };
        let attempt = Some(attempt);
        if worker.is_draining() {
            tracing::debug!("a job came while shutting down; it is handed back");
            self.answer(Message::Released(ReportReleased { attempt }));
        } else if self.answer(Message::Accepted(Accepted { attempt })) {
            worker.start(assignment, self.artifacts);
        }
    }

    fn cancel(&mut self, worker: &mut Worker, attempt: Option<AttemptRef>) {
        let Some(attempt) = attempt else { return };
        let key = AttemptKey::from(attempt.clone());
        if !worker.stop(&key, Stop::Cancelled) {
            // Not here (any more): saying so ends the waiting.
            self.answer(Message::Cancelled(ReportCancelled { attempt: Some(attempt) }));
        }
    }

    /// Queues an answer. `false` when there are too many of them, which no server of good will brings about.
    fn answer(&mut self, message: Message) -> bool {
        let fits = self.answers.len() < MAX_ANSWERS;
        if fits {
            self.answers.push_back(message);
        } else {
            tracing::warn!("too many commands at once; one is not answered");
        }
        fits
    }
}

/// The number of a heartbeat behind report `seq`; never 0.
fn number_of(seq: Seq) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX).saturating_add(1)
}

/// The last report before the heartbeat of this number.
fn seq_of(number: i64) -> Option<Seq> {
    Seq::try_from(number).ok()?.checked_sub(1)
}
