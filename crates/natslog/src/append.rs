//! One append from its decision to its arrival in the view, whatever happens on the way.
//!
//! The view says what is expected of the job's subject, the server compares it once more, and the answer is given when the entry has
//! come back with the stream's other messages: then it can be read here, too.
//!
//! When no answer comes the outcome is not known, and the stream's leader is asked what follows the expected revision:
//!
//! - the entry with this append's id: it happened;
//! - another entry: that one won;
//! - nothing: it has not happened, but may still. Sending it again is safe: both compare with the same revision, so that one of them is
//!   stored at most, and they have the same id.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use courant_joblog::ids::Revision;
use courant_joblog::log::AppendError;
use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::message::Stored;
use crate::publish::{Outcome, Outgoing, Publisher, Sent};
use crate::server::{Server, Unavailable};
use crate::view::{Arrival, Decision, Stopped, View};

/// How long a new job waits for a connection while there is none. Clients send it again; the rest is waited for longer, because
/// what it is about has begun.
const CONNECTED_WITHIN: Duration = Duration::from_millis(1_500);
/// Before it is looked again whether there is one.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How much later the answer to an append may come than its entry, before the leader is asked instead.
const SETTLE_WITHIN: Duration = Duration::from_millis(100);

/// Appends to the stream.
#[derive(Debug)]
pub(crate) struct Appender {
    pub(crate) server: Server,
    pub(crate) view: Arc<View>,
    pub(crate) publisher: Publisher,
    /// Whether there is space for more than ends.
    pub(crate) full: watch::Sender<bool>,
    /// Bytes that the stream had left for more than ends when it was looked last, less what was sent since.
    pub(crate) space: AtomicI64,
    pub(crate) patience: Duration,
}

/// One append, encoded and checked, with what it expects of its job.
#[derive(Debug)]
pub(crate) struct Task {
    /// [`Key::encode_owner`](courant_joblog::log::Key::encode_owner) of its owner, and the token of its job.
    pub(crate) owner: String,
    pub(crate) job: String,
    pub(crate) expect: Option<Revision>,
    /// Whether it ends something, or makes space.
    pub(crate) ends: bool,
    pub(crate) outgoing: Outgoing,
}

/// With what an append is sent.
#[derive(Clone, Copy, Debug)]
struct Terms {
    expect: u64,
    number: u64,
    floor: u64,
}

/// A try that is under way, or the end.
enum Attempt {
    Sent(Terms, Sent),
    Done(Result<Revision, AppendError>),
}

/// One of many appends.
enum Started<'a> {
    Sent(Task, Arrival<'a>, Attempt),
    Refused(AppendError),
    /// It must be decided after those before it.
    After(Task),
}

/// What the leader has after the expected revision.
enum Found {
    Ours(Revision),
    /// Somebody else's entry directly after it, at this revision.
    Other(u64),
    Nothing,
    /// Something was there that has been removed since.
    Removed,
}

impl Appender {
    pub(crate) async fn append(&self, task: Task) -> Result<Revision, AppendError> {
        if task.expect.is_none() {
            self.connected().await?;
        }
        let arrival = self.view.arrival(task.outgoing.id);
        let first = self.attempt(&task, None).await;
        self.pursue(task, arrival, first).await
    }

    /// Before a job is made: waits a moment for a connection if there is none. Nothing was sent when it is refused.
    async fn connected(&self) -> Result<(), AppendError> {
        let deadline = Instant::now() + CONNECTED_WITHIN;
        while self.server.client.connection_state() != State::Connected {
            if Instant::now() >= deadline {
                return Err(AppendError::Unavailable { reason: "NATS is away".into() });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Sends all in their order before it waits for the first.
    pub(crate) async fn append_all(&self, tasks: Vec<Result<Task, AppendError>>) -> Vec<Result<Revision, AppendError>> {
        let mut under_way = Vec::with_capacity(tasks.len());
        let mut sent = HashSet::new();
        for task in tasks {
            under_way.push(match task {
                Ok(task) => self.begin(task, &mut sent).await,
                Err(error) => Started::Refused(error),
            });
        }
        // Those that come after another one of their job are decided when that one is.
        let finish = async |started| match started {
            Started::Sent(task, arrival, first) => (Some(self.pursue(task, arrival, first).await), None),
            Started::Refused(error) => (Some(Err(error)), None),
            Started::After(task) => (None, Some(task)),
        };
        let mut outcomes = Vec::with_capacity(under_way.len());
        for (outcome, after) in join_all(under_way.into_iter().map(finish)).await {
            outcomes.push(match (outcome, after) {
                (Some(outcome), _) => outcome,
                (None, Some(task)) => self.append(task).await,
                (None, None) => Err(unknown("it was not tried")),
            });
        }
        outcomes
    }

    /// Sends one of many. `sent` has the jobs of those before it.
    async fn begin(&self, task: Task, sent: &mut HashSet<String>) -> Started<'_> {
        let arrival = self.view.arrival(task.outgoing.id);
        match self.attempt(&task, None).await {
            Attempt::Done(Err(AppendError::Conflict { .. })) if sent.contains(&task.job) => Started::After(task),
            first => {
                if matches!(first, Attempt::Sent(..)) {
                    sent.insert(task.job.clone());
                }
                Started::Sent(task, arrival, first)
            }
        }
    }

    /// Decides and sends. `last` is what the server named in its last refusal.
    async fn attempt(&self, task: &Task, last: Option<u64>) -> Attempt {
        if self.view.stopped().is_some() {
            return Attempt::Done(Err(self.stopped()));
        }
        if !self.take_space(task.outgoing.bytes()) && !task.ends {
            return Attempt::Done(Err(self.note(AppendError::Full)));
        }
        let decide = |synced| self.view.decide(&task.owner, &task.job, task.expect, last, synced);
        let mut decision = decide(false);
        if decision == Decision::Behind {
            if let Err(error) = self.sync(Instant::now() + self.patience).await {
                return Attempt::Done(Err(AppendError::Unknown { reason: error.to_string().into() }));
            }
            decision = decide(true);
        }
        match decision {
            Decision::Publish { expect, number, floor } => {
                let terms = Terms { expect, number, floor };
                Attempt::Sent(terms, self.send(task, terms).await)
            }
            Decision::Conflict { actual } => Attempt::Done(Err(AppendError::Conflict { actual })),
            Decision::Behind => Attempt::Done(Err(AppendError::Conflict { actual: None })),
        }
    }

    async fn send(&self, task: &Task, Terms { expect, number, floor }: Terms) -> Sent {
        self.publisher.send(&task.outgoing, expect, number, floor).await
    }

    /// Brings it to its end.
    async fn pursue(
        &self,
        task: Task,
        mut arrival: Arrival<'_>,
        mut attempt: Attempt,
    ) -> Result<Revision, AppendError> {
        let deadline = Instant::now() + self.patience;
        let (mut in_doubt, mut pause) = (false, FIRST_PAUSE);
        loop {
            let (terms, sent) = match attempt {
                Attempt::Sent(terms, sent) => (terms, sent),
                Attempt::Done(outcome) => return outcome,
            };
            let mut answer = pin!(sent.outcome());
            let outcome = tokio::select! {
                outcome = &mut answer => outcome,
                arrived = arrival.wait() => {
                    let revision = arrived.map_err(|Stopped| self.stopped())?;
                    self.settle(revision, answer).await;
                    return Ok(revision);
                }
            };
            let (mut last, mut reason) = (None, String::new());
            match outcome {
                Outcome::Stored(revision) => return self.arrived(&mut arrival, revision, deadline).await,
                Outcome::Refused(error) if !in_doubt => return Err(self.note(error)),
                Outcome::Elsewhere(at) if !in_doubt => last = Some(at),
                Outcome::Busy(why) => reason = why,
                Outcome::Unclear(why) => (in_doubt, reason) = (true, why),
                Outcome::Refused(_) | Outcome::Elsewhere(_) => {}
            }
            if in_doubt {
                match self.read_back(&task, terms.expect).await {
                    Ok(Found::Ours(revision)) => return self.arrived(&mut arrival, revision, deadline).await,
                    Ok(Found::Other(at)) => (in_doubt, last) = (false, Some(at)),
                    Ok(Found::Removed) => return Err(unknown("what followed it has been removed since")),
                    Ok(Found::Nothing) => {}
                    Err(error) => reason = error.to_string(),
                }
            }
            if let Some(at) = last {
                self.reach(at, deadline).await.map_err(|error| unknown(&error.to_string()))?;
            }
            if Instant::now() >= deadline {
                return Err(unknown(&reason));
            }
            // The decision may be the same as before, if the server removes something at this moment.
            if last.is_none() || pause > FIRST_PAUSE {
                tokio::time::sleep(pause.mul_f32(0.5 + fastrand::f32())).await;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            attempt = match in_doubt {
                // As it is: what the view says now may be what became of it.
                true => Attempt::Sent(terms, self.send(&task, terms).await),
                false => self.attempt(&task, last).await,
            };
        }
    }

    /// What the leader has after the expected revision.
    async fn read_back(&self, task: &Task, expect: u64) -> Result<Found, Unavailable> {
        let Some(message) = self.server.leader_next(&task.outgoing.subject, expect + 1).await? else {
            return Ok(Found::Nothing);
        };
        let revision = message.sequence;
        let Some(Stored { about, before, .. }) = self.server.entry_of(message) else { return Ok(Found::Removed) };
        Ok(match about.id == task.outgoing.id {
            true => Found::Ours(Revision(revision + u64::from(about.left))),
            false if before == expect => Found::Other(revision),
            false => Found::Removed,
        })
    }

    /// It has arrived here. Whoever is told so may ask for it at another server next, which asks the leader.
    async fn settle(&self, revision: Revision, answer: impl Future<Output = Outcome>) {
        if matches!(tokio::time::timeout(SETTLE_WITHIN, answer).await, Ok(Outcome::Stored(_))) {
            return;
        }
        if let Err(error) = self.server.leader_has(revision.0).await {
            tracing::debug!(%revision, %error, "an entry has arrived, and the leader does not say that it has it");
        }
    }

    /// Waits until what was stored at this revision can be read here.
    async fn arrived(
        &self,
        arrival: &mut Arrival<'_>,
        revision: Revision,
        deadline: Instant,
    ) -> Result<Revision, AppendError> {
        match tokio::time::timeout_at(deadline, arrival.wait()).await {
            Ok(arrived) => arrived.map_err(|Stopped| self.stopped()),
            Err(_) => Err(unknown(&format!("it is stored at {revision}, and does not arrive here"))),
        }
    }

    /// Waits until all has arrived here that was acknowledged before the call, and until the leader has what has arrived here.
    pub(crate) async fn sync(&self, deadline: Instant) -> Result<(), Unavailable> {
        let known = self.view.applied().0;
        let newest = self.server.leader_last(&self.server.subjects.jobs()).await?;
        let newest = newest.map_or(0, |message| message.sequence);
        if newest < known {
            return self.server.leader_has(known).await;
        }
        self.reach(newest, deadline).await
    }

    /// Waits until the entry at this revision has arrived.
    pub(crate) async fn reach(&self, revision: u64, deadline: Instant) -> Result<(), Unavailable> {
        let mut head = self.view.head();
        let reached = head.wait_for(|head| head.0 >= revision);
        match tokio::time::timeout_at(deadline, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Unavailable(self.view.stopped().unwrap_or_default().to_string())),
            Err(_) => Err(Unavailable(format!("the entry at {revision} does not arrive here"))),
        }
    }

    fn stopped(&self) -> AppendError {
        AppendError::Unknown { reason: self.view.stopped().unwrap_or_default() }
    }

    /// Whether there is so much space for more than ends.
    pub(crate) fn take_space(&self, bytes: usize) -> bool {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        !*self.full.borrow() && self.space.fetch_sub(bytes, Ordering::Relaxed) >= bytes
    }

    /// Remembers that the stream is full.
    pub(crate) fn note(&self, error: AppendError) -> AppendError {
        if matches!(error, AppendError::Full) {
            self.full.send_if_modified(|full| !std::mem::replace(full, true));
        }
        error
    }
}

fn unknown(reason: &str) -> AppendError {
    AppendError::Unknown { reason: reason.into() }
}
