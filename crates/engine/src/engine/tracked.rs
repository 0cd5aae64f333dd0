//! What is known of the waiting jobs whose positions are sent: where each stood and what was sent of it last. It belongs to
//! the task that sends them and lies under no lock.

use std::collections::HashMap;
use std::sync::Arc;

use courant_joblog::ids::{JobId, Owner};
use courant_joblog::job::{Job, Lane};

use crate::estimate::{Estimate, QueueBasis};
use crate::hub::KeyKinds;
use crate::snapshot::EstimatedPosition;
use crate::view::QueuePosition;

/// An estimate that moved by less than this share of it,
const MOVED_SHARE: f64 = 0.1;
/// or by less than these milliseconds, did not move.
const MOVED_MS: f64 = 1000.0;
const MOVED_PAGES: f64 = 1.0;

/// The positions sent so far, by queue. At most one entry for each waiting job: one that waits no longer is dropped when its
/// queue is looked at next, which its going has changed.
#[derive(Debug, Default)]
pub struct SentPositions {
    pub(super) kinds: HashMap<Arc<str>, TrackedKind>,
    /// Owners somebody watches more than one job of, and which of their jobs are sent.
    pub(super) owners: HashMap<Owner, Vec<Address>>,
    /// The jobs that are sent to those who watch the jobs of all owners.
    pub(super) all: Vec<Address>,
    /// The changes of queues and estimates that were seen.
    pub(super) queues: u64,
    pub(super) estimates: u64,
    /// Counts selections of jobs.
    pub(super) selection: u64,
}

pub(super) type TrackedKind = [TrackedQueue; Lane::ALL.len()];

#[derive(Debug, Default)]
pub(super) struct TrackedQueue {
    /// The change of the queue that was seen.
    pub(super) changed: u64,
    pub(super) basis: QueueBasis,
    pub(super) jobs: HashMap<JobId, Tracked>,
}

/// One waiting job that somebody watches.
#[derive(Debug, Default)]
pub(super) struct Tracked {
    /// `None` while it is delayed or being claimed.
    pub(super) queue: Option<QueuePosition>,
    pub(super) sent: Option<EstimatedPosition>,
    /// Under which kinds of keys it is sent to watchers.
    pub(super) kinds: KeyKinds,
    /// The newest selections it was in: of its owner's jobs, and of all jobs.
    pub(super) selected: [u64; 2],
}

/// Where a tracked job is found.
#[derive(Clone, Debug)]
pub(super) struct Address {
    kind: Arc<str>,
    lane: Lane,
    job: JobId,
}

impl SentPositions {
    /// How many jobs are tracked.
    pub fn len(&self) -> usize {
        self.kinds.values().flatten().map(|queue| queue.jobs.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The queue of a job, which is there from now on.
    pub(super) fn queue(&mut self, job: &Job) -> &mut TrackedQueue {
        let known = self.kinds.get_key_value(&*job.kind).map(|(kind, _)| kind.clone());
        let kind = known.unwrap_or_else(|| Arc::from(&*job.kind));
        &mut self.kinds.entry(kind).or_default()[job.lane as usize]
    }

    pub(super) fn address(&self, job: &Job) -> Option<Address> {
        let (kind, _) = self.kinds.get_key_value(&*job.kind)?;
        Some(Address { kind: kind.clone(), lane: job.lane, job: job.id.clone() })
    }

    /// A selection was made: jobs that were in the one before and are in this one no more are sent under these keys no more.
    pub(super) fn deselect(&mut self, before: Vec<Address>, keys: KeyKinds, which: usize, selection: u64) {
        for Address { kind, lane, job } in before {
            let Some(queue) = self.kinds.get_mut(&kind).map(|kind| &mut kind[lane as usize]) else { continue };
            let Some(tracked) = queue.jobs.get_mut(&job).filter(|tracked| tracked.selected[which] != selection) else {
                continue;
            };
            tracked.kinds = tracked.kinds.without(keys);
            if tracked.kinds.is_empty() {
                queue.jobs.remove(&job);
            }
        }
    }

    /// Forgets kinds of which no job is tracked: callers name kinds.
    pub(super) fn forget_unused(&mut self) {
        self.kinds.retain(|_, kind| kind.iter().any(|queue| !queue.jobs.is_empty()));
    }
}

impl Tracked {
    /// Takes in where it stands now. What is to be sent of it, and whether that is new: small steps add up until they are.
    pub(super) fn update(&mut self, basis: &QueueBasis) -> Option<(EstimatedPosition, bool)> {
        let now = EstimatedPosition::of(self.queue?, basis);
        match self.sent.filter(|sent| !moved_to(sent, &now)) {
            Some(sent) => Some((sent, false)),
            None => {
                self.sent = Some(now);
                Some((now, true))
            }
        }
    }
}

/// Whether the difference is large enough to be sent.
fn moved_to(sent: &EstimatedPosition, now: &EstimatedPosition) -> bool {
    let wait = |wait: Option<Estimate>| wait.map(|wait| wait.ms as f64);
    let waits_moved = match (wait(sent.wait), wait(now.wait)) {
        (Some(old), Some(new)) => moved(old, new, MOVED_MS),
        (old, new) => old.is_some() != new.is_some(),
    };
    let pages_moved = moved(sent.pages_ahead as f64, now.pages_ahead as f64, MOVED_PAGES);
    sent.position != now.position || waits_moved || pages_moved
}

fn moved(old: f64, new: f64, least: f64) -> bool {
    (old - new).abs() > (old * MOVED_SHARE).max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(position: u32, pages_ahead: u64, ms: Option<u64>) -> EstimatedPosition {
        EstimatedPosition { position, pages_ahead, wait: ms.map(|ms| Estimate { ms, low: 0, high: ms }) }
    }

    #[test]
    fn a_step_is_sent_when_somebody_would_notice() {
        let sent = position(3, 100, Some(60_000));
        for same in
            [sent, position(3, 101, Some(60_000)), position(3, 100, Some(55_000)), position(3, 109, Some(65_900))]
        {
            assert!(!moved_to(&sent, &same), "{same:?}");
        }
        for moved in [position(2, 100, Some(60_000)), position(3, 80, Some(60_000)), position(3, 100, Some(53_000))] {
            assert!(moved_to(&sent, &moved), "{moved:?}");
        }
        assert!(moved_to(&sent, &position(3, 100, None)));
        assert!(!moved_to(&position(1, 0, Some(500)), &position(1, 0, Some(1400))), "less than a second");
    }
}
