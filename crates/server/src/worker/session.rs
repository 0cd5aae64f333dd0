//! One stream of one worker, from hello to the end.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use courant_auth::{Identity, TokenError};
use courant_engine::Error as Refused;
use courant_engine::attempt::AttemptId;
use courant_joblog::event::AttemptCharge;
use courant_joblog::ids::WorkerId;
use courant_joblog::job::{Job, JobError};
use courant_joblog::log::AppendError;
use courant_proto::v1::work_request::Message as In;
use courant_proto::v1::work_response::Message as Out;
use courant_proto::v1::{WorkRequest, WorkResponse};
use futures::FutureExt as _;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};

use super::hello::ValidatedHello;
use super::parts::Holder;
use super::registry::{OUTBOX, Outbox, Registry, Session, WorkerCapabilities};
use super::report_queue::{MAX_REPORTS, ReportQueue};
use super::sharing::{self, PartEnd};
use crate::audit;
use crate::auth::time_left;
use crate::convert;
use crate::error::Error;
use crate::services::Services;

/// How long a stream may take to say hello.
pub const HELLO_WITHIN: Duration = Duration::from_secs(10);

/// Serves the stream; what goes to the worker comes out of the receiver.
pub fn start(
    services: Arc<Services>,
    registry: Arc<Registry>,
    inbound: Streaming<WorkRequest>,
    identity: Arc<Identity>,
) -> mpsc::Receiver<Result<WorkResponse, Status>> {
    let (outbox, out) = mpsc::channel(OUTBOX);
    services.clone().streams.spawn(audit::carry(async move {
        if let Err(error) = serve(&services, &registry, inbound, &outbox, &identity).await {
            tracing::debug!(%error, "a worker's stream ended");
            let _ = outbox.send(Err(error.into())).await;
        }
    }));
    out
}

async fn serve(
    services: &Arc<Services>,
    registry: &Registry,
    mut inbound: Streaming<WorkRequest>,
    outbox: &Outbox,
    identity: &Identity,
) -> Result<(), Error> {
    let expires = Instant::now() + time_left(identity).min(Duration::from_secs(366 * 24 * 3600));
    let hello = tokio::time::timeout(HELLO_WITHIN, receive(&mut inbound))
        .await
        .map_err(|_| Error::WrongOrder("no hello came in time"))??;
    let Some(In::Hello(hello)) = hello else {
        return Err(Error::WrongOrder("the first message must be the hello"));
    };
    let hello = ValidatedHello::check(hello, &services.credentials)?;
    if Instant::now() >= expires {
        // It ran out before the hello came: nobody is connected then, not for a moment either.
        return Err(TokenError::Expired.into());
    }
    let kinds = hello.capabilities.kinds.len() as u32;
    let _kinds = services.shares.worker_kinds.try_take(&identity.subject, kinds)?;
    let session =
        registry.attach(hello.worker.clone(), &identity.subject, hello.capabilities.clone(), outbox.clone())?;
    let WorkerCapabilities { slots, software, .. } = &hello.capabilities;
    tracing::info!(worker = %session.worker, %software, slots, "worker connected");
    audit::record_now("worker.connect", Code::Ok, None, Some(session.worker.as_str()));
    let served = tokio::select! {
        served = converse(services, registry, &session, &hello, &mut inbound, outbox) => served,
        () = session.replaced.0.cancelled() => Err(Error::Replaced),
        () = services.stopping.cancelled() => Err(Error::Draining),
        () = tokio::time::sleep_until(expires) => Err(TokenError::Expired.into()),
    };
    registry.detach(&session);
    tracing::info!(worker = %session.worker, "worker disconnected");
    audit::record_now("worker.disconnect", Code::Ok, None, Some(session.worker.as_str()));
    served
}

async fn converse(
    services: &Arc<Services>,
    registry: &Registry,
    session: &Session,
    hello: &ValidatedHello,
    inbound: &mut Streaming<WorkRequest>,
    outbox: &Outbox,
) -> Result<(), Error> {
    let kept = reconcile(services, registry, session, &hello.in_flight).await?;
    send(outbox, welcome(services, &session.worker, &kept)).await;
    registry.welcomed(session);
    services.engine.wake.notify_one();
    let mut reports = ReportQueue::new(services, registry, &session.worker, hello.resends_reports);
    let mut reading = true;
    loop {
        reading &= !reports.has_failed();
        let has_capacity = reports.has_capacity();
        tokio::select! {
            () = reports.finish_one(), if !reports.is_idle() => {}
            // Beside the rest: whoever does not read must not hold up what others may wait for.
            permit = outbox.reserve(), if reports.has_answers() => match (permit, reports.next_answer()) {
                (Ok(permit), Some(answer)) => permit.send(Ok(WorkResponse { message: Some(answer) })),
                // A worker that is gone is noticed by the reading side.
                _ => reports.forget_answers(),
            },
            received = receive(inbound), if reading && has_capacity && !reports.has_answers() => {
                if registry.renew_lease(&session.worker) {
                    services.engine.wake.notify_one();
                }
                reading = take_in(&mut reports, inbound, received);
            }
            // What the worker sends meanwhile lies unread, by no fault of its own.
            () = tokio::time::sleep(services.config.heartbeat_interval()), if reading && !has_capacity => {
                registry.renew_lease(&session.worker);
            }
            else => return reports.end(),
        }
    }
}

/// Puts in what has arrived, and what else is there by now: that is written together. `false` at the end of the stream.
fn take_in(
    reports: &mut ReportQueue<'_>,
    inbound: &mut Streaming<WorkRequest>,
    mut received: Result<Option<In>, Error>,
) -> bool {
    let (mut reads_on, mut taken) = (true, 0);
    loop {
        match received {
            Ok(Some(message)) => reports.push(message),
            // What came before is taken.
            Ok(None) => reads_on = false,
            Err(error) => reports.fail(error),
        }
        taken += 1;
        let is_full = taken == MAX_REPORTS || reports.has_answers() || !reports.has_capacity();
        // Before another is read, which must be put in.
        if !reads_on || reports.has_failed() || is_full {
            break;
        }
        let Some(next) = receive(inbound).now_or_never() else { break };
        received = next;
    }
    reports.begin();
    reads_on
}

/// The next message; `None` at the end of the stream. What cannot be read ends it with the reason: sent again, it could
/// be read no better.
async fn receive(inbound: &mut Streaming<WorkRequest>) -> Result<Option<In>, Error> {
    loop {
        match inbound.message().await {
            // A message of a newer protocol: nothing this server knows.
            Ok(Some(WorkRequest { message: None })) => {}
            Ok(Some(WorkRequest { message })) => return Ok(message),
            Ok(None) => return Ok(None),
            Err(status) => return Err(Error::field("message", format!("cannot be read: {}", status.message()))),
        }
    }
}

async fn send(outbox: &Outbox, message: Out) {
    // A worker that is gone is noticed by the reading side.
    let _ = outbox.send(Ok(WorkResponse { message: Some(message) })).await;
}

fn welcome(services: &Services, worker: &WorkerId, kept: &[Holder]) -> Out {
    let config = &services.config;
    Out::Welcome(courant_proto::v1::Welcome {
        heartbeat_interval: Some(convert::duration(config.heartbeat_interval())),
        lease_duration: Some(convert::duration(config.lease)),
        in_flight: kept.iter().map(|holder| holder.wire(&services.credentials, worker)).collect(),
        max_artifact_bytes: config.max_artifact_bytes as i64,
        max_page_artifact_bytes: config.max_artifact_bytes.min(services.files.small_bytes() as u64) as i64,
    })
}

/// Compares what the worker says it works on with what it holds: it keeps what is on both lists; what it lost is queued
/// again at once.
async fn reconcile(
    services: &Services,
    registry: &Registry,
    session: &Session,
    in_flight: &HashSet<Holder>,
) -> Result<Vec<Holder>, Error> {
    // What another server gave it a moment ago would be kept by neither, and be the worker's in name for ever.
    services.engine.catch_up_with_others().await?;
    let held: Vec<Arc<Job>> =
        services.engine.read(|view| view.held_by(&session.worker).map(|current| current.job.clone()).collect());
    let mut kept = Vec::new();
    for attempt in held.iter().map(|job| AttemptId::of(job)) {
        if registry.is_claiming(&session.worker, &attempt) {
            // It is being given to this worker just now: the assignment follows the welcome, or the claim is undone.
            continue;
        }
        let unanswered = registry.answered(&session.worker, &attempt);
        let whole = Holder { attempt: attempt.clone(), part: None };
        if in_flight.contains(&whole) {
            registry.confirm(&session.worker, &attempt);
            kept.push(whole);
            continue;
        }
        let why = JobError {
            code: "WORKER_RESTARTED".into(),
            message: "The worker was restarted while it worked on the job.".into(),
            retryable: true,
        };
        // An assignment that never arrived is nobody's failure.
        let charge = if unanswered { AttemptCharge::Free } else { AttemptCharge::Charged };
        match services.end_attempt(&attempt, why, charge).await {
            // It stays the worker's in name, which says nothing of it: once the log takes entries again it ends like an
            // assignment that was not accepted.
            Err(Refused::Append(AppendError::Full) | Refused::Busy(_)) => {}
            ended => ended?,
        }
    }
    for part in registry.parts.held_by(&session.worker) {
        if in_flight.contains(&part) {
            registry.parts.accept(&part);
            kept.push(part);
        } else {
            sharing::end(services, registry, &part, PartEnd::WorkerGone).await;
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use courant_engine::testing::submission;
    use courant_joblog::event::Change;
    use courant_joblog::ids::JobId;
    use courant_joblog::memory::MemoryLog;
    use courant_proto::v1::{Accepted, AttemptRef};
    use prost::Message as _;
    use tonic::codec::Codec as _;

    use super::*;
    use crate::config::Config;
    use crate::objects::Objects;

    /// So many messages that are all there at once, and are no reports: that a job is accepted.
    fn stream(job: &JobId, count: usize) -> Streaming<WorkRequest> {
        let attempt = Some(AttemptRef { job_id: job.to_string(), attempt: 1, ..AttemptRef::default() });
        let message = WorkRequest { message: Some(In::Accepted(Accepted { attempt })) }.encode_to_vec();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        // A body may be text, which all of these bytes are.
        let frame = String::from_utf8([&[0][..], &length, &message].concat()).unwrap();
        let decoder = courant_proto::codec::Codec::<WorkResponse, WorkRequest>::default().decoder();
        Streaming::new_request(decoder, frame.repeat(count), None, None)
    }

    #[tokio::test]
    async fn of_more_messages_than_are_taken_at_once_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let (log, objects) = (Arc::new(MemoryLog::new()), Objects::local(folder.path()).unwrap());
        let services = Services::open(Config::new(folder.path()), log, objects).await.unwrap();
        let following = services.clone();
        tokio::spawn(async move { following.engine.follow().await });
        let (registry, worker, job) = (Registry::default(), WorkerId::new("w"), JobId::random());
        let submitted = Change::Submitted(Box::new(submission(job.as_str(), "alice")));
        services.engine.create(submitted, job.clone(), Vec::new(), Some(worker.clone())).await.unwrap();
        let mut reports = ReportQueue::new(&services, &registry, &worker, true);
        let mut inbound = stream(&job, MAX_REPORTS + 44);
        let first = receive(&mut inbound).await;
        assert!(take_in(&mut reports, &mut inbound, first) && !reports.has_failed());
        let mut left = 0;
        while receive(&mut inbound).await.unwrap().is_some() {
            left += 1;
        }
        assert_eq!(left, 44);
    }
}
