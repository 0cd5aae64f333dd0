//! What time does to jobs: leases run out, assignments stay unanswered, cancels are overdue.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use courant_engine::Error as Refused;
use courant_engine::attempt::AttemptId;
use courant_engine::retry::cancelled;
use courant_joblog::event::AttemptCharge;
use courant_joblog::ids::{JobId, WorkerId};
use courant_joblog::job::{Job, JobError, State};
use courant_proto::v1::work_response::Message;
use courant_proto::v1::{CancelAttempt, LeaseLost};
use tokio::time::{Duration, Instant, MissedTickBehavior};

use super::parts::Holder;
use super::registry::Registry;
use super::sharing;
use crate::error::Error;
use crate::services::Services;

/// The longest pause between two sweeps.
const TICK: Duration = Duration::from_secs(1);

/// Looks after leases for ever.
pub async fn run(services: Arc<Services>, registry: Arc<Registry>) {
    let every = TICK.min(services.config.lease / 10);
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let following = services.engine.log.following();
    let mut sweep = Sweep { services, registry, cancelling: HashMap::new() };
    let mut last = Instant::now();
    loop {
        ticks.tick().await;
        let stood_still = last.elapsed() > every + sweep.services.config.lease / 3;
        let knows_nothing_new = following.as_ref().is_some_and(|following| !*following.borrow());
        if stood_still || knows_nothing_new {
            // The workers' signs of life lie unread, or those that other servers hear do not arrive: nobody is to blame.
            sweep.registry.renew_all_leases();
        }
        last = Instant::now();
        if let Err(error) = sweep.once().await {
            tracing::warn!(%error, "looking after leases failed; trying again");
        }
    }
}

struct Sweep {
    services: Arc<Services>,
    registry: Arc<Registry>,
    cancelling: HashMap<JobId, Instant>,
}

impl Sweep {
    async fn once(&mut self) -> Result<(), Error> {
        let held: Vec<Arc<Job>> =
            self.services.engine.read(|view| view.held().map(|current| current.job.clone()).collect());
        // One that the log does not take must not keep the others, and what needs no log, from being handled.
        let looked = [self.leases(&held).await, self.unanswered(&held).await, self.cancels(&held).await];
        sharing::sweep(&self.services, &self.registry);
        self.registry.remove_expired();
        // Nothing signals that a worker's outbox has space again.
        self.services.engine.wake.notify_one();
        looked.into_iter().collect()
    }

    async fn leases(&self, held: &[Arc<Job>]) -> Result<(), Error> {
        let lease = self.services.config.lease;
        for job in held {
            let attempt = AttemptId::of(job);
            let lost = |worker: &&WorkerId| self.registry.is_lost(worker, Some(&attempt));
            let Some(worker) = job.worker.as_ref().filter(lost) else {
                continue;
            };
            self.registry.set_unresponsive(worker);
            let why = JobError {
                code: "WORKER_LOST".into(),
                message: format!("The worker sent nothing for {} s.", lease.as_secs_f32()).into(),
                retryable: true,
            };
            tracing::warn!(job = %job.id, %worker, "lease ran out");
            self.services.end_attempt(&attempt, why, AttemptCharge::Charged).await?;
            self.registry.send(
                worker,
                Message::LeaseLost(LeaseLost {
                    attempt: Some(Holder::of(&attempt).wire(&self.services.credentials, worker)),
                }),
            );
        }
        Ok(())
    }

    async fn unanswered(&self, held: &[Arc<Job>]) -> Result<(), Error> {
        let mut holders: HashMap<&WorkerId, HashSet<AttemptId>> = HashMap::new();
        for job in held {
            if let Some(worker) = job.worker.as_ref() {
                holders.entry(worker).or_default().insert(AttemptId::of(job));
            }
        }
        holders.iter().for_each(|(worker, attempts)| self.registry.expect(worker, attempts));
        for (worker, attempt) in self.registry.overdue(self.services.config.accept_within) {
            let why = JobError {
                code: "NOT_ACCEPTED".into(),
                message: "The worker did not accept the job in time.".into(),
                retryable: true,
            };
            match self.services.end_attempt(&attempt, why, AttemptCharge::Free).await {
                // Only now: an end that the log refused is tried again.
                Ok(()) | Err(Refused::JobNotFound(_)) => {
                    self.registry.answered(&worker, &attempt);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn cancels(&mut self, held: &[Arc<Job>]) -> Result<(), Error> {
        let cancelling = || held.iter().filter(|job| job.state == State::Cancelling);
        let ids: HashSet<&JobId> = cancelling().map(|job| &job.id).collect();
        self.cancelling.retain(|id, _| ids.contains(id));
        for job in cancelling() {
            let Some(worker) = job.worker.as_ref() else { continue };
            let since = self.cancelling.entry(job.id.clone()).or_insert_with(Instant::now);
            let attempt = AttemptId::of(job);
            if since.elapsed() <= self.services.config.cancel_grace {
                self.registry.send(
                    worker,
                    Message::Cancel(CancelAttempt {
                        attempt: Some(Holder::of(&attempt).wire(&self.services.credentials, worker)),
                    }),
                );
                continue;
            }
            let over = |now: &Job| Ok((now.state == State::Cancelling).then(|| cancelled(now)));
            self.services.engine.change(&job.id, over).await?;
            self.registry.send(
                worker,
                Message::LeaseLost(LeaseLost {
                    attempt: Some(Holder::of(&attempt).wire(&self.services.credentials, worker)),
                }),
            );
        }
        Ok(())
    }
}
