//! How many slots the queue of a kind needs now.

use std::time::Duration;

use courant_joblog::job::Lane;

use super::reference::Reference;
use crate::positions::worker_capacities;
use crate::services::Services;
use crate::worker::registry::Registry;

/// What is to be done of one kind, and who does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Jobs that wait and are due.
    waiting: u64,
    /// Jobs that wait for their next attempt's time.
    delayed: u64,
    /// Jobs that workers hold.
    active: u64,
    /// How long a job that came now would wait behind all others; `None` where nothing is known to estimate it from.
    estimated_wait: Option<Duration>,
    /// How long the job that waits longest has waited.
    oldest_wait: Duration,
    /// Slots of the workers that are connected and not drained.
    slots: u64,
}

/// The demand for one kind of work at this moment.
pub fn now(services: &Services, registry: &Registry, kind: &str) -> Demand {
    let listed = registry.list();
    services.engine.read_with_estimates(|view, estimates| {
        let now = view.now();
        let workers = worker_capacities(&listed, view);
        let takers = workers.iter().filter(|worker| worker.kinds.iter().any(|taken| **taken == *kind));
        let mut demand = Demand { slots: takers.map(|worker| u64::from(worker.slots)).sum(), ..Demand::default() };
        for queue in Lane::ALL.map(|lane| view.queue(kind, lane)) {
            demand.delayed += u64::from(queue.delayed);
            demand.active += u64::from(queue.held);
            // What waits in a paused lane needs no worker.
            if queue.waiting.jobs == 0 || view.is_paused(queue.lane) {
                continue;
            }
            demand.waiting += queue.waiting.jobs;
            // Workers are never idle while a lane has jobs: the lane that is empty last says how much work there is.
            let wait =
                estimates.wait(view, kind, queue.lane, queue.end(), now).map(|wait| Duration::from_millis(wait.ms));
            demand.estimated_wait = demand.estimated_wait.max(wait);
            let oldest = queue.oldest.and_then(|id| view.get(id)).map_or(0, |job| now.ms_since(job.since));
            demand.oldest_wait = demand.oldest_wait.max(Duration::from_millis(oldest));
        }
        demand
    })
}

impl Demand {
    /// Whether a worker is needed at all.
    pub fn is_active(&self) -> bool {
        self.waiting + self.delayed + self.active > 0
    }

    /// Slots for what runs, and as many for what waits as keep the wait below the target.
    pub fn slots_needed(&self, reference: &Reference) -> u64 {
        let waits = match self.estimated_wait {
            _ if self.waiting == 0 => 0,
            // As much work as the slots of now do in that time.
            Some(wait) if self.slots > 0 => scaled(self.slots, wait, reference.target_wait),
            // Nothing was measured yet: one worker, and more of them once jobs have waited too long for those that are there.
            _ => scaled(self.slots, self.oldest_wait, reference.target_wait).max(u64::from(reference.slots_per_worker)),
        };
        // More slots than jobs would be idle.
        self.active.saturating_add(waits.min(self.waiting))
    }
}

/// As many slots as shorten a wait to the target, rounded up.
fn scaled(slots: u64, wait: Duration, target: Duration) -> u64 {
    (slots as f64 * wait.as_secs_f64() / target.as_secs_f64()).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn needed(demand: Demand) -> u64 {
        demand.slots_needed(&Reference { kind: "pdf".into(), target_wait: MINUTE, slots_per_worker: 2 })
    }

    #[test]
    fn what_runs_keeps_its_slots_and_an_empty_queue_needs_none() {
        assert_eq!(needed(Demand::default()), 0);
        assert_eq!(needed(Demand { active: 3, slots: 4, ..Demand::default() }), 3);
        assert!(Demand { delayed: 1, ..Demand::default() }.is_active() && !Demand::default().is_active());
    }

    #[test]
    fn slots_grow_with_the_wait_until_it_is_the_target() {
        let waiting = |minutes: u32| Demand {
            waiting: 1000,
            active: 4,
            slots: 4,
            estimated_wait: Some(minutes * MINUTE),
            ..Demand::default()
        };
        assert_eq!([1, 2, 10].map(|minutes| needed(waiting(minutes))), [8, 12, 44]);
        // The same work among more slots needs no more of them.
        let among_more = Demand { slots: 40, estimated_wait: Some(MINUTE), ..waiting(0) };
        assert_eq!(needed(among_more), 44);
    }

    #[test]
    fn no_more_slots_than_jobs_and_one_worker_before_anything_was_measured() {
        let few = Demand { waiting: 3, slots: 4, estimated_wait: Some(60 * MINUTE), ..Demand::default() };
        assert_eq!(needed(few), 3);
        let first = Demand { waiting: 500, ..Demand::default() };
        assert_eq!(needed(first), 2);
        let late = Demand { slots: 2, active: 2, oldest_wait: 3 * MINUTE, ..first };
        assert_eq!(needed(late), 8);
    }
}
