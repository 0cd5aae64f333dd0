//! Giving waiting jobs to free workers. A claim is an append with compare-and-set, so nobody gets a job twice however
//! many servers there are. Claims for different workers are written at the same time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use courant_engine::Error as Refused;
use courant_engine::attempt::AttemptId;
use courant_engine::dispatch::FreeWorker;
use courant_engine::view::CurrentJob;
use courant_joblog::event::{AttemptCharge, Submission};
use courant_joblog::ids::WorkerId;
use courant_joblog::job::{Job, JobError, Lane};
use courant_joblog::log::AppendError;
use courant_monitoring::Pulse;
use courant_proto::v1::work_response::Message;
use tokio::time::Instant;

use super::assignment::{assignment, next_free};
use super::parts::Holder;
use super::registry::Registry;
use super::sharing::{self, PartEnd};
use crate::error::Error;
use crate::parameters;
use crate::services::Services;

/// Gives out jobs for ever, and shows that it does.
pub async fn run(services: Arc<Services>, registry: Arc<Registry>, pulse: Pulse) {
    loop {
        pulse.begin();
        // Also while no worker is free: a job that is due has its position in the queue.
        let due = services.engine.release_due();
        sharing::prune_ended(&services, &registry);
        let left = assign_all(&services, &registry, &pulse);
        sharing::assign_parts(&services, &registry);
        pulse.end();
        let again = due.into_iter().chain(left.then(|| Instant::now() + services.engine.anybodys_after())).min();
        tokio::select! {
            () = services.engine.wake.notified() => {}
            () = tokio::time::sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {}
        }
    }
}

/// Goes round the workers, some at a time, until no job waits or none of them all got one. Whether jobs are left for which there
/// are workers: they are for other servers. While workers end jobs as fast as they get them it goes on and on, and shows that it does.
fn assign_all(services: &Arc<Services>, registry: &Arc<Registry>, pulse: &Pulse) -> bool {
    let wanted = wanted(services, registry);
    if wanted.is_empty() {
        return false;
    }
    let slots = registry.slots_of(&wanted);
    let mut none_since_first = false;
    // Each worker gets at most one job at a time, so that jobs spread.
    loop {
        pulse.begin();
        let mut free = next_free(services, registry, &wanted);
        none_since_first |= free.is_first;
        let parts = registry.parts.counts(free.workers.iter().map(|free| &free.worker));
        let idle = free.workers.len();
        let affinity = services.engine.read(|view| registry.affinity(&wanted, |worker| view.held_count(worker)));
        let matched = services.engine.match_jobs(&mut free.workers, &parts, &slots, affinity.as_ref());
        if matched.is_empty() && none_since_first && free.is_last {
            return idle > 0 && affinity.is_some();
        }
        none_since_first &= matched.is_empty();
        let each_got_one = matched.len() == idle;
        for (worker, current) in matched {
            assign(services, registry, worker, current);
        }
        // Else the other idle workers would be looked at in vain, for each job.
        if !each_got_one && self::wanted(services, registry).is_empty() {
            return false;
        }
    }
}

/// The kinds that jobs wait for and workers take.
fn wanted(services: &Services, registry: &Registry) -> Vec<Box<str>> {
    services.engine.projection(&services.projections.freed_workers, |freed, view| {
        // Also while nothing waits: they are not to pile up.
        registry.reopen(&freed.take());
        registry.kinds(|offered| view.kinds_with_waiting_jobs(offered).into_iter().map(Box::from).collect())
    })
}

fn assign(services: &Arc<Services>, registry: &Arc<Registry>, free: &FreeWorker, current: CurrentJob) {
    let attempt = AttemptId { job: current.job.id.clone(), number: current.job.attempt.saturating_add(1) };
    // A job that was made meanwhile may have taken the slot.
    if !services.engine.read(|view| registry.begin_claim(&free.worker, &attempt, view.held_count(&free.worker))) {
        services.engine.give_back(&attempt.job);
        return;
    }
    for part in registry.parts.over_limit(&free.worker, free.slots - 1) {
        sharing::end_soon(services, registry, part, PartEnd::SlotNeeded);
    }
    let mut claim = Claim {
        services: services.clone(),
        registry: registry.clone(),
        worker: free.worker.clone(),
        attempt,
        again_at_once: true,
    };
    services.detached.spawn(async move {
        if let Err(error) = self::claim(&claim.services, &claim.registry, &claim.worker, &current.job).await {
            match error {
                // The log says so itself, once. Tried again when leases are looked after, and not as fast as it can be
                // refused.
                Error::Engine(Refused::Append(AppendError::Full)) => claim.later(),
                error => tracing::warn!(job = %current.job.id, worker = %claim.worker, %error, "a claim failed"),
            }
        }
    });
}

/// A claim under way. However it ends, a job that still waits is in its queue again.
struct Claim {
    services: Arc<Services>,
    registry: Arc<Registry>,
    worker: WorkerId,
    attempt: AttemptId,
    again_at_once: bool,
}

impl Claim {
    /// The job is not to be given out again at once.
    fn later(&mut self) {
        self.again_at_once = false;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.registry.end_claim(&self.worker, &self.attempt);
        self.services.engine.give_back(&self.attempt.job);
        if self.again_at_once {
            self.services.engine.wake.notify_one();
        }
    }
}

/// A worker's slot that is kept for a job while that is made, so that the job starts with its first entry.
pub struct NewClaim {
    services: Arc<Services>,
    registry: Arc<Registry>,
    worker: WorkerId,
    attempt: AttemptId,
}

impl NewClaim {
    /// Keeps a slot for a job that would be given out at once: no other job of its kind waits, its lane is not paused, and a
    /// worker is free. Jobs of the large lane take their turn, and so does everything where only so many jobs of an owner or of the kind may be running.
    pub fn make(services: &Arc<Services>, registry: &Arc<Registry>, job: &Submission) -> Option<Self> {
        let fairness = &services.config.fairness;
        let is_limited =
            fairness.owner_running > 0 || fairness.kind_running.iter().any(|(kind, _)| **kind == *job.kind);
        if job.lane == Lane::Large || is_limited {
            return None;
        }
        let attempt = AttemptId { job: job.id.clone(), number: 1 };
        let (worker, slots) = services.engine.projection(&services.projections.freed_workers, |freed, view| {
            registry.reopen(&freed.take());
            let others_wait = Lane::ALL.iter().any(|lane| view.queue(&job.kind, *lane).waiting.jobs > 0);
            let held = |worker: &WorkerId| view.held_count(worker);
            if others_wait || view.is_paused(job.lane) { None } else { registry.claim_any(&job.kind, &attempt, held) }
        })?;
        for part in registry.parts.over_limit(&worker, slots - 1) {
            sharing::end_soon(services, registry, part, PartEnd::SlotNeeded);
        }
        Some(Self { services: services.clone(), registry: registry.clone(), worker, attempt })
    }

    pub fn worker(&self) -> &WorkerId {
        &self.worker
    }

    /// Gives the worker the job, which has started. Not if others have taken the worker for lost meanwhile, because this server
    /// stood still: then the job is in another attempt, or has ended.
    pub async fn assign(self, job: &Job) {
        let is_held = job.state.is_held() && job.worker.as_ref() == Some(&self.worker);
        if !is_held || AttemptId::of(job) != self.attempt {
            return;
        }
        if let Err(error) = give_out(&self.services, &self.registry, &self.worker, job).await {
            tracing::warn!(job = %job.id, worker = %self.worker, %error, "a claim failed");
        }
    }
}

impl Drop for NewClaim {
    fn drop(&mut self) {
        self.registry.end_claim(&self.worker, &self.attempt);
        self.services.engine.wake.notify_one();
    }
}

async fn claim(services: &Services, registry: &Registry, worker: &WorkerId, job: &Job) -> Result<(), Error> {
    registry.claims.made.fetch_add(1, Ordering::Relaxed);
    // The job may run by now because somebody else was quicker.
    let Some(claimed) = services.engine.claim(worker, job).await? else {
        registry.claims.lost.fetch_add(1, Ordering::Relaxed);
        return Ok(());
    };
    give_out(services, registry, worker, &claimed).await
}

/// Sends a worker a job that was started for it. One that cannot be reached loses it at once.
async fn give_out(services: &Services, registry: &Registry, worker: &WorkerId, claimed: &Job) -> Result<(), Error> {
    let attempt = AttemptId::of(claimed);
    tracing::info!(job = %claimed.id, attempt = attempt.number, %worker, "job started");
    let (code, message, charge) = match parameters::text(&services.files, claimed).await {
        Ok(parameters) => {
            let at = Holder::of(&attempt).wire(&services.credentials, worker);
            let message = Message::Assignment(assignment(claimed, at, parameters));
            if registry.assign(worker, attempt.clone(), message) {
                return Ok(());
            }
            ("WORKER_GONE", "The worker left before it got the job.", AttemptCharge::Free)
        }
        Err(error) => {
            tracing::warn!(job = %claimed.id, %error, "the parameters of a job cannot be read");
            // Charged: parameters that are lost must not have the job tried for ever.
            ("SERVER_FAILED", "The server could not read the parameters of the job.", AttemptCharge::Charged)
        }
    };
    let why = JobError { code: code.into(), message: message.into(), retryable: true };
    services.end_attempt(&attempt, why, charge).await?;
    registry.answered(worker, &attempt);
    Ok(())
}

#[cfg(test)]
mod liveness_tests;
#[cfg(test)]
mod tests {
    use courant_engine::testing::submission;
    use courant_joblog::event::Change;
    use courant_joblog::ids::JobId;
    use courant_joblog::job::Parameters;
    use courant_joblog::memory::MemoryLog;
    use tokio::sync::mpsc;

    use super::super::registry::{OUTBOX, WorkerCapabilities};
    use super::*;
    use crate::config::Config;
    use crate::objects::Objects;

    #[tokio::test]
    async fn of_claims_that_saw_the_same_job_waiting_one_gives_it_out() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::local(folder.path()).unwrap();
        let services = Services::open(Config::new(folder.path()), Arc::new(MemoryLog::new()), objects).await.unwrap();
        let following = services.clone();
        tokio::spawn(async move { following.engine.follow().await });
        let id = JobId::random();
        let submission = submission(id.as_str(), "alice");
        let (waiting, _) =
            services.engine.create(Change::Submitted(Box::new(submission)), id, Vec::new(), None).await.unwrap();
        let registry = Registry::default();
        let workers = ["w1", "w2"].map(WorkerId::new);
        let mut inboxes = workers.clone().map(|worker| {
            let (outbox, inbox) = mpsc::channel(OUTBOX);
            let offer = WorkerCapabilities {
                kinds: ["pdf".into()].into(),
                slots: 2,
                software: "test".into(),
                takes_parts: false,
                ..WorkerCapabilities::default()
            };
            let session = registry.attach(worker, "worker", offer, outbox).unwrap();
            registry.welcomed(&session);
            inbox
        });
        for worker in [&workers[0], &workers[1], &workers[0]] {
            claim(&services, &registry, worker, &waiting.current.job).await.unwrap();
        }
        assert!(inboxes[0].try_recv().is_ok(), "who came first gets it");
        assert!(inboxes[0].try_recv().is_err(), "twice to the same worker");
        assert!(inboxes[1].try_recv().is_err(), "the same attempt to another worker");
    }

    #[tokio::test]
    async fn a_job_whose_parameters_are_lost_is_not_tried_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::local(folder.path()).unwrap();
        let services = Services::open(Config::new(folder.path()), Arc::new(MemoryLog::new()), objects).await.unwrap();
        let following = services.clone();
        tokio::spawn(async move { following.engine.follow().await });
        let (registry, id) = (Registry::default(), JobId::random());
        let mut submission = submission(id.as_str(), "alice");
        // Said to be a file, which nobody has written.
        submission.later.parameters = Some(Parameters::Stored { bytes: 3_000, sha256: "00".into() });
        let made = Change::Submitted(Box::new(submission));
        let (waiting, _) = services.engine.create(made, id.clone(), Vec::new(), None).await.unwrap();
        claim(&services, &registry, &WorkerId::new("w"), &waiting.current.job).await.unwrap();
        let after = services.engine.get(&id).unwrap().current.job;
        let error = after.error.as_ref().unwrap();
        assert_eq!((&*error.code, after.attempts_without_progress), ("SERVER_FAILED", 1), "{}", error.message);
        assert!(!error.message.contains('/'), "paths are the operator's: {}", error.message);
    }

    /// As after a pause of the server that made the job: others took its worker for lost meanwhile.
    #[tokio::test]
    async fn a_job_that_moved_on_while_it_was_made_is_not_given_to_the_worker_it_was_made_for() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::local(folder.path()).unwrap();
        let services = Services::open(Config::new(folder.path()), Arc::new(MemoryLog::new()), objects).await.unwrap();
        let following = services.clone();
        tokio::spawn(async move { following.engine.follow().await });
        let registry = Arc::new(Registry::default());
        let (outbox, mut inbox) = mpsc::channel(OUTBOX);
        let offer = WorkerCapabilities { kinds: ["pdf".into()].into(), slots: 1, ..WorkerCapabilities::default() };
        let session = registry.attach(WorkerId::new("w1"), "worker", offer, outbox).unwrap();
        registry.welcomed(&session);
        let id = JobId::random();
        let submission = submission(id.as_str(), "alice");
        let claim = NewClaim::make(&services, &registry, &submission).unwrap();
        let worker = Some(claim.worker().clone());
        let change = Change::Submitted(Box::new(submission));
        let (made, _) = services.engine.create(change, id, Vec::new(), worker).await.unwrap();
        let lost = JobError { code: "WORKER_LOST".into(), message: "It was silent.".into(), retryable: true };
        services.end_attempt(&claim.attempt, lost, AttemptCharge::Free).await.unwrap();
        let waiting = services.engine.get(&made.current.job.id).unwrap().current.job;
        let moved_on = services.engine.claim(&WorkerId::new("w2"), &waiting).await.unwrap().unwrap();
        assert_eq!(moved_on.attempt, 2);
        claim.assign(&moved_on).await;
        assert!(inbox.try_recv().is_err(), "the second attempt is another worker's");
    }

    #[tokio::test]
    async fn for_one_job_some_of_the_idle_workers_are_looked_at_and_not_all() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::local(folder.path()).unwrap();
        let services = Services::open(Config::new(folder.path()), Arc::new(MemoryLog::new()), objects).await.unwrap();
        let following = services.clone();
        tokio::spawn(async move { following.engine.follow().await });
        let (registry, mut inboxes) = (Arc::new(Registry::default()), Vec::new());
        for number in 0..7 {
            let (outbox, inbox) = mpsc::channel(OUTBOX);
            let offer = WorkerCapabilities { kinds: ["pdf".into()].into(), slots: 1, ..WorkerCapabilities::default() };
            let session = registry.attach(WorkerId::new(format!("w{number}")), "worker", offer, outbox).unwrap();
            registry.welcomed(&session);
            inboxes.push(inbox);
        }
        let id = JobId::random();
        let submission = submission(id.as_str(), "alice");
        services.engine.create(Change::Submitted(Box::new(submission)), id, Vec::new(), None).await.unwrap();
        assign_all(&services, &registry, &Pulse::default());
        let next = registry.next_free(&["pdf".into()], |_| 0);
        let next: Vec<&str> = next.workers.iter().map(|free| free.worker.as_str()).collect();
        assert_eq!(next, ["w2", "w3"]);
    }
}
