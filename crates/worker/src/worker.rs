//! The worker over all streams: which attempts are here, connecting, reconnecting, shutting down.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use courant_proto::v1::work_request::Message;
use courant_proto::v1::worker_service_client::WorkerServiceClient;
use courant_proto::v1::{Assignment, Hello, PartsChanged, Welcome};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tonic::Code;

use crate::attempt::{Attempt, AttemptKey, Stop};
use crate::calls::{Bearer, Calls};
use crate::metrics;
use crate::outbox::{Outbox, Seq};
use crate::session::{End, Session};
use crate::task::ArtifactLimits;
use crate::trace::AttemptTrace;
use crate::turns::{Kind, Turns};
use crate::{Config, ConfigError, Handler, Outcome, Status, Task, TaskError};
use courant_runtime::{Backoff, request};

/// Messages of the server are small; a larger one is a mistake.
const MAX_MESSAGE: usize = 8 * 1024 * 1024;
/// A stream that lasted so long worked: the waits between tries begin again. One that the server ends again and again, because
/// its store is away, makes them longer.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// The longest wait before the next try while shutting down.
const DRAINING_WAIT: Duration = Duration::from_millis(500);

/// Why a worker gave up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// [`Config::metrics_addr`] cannot be listened on.
    #[error(transparent)]
    Listen(#[from] courant_runtime::ListenError),
    /// The server will not have this worker; trying again cannot help.
    #[error("the server refuses this worker: {0}")]
    Refused(String),
}

/// Takes jobs and does them until `shutdown` fires; then finishes or hands back what is under way and returns.
///
/// Never gives up because the server is away. Errors: a configuration that cannot work, or a server that refuses the
/// worker (role, id, kinds; an id that another process took over; the token only until the first welcome, since a server
/// may be restarted with other keys). [`Config::status`] says how it stands meanwhile.
pub fn run(
    config: Config,
    handler: Arc<dyn Handler>,
    shutdown: CancellationToken,
) -> BoxFuture<'static, Result<(), Error>> {
    // A box is compiled with this crate; a plain future would be compiled again in each worker.
    Box::pin(run_until_stopped(config, handler, shutdown))
}

async fn run_until_stopped(
    config: Config,
    handler: Arc<dyn Handler>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let (endpoint, servers) = config.endpoint()?;
    let monitoring = match config.metrics_addr {
        Some(address) => Some(metrics::serve(&config, address).await?),
        None => None,
    };
    let following = monitoring.as_ref().map(|(_, monitor)| {
        AbortOnDropHandle::new(tokio::spawn(metrics::follow_status(config.status.clone(), monitor.clone())))
    });
    let _slots = config.metrics.slots(config.slots);
    let channel = courant_tls::connector::lazy(&endpoint, &servers, config.tls.as_ref());
    let client = WorkerServiceClient::with_interceptor(channel, Bearer(config.token.clone()))
        .max_decoding_message_size(MAX_MESSAGE);
    let calls = Calls { client, patience: config.patience, backoff: (config.backoff_min, config.backoff_max) };
    let mut worker = Worker {
        calls,
        handler,
        attempts: BTreeMap::new(),
        turns: Arc::default(),
        sent: VecDeque::new(),
        deferred: BTreeSet::new(),
        draining: CancellationToken::new(),
        released: CancellationToken::new(),
        unacknowledged: None,
        tracker: TaskTracker::new(),
        // Not zero, which says nothing.
        process: fastrand::u64(1..),
        streams: AtomicU64::new(0),
        config,
    };
    let watch = worker.watch_shutdown(shutdown);
    let result = worker.serve().await;
    watch.abort();
    worker.set_status(Status::Stopping);
    // Whatever still runs is told to stop: nobody would hear of it any more.
    worker.attempts.values().for_each(|attempt| attempt.stop(Stop::Lost));
    worker.tracker.close();
    let _ = timeout(worker.config.stop_timeout, worker.tracker.wait()).await;
    drop((following, monitoring));
    result
}

/// See the module. Owned by one task; the streams borrow it.
pub(crate) struct Worker {
    config: Config,
    pub(crate) calls: Calls,
    handler: Arc<dyn Handler>,
    /// From assignment until the server knows how the attempt ended.
    attempts: BTreeMap<AttemptKey, Arc<Attempt>>,
    /// Which of them have something to send.
    turns: Arc<Turns>,
    /// What was sent on this stream and is not acknowledged, in order.
    sent: VecDeque<(Seq, AttemptKey)>,
    /// Attempts of which reports wait to be sent again.
    deferred: BTreeSet<AttemptKey>,
    /// No new jobs.
    draining: CancellationToken,
    /// The grace period is over.
    released: CancellationToken,
    /// Since when, at a shutdown, only last reports are left.
    unacknowledged: Option<Instant>,
    tracker: TaskTracker,
    /// Tells this process from others with the same worker id.
    process: u64,
    /// How many streams there were, with the one that is open.
    streams: AtomicU64,
}

impl Worker {
    /// One stream after the other until everything is drained.
    async fn serve(&mut self) -> Result<(), Error> {
        let mut backoff = Backoff::new(self.config.backoff_min, self.config.backoff_max);
        let mut welcomed = false;
        let draining = self.draining.clone();
        loop {
            if self.is_drained() || self.is_unacknowledged() {
                return Ok(());
            }
            let end = match Session::open(self).await {
                Ok((session, welcome)) => {
                    welcomed = true;
                    self.set_status(Status::Serving);
                    self.welcome(&welcome);
                    let begun = Instant::now();
                    let connected = self.config.metrics.connected();
                    let end = session.run(self).await;
                    drop(connected);
                    if begun.elapsed() >= STABLE_AFTER {
                        backoff.reset();
                    }
                    end
                }
                Err(status) => End::Closed(Some(status)),
            };
            self.set_status(Status::Disconnected);
            self.forget_transient();
            match end {
                End::Drained => return Ok(()),
                End::Closed(Some(status)) if fatal(&status, welcomed) => return Err(refused(&status)),
                End::Closed(status) => {
                    self.config.metrics.stream_lost();
                    let (code, reason) = status.map(|status| (status.code(), with_causes(&status))).unzip();
                    tracing::warn!(?code, reason, "no stream to the server; connecting again");
                }
                End::Silent => {
                    self.config.metrics.stream_lost();
                    tracing::warn!("no message from the server; connecting again");
                }
            }
            let wait = backoff.pause();
            tokio::select! {
                () = sleep(if self.is_draining() { wait.min(DRAINING_WAIT) } else { wait }) => {}
                () = draining.cancelled(), if !self.is_draining() => {}
            }
        }
    }

    /// Whether, at a shutdown, the last reports have waited long enough for a server that does not come back.
    pub(crate) fn is_unacknowledged(&mut self) -> bool {
        if !self.is_draining()
            || !self.attempts.values().all(|attempt| attempt.with_outbox(|outbox| outbox.has_ended()))
        {
            return false;
        }
        let since = *self.unacknowledged.get_or_insert_with(Instant::now);
        let over = since.elapsed() >= self.config.stop_timeout;
        if over {
            tracing::warn!("the last reports did not reach the server; it will notice when the leases end");
        }
        over
    }

    /// When the last reports have waited long enough.
    pub(crate) fn unacknowledged_deadline(&self) -> Option<Instant> {
        self.unacknowledged.map(|since| since + self.config.stop_timeout)
    }

    /// The server did not take reports of an attempt, which go out again later. One that is not here has nothing to say.
    pub(crate) fn defer(&mut self, key: &AttemptKey, after: Duration, why: &str) {
        let Some(attempt) = self.attempts.get(key) else { return };
        tracing::warn!(job = key.job_id, attempt = key.number, ?after, why, "reports of the job have to wait");
        attempt.defer(after, if self.is_draining() { DRAINING_WAIT } else { Duration::MAX });
        self.deferred.insert(key.clone());
    }

    /// When the first of what is deferred goes out.
    pub(crate) fn deferred_until(&self) -> Option<Instant> {
        self.deferred.iter().filter_map(|key| self.until(key)).min()
    }

    /// Until when reports of an attempt wait.
    fn until(&self, key: &AttemptKey) -> Option<Instant> {
        self.attempts.get(key)?.with_outbox(|outbox| outbox.deferred_until())
    }

    /// What was deferred and is due is sent again.
    fn resend_due(&mut self) {
        let now = Instant::now();
        let over = |key: &&AttemptKey| self.until(key).is_none_or(|until| until <= now);
        let over: Vec<AttemptKey> = self.deferred.iter().filter(over).cloned().collect();
        for key in over {
            self.deferred.remove(&key);
            self.attempts.get(&key).into_iter().for_each(|attempt| attempt.send_waiting());
        }
    }

    /// What is deferred goes out at once: there is not much time left.
    pub(crate) fn resend_now(&self) {
        self.attempts.values().for_each(|attempt| attempt.with_outbox(Outbox::resend_now));
    }

    /// Takes no new jobs from the shutdown on; tasks go on for the grace period.
    fn watch_shutdown(&self, shutdown: CancellationToken) -> tokio::task::JoinHandle<()> {
        let (draining, released, turns) = (self.draining.clone(), self.released.clone(), self.turns.clone());
        let board = self.config.status.clone();
        let grace = self.config.grace;
        tokio::spawn(async move {
            shutdown.cancelled().await;
            tracing::info!(?grace, "shutting down: no new jobs");
            board.set(Status::Stopping);
            draining.cancel();
            turns.wake();
            sleep(grace).await;
            released.cancel();
        })
    }

    /// Writes down how this worker stands with its server.
    pub(crate) fn set_status(&self, status: Status) {
        self.config.status.set(status);
    }

    /// For a new stream.
    pub(crate) fn hello(&self) -> Hello {
        let stream = self.streams.fetch_add(1, Ordering::Relaxed) + 1;
        // While draining it keeps what it has and takes nothing new.
        let slots = if self.is_draining() { 0 } else { i32::try_from(self.config.slots).unwrap_or(1) };
        Hello {
            worker_id: self.config.worker_id.clone(),
            kinds: self.config.kinds.clone(),
            slots,
            in_flight: self.attempts.keys().map(AttemptKey::to_ref).collect(),
            software: self.config.software.clone(),
            takes_parts: self.config.parts,
            resends_reports: true,
            process: self.process,
            stream,
        }
    }

    /// A new stream: goes on with what is still ours, stops the rest, sends again what may not have arrived.
    fn welcome(&mut self, welcome: &Welcome) {
        let ours: Vec<AttemptKey> = welcome.in_flight.iter().cloned().map(AttemptKey::from).collect();
        let lost: Vec<AttemptKey> = self.attempts.keys().filter(|key| !ours.contains(key)).cloned().collect();
        lost.iter().for_each(|key| self.abandon(key));
        self.sent.clear();
        self.deferred.clear();
        for attempt in self.attempts.values() {
            attempt.with_outbox(|outbox| outbox.rewind());
            attempt.send_waiting();
        }
        tracing::info!(in_flight = self.attempts.len(), lost = lost.len(), "connected");
    }

    /// Starts an attempt on its own task. One that is here already goes on.
    pub(crate) fn start(&mut self, assignment: Assignment, artifacts: ArtifactLimits) {
        let Some(key) = assignment.attempt.clone().map(AttemptKey::from) else { return };
        if self.attempts.contains_key(&key) {
            return;
        }
        let kind = assignment.kind.as_str();
        tracing::info!(job = key.job_id, attempt = key.number, part = key.part, kind, "job taken");
        let (mut span, trace) = AttemptTrace::begin(&assignment);
        let pages = assignment.pages.map(|range| page(range.first)..=page(range.last));
        let attempt = Arc::new(Attempt::new(key.clone(), self.config.outbox, self.turns.clone()));
        self.attempts.insert(key, attempt.clone());
        let calls = self.calls.clone();
        let task = Task { attempt: attempt.clone(), assignment: Arc::new(assignment), calls, artifacts, trace };
        let (handler, released) = (self.handler.clone(), self.released.clone());
        let (longest, patience) = (self.config.max_job_duration, self.config.stop_timeout);
        let (metrics, is_part) = (self.config.metrics.clone(), pages.is_some());
        self.tracker.spawn(async move {
            let busy = metrics.busy();
            let trace = task.trace.clone();
            let work = AssertUnwindSafe(run_handler(&*handler, task, pages)).catch_unwind();
            let work = until_stopped(work, &attempt, &released, longest, patience);
            let result = request::scope(trace.context(&attempt.key.job_id), work).await;
            span.set("courant.spans_left_out", i64::from(trace.left_out()));
            if let Err(error) = &result {
                span.fail(error.code.clone());
            }
            drop(span);
            tracing::info!(job = attempt.key.job_id, attempt = attempt.key.number, ?result, "job ended");
            metrics.ended(&result, attempt.stop_reason(), is_part, busy.lasted());
            attempt.end(result);
        });
    }

    /// Stops an attempt. False when it is not here.
    pub(crate) fn stop(&self, key: &AttemptKey, why: Stop) -> bool {
        self.attempts.get(key).is_some_and(|attempt| {
            attempt.stop(why);
            true
        })
    }

    /// The server says how the pages that an attempt offers stand.
    pub(crate) fn parts_changed(&self, changed: PartsChanged) {
        let key = changed.attempt.clone().map(AttemptKey::from);
        if let Some(attempt) = key.and_then(|key| self.attempts.get(&key)) {
            attempt.parts_changed(changed);
        }
    }

    /// The attempt is not ours any more.
    pub(crate) fn abandon(&mut self, key: &AttemptKey) {
        if let Some(attempt) = self.attempts.remove(key) {
            tracing::info!(job = key.job_id, attempt = key.number, "lease lost: the job belongs to another worker");
            attempt.stop(Stop::Lost);
        }
    }

    /// Everything sent up to `seq` has arrived.
    pub(crate) fn acknowledge(&mut self, seq: Seq) {
        let arrived = self.sent.partition_point(|(sent, _)| *sent <= seq);
        let keys: BTreeSet<AttemptKey> = self.sent.drain(..arrived).map(|(_, key)| key).collect();
        for key in keys {
            let Some(attempt) = self.attempts.get(&key) else { continue };
            attempt.acknowledge(seq);
            if attempt.with_outbox(|outbox| outbox.is_acknowledged()) || attempt.is_lost() {
                self.attempts.remove(&key);
            }
        }
    }

    /// The next durable report, of one attempt after the other, as number `seq` of the stream.
    pub(crate) fn next_durable(&mut self, seq: Seq) -> Option<Message> {
        self.resend_due();
        let (key, message) = self.next(Kind::Durable, |outbox| outbox.next_durable(seq))?;
        self.sent.push_back((seq, key));
        Some(message)
    }

    /// The next transient report, of one attempt after the other.
    pub(crate) fn next_transient(&mut self) -> Option<Message> {
        self.next(Kind::Transient, Outbox::next_transient).map(|(_, message)| message)
    }

    fn next(&self, kind: Kind, mut of: impl FnMut(&mut Outbox) -> Option<Message>) -> Option<(AttemptKey, Message)> {
        while let Some(key) = self.turns.next(kind) {
            let Some(attempt) = self.attempts.get(&key) else { continue };
            if let Some(message) = attempt.with_outbox(&mut of) {
                self.turns.add_quietly(kind, &key);
                return Some((key, message));
            }
        }
        None
    }

    fn forget_transient(&self) {
        self.attempts.values().for_each(|attempt| attempt.with_outbox(|outbox| outbox.forget_transient()));
    }

    pub(crate) async fn wait_for_wake(&self) {
        self.turns.woken().await;
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Whether a shutdown was asked for and nothing is left to do or say.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_draining() && self.attempts.is_empty()
    }
}

/// A whole job, or these pages of somebody else's.
async fn run_handler(
    handler: &dyn Handler,
    task: Task,
    pages: Option<RangeInclusive<u32>>,
) -> Result<Outcome, TaskError> {
    match pages {
        Some(pages) => handler.run_part(task, pages).await.map(|()| Outcome::default()),
        None => handler.run(task).await,
    }
}

fn page(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// The result of the work. Work that does not end soon after it was stopped is dropped.
async fn until_stopped(
    work: impl Future<Output = std::thread::Result<Result<Outcome, TaskError>>>,
    attempt: &Attempt,
    released: &CancellationToken,
    longest: Duration,
    patience: Duration,
) -> Result<Outcome, TaskError> {
    tokio::pin!(work);
    let result = tokio::select! {
        result = &mut work => result,
        () = attempt.stopped().cancelled() => wait_or_abort(work, patience).await,
        () = released.cancelled() => {
            attempt.stop(Stop::Released);
            wait_or_abort(work, patience).await
        }
        () = sleep(longest) => {
            tracing::warn!(job = attempt.key.job_id, attempt = attempt.key.number, ?longest, "the job takes too long");
            attempt.stop(Stop::TimedOut(longest));
            wait_or_abort(work, patience).await
        }
    };
    result.unwrap_or_else(|_| {
        Err(TaskError::transient("WORKER_FAULT", "The worker had a fault of its own while doing this job."))
    })
}

async fn wait_or_abort<T>(
    work: impl Future<Output = std::thread::Result<Result<T, TaskError>>>,
    patience: Duration,
) -> std::thread::Result<Result<T, TaskError>> {
    timeout(patience, work).await.unwrap_or_else(|_| {
        tracing::warn!("a handler did not stop in time and was dropped");
        Ok(Err(TaskError::transient("STOPPED", "The attempt was stopped.")))
    })
}

/// Whether trying again cannot help.
fn fatal(status: &tonic::Status, welcomed: bool) -> bool {
    match status.code() {
        // Aborted: another process with this worker's id took over. Coming back would only throw that one out.
        Code::PermissionDenied | Code::InvalidArgument | Code::Unimplemented | Code::Aborted => true,
        Code::Unauthenticated => !welcomed,
        _ => false,
    }
}

/// What a status says, and why, without its encoded details.
fn with_causes(status: &tonic::Status) -> String {
    let (mut text, mut cause) = (status.message().to_owned(), std::error::Error::source(status));
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.extend([": ", &said]);
        }
        cause = error.source();
    }
    text
}

fn refused(status: &tonic::Status) -> Error {
    Error::Refused(status.message().to_owned())
}
