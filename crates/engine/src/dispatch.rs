//! Which waiting job goes to which worker. A claim is an append with compare-and-set, so nobody gets a job twice however
//! many servers there are.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use courant_joblog::event::Change;
use courant_joblog::ids::WorkerId;
use courant_joblog::job::{Job, State};
use tokio::time::Instant;

use crate::affinity::Affinity;
use crate::engine::Engine;
use crate::error::Error;
use crate::view::CurrentJob;

/// A worker that could take a job.
#[derive(Clone, Debug)]
pub struct FreeWorker {
    pub worker: WorkerId,
    pub kinds: Arc<[Box<str>]>,
    /// Slots, those being claimed already taken off; above 0.
    pub slots: u32,
    /// Whether it takes parts of documents that others do.
    pub takes_parts: bool,
}

impl Engine {
    /// Takes waiting jobs out of their queues for these workers, at most one for each. `parts` is how many parts each of them
    /// does, `slots` how many slots all workers have for each kind, `affinity` how jobs are divided where other servers take some
    /// too. Whoever gets this claims each job or gives it back.
    pub fn match_jobs<'a>(
        &self,
        free: &'a mut [FreeWorker],
        parts: &HashMap<WorkerId, u32>,
        slots: &BTreeMap<Box<str>, u32>,
        affinity: Option<&Affinity>,
    ) -> Vec<(&'a FreeWorker, CurrentJob)> {
        let idle = |free: &FreeWorker| free.slots.saturating_sub(parts.get(&free.worker).copied().unwrap_or(0));
        // The worker with most free slots first, so that jobs spread; parts make way where there is none.
        free.sort_by(|a, b| (idle(b), b.slots, &a.worker).cmp(&(idle(a), a.slots, &b.worker)));
        let (free, mut given, mut matched) = (&*free, HashSet::new(), Vec::new());
        for worker in free {
            if given.contains(&worker.worker) {
                continue;
            }
            let taken = match affinity {
                Some(affinity) => self.take_next_of(&worker.kinds, slots, affinity),
                None => self.take_next(&worker.kinds, slots),
            };
            let Some(current) = taken else { continue };
            let to = another(&current.job, worker, free, &given).unwrap_or(worker);
            given.insert(&to.worker);
            matched.push((to, current));
        }
        matched
    }

    /// Starts the next attempt at a job that was taken for this worker. `None` if somebody else was quicker: only who has
    /// started it may give it out.
    pub async fn claim(&self, worker: &WorkerId, job: &Job) -> Result<Option<Arc<Job>>, Error> {
        let started = AtomicBool::new(false);
        let decide = |now: &Job| {
            let first = now.state == State::Queued && now.attempt == job.attempt;
            started.store(first, Ordering::Relaxed);
            Ok(first.then(|| Change::Started { attempt: now.attempt + 1, worker: worker.clone() }))
        };
        let begun = Instant::now();
        let claimed = self.change(&job.id, decide).await?.current.job;
        self.note_claim(begun.elapsed());
        let ours = started.into_inner() && claimed.state == State::Running && claimed.attempt == job.attempt + 1;
        Ok(ours.then_some(claimed))
    }
}

/// Where the last attempt at a job came to nothing on this worker: another one that could do it now.
fn another<'a>(
    job: &Job,
    worker: &FreeWorker,
    free: &'a [FreeWorker],
    given: &HashSet<&WorkerId>,
) -> Option<&'a FreeWorker> {
    job.attempts.last().filter(|last| last.worker == worker.worker)?;
    let able = |other: &&FreeWorker| {
        other.worker != worker.worker && !given.contains(&other.worker) && other.kinds.contains(&job.kind)
    };
    free.iter().find(able)
}
