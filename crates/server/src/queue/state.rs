//! The queue as it is at a moment.

use std::collections::{BTreeMap, BTreeSet};

use courant_engine::clock::Moment;
use courant_engine::estimate::{Estimate, Estimates};
use courant_engine::view::{QueueState, View};
use courant_joblog::job::Lane;
use courant_proto::v1;
use prost_types::Duration as Span;

use crate::convert;
use crate::positions::worker_capacities;
use crate::services::Services;
use crate::worker::registry::{Registry, WorkerSummary};

/// Kinds of work that are shown: those that workers take, then those with most jobs. Callers make up kinds.
pub const MAX_KINDS: usize = 256;
/// A span that moved by less than this share of it,
const MOVED_SHARE: f64 = 0.1;
/// or by less than these seconds, did not change.
const MOVED_SECONDS: f64 = 1.0;

/// The queue as it is now.
pub fn take(services: &Services, registry: &Registry) -> v1::Queue {
    let listed = registry.list();
    let connected: Vec<_> = listed.iter().filter(|worker| worker.connected).collect();
    let kinds_of = |worker: &&WorkerSummary| worker.capabilities.kinds.clone();
    let taken: BTreeSet<Box<str>> = connected.iter().flat_map(|worker| kinds_of(worker).to_vec()).collect();
    let takers = connected.iter().filter(|worker| !worker.drained);
    let served: BTreeSet<Box<str>> = takers.flat_map(|worker| kinds_of(worker).to_vec()).collect();
    let served: BTreeSet<&str> = served.iter().map(|kind| &**kind).collect();
    services.engine.read_with_estimates(|view, estimates| {
        let now = view.now();
        let workers = worker_capacities(&listed, view);
        let kinds = kinds(view, &served);
        let lane = |queue_state: QueueState| lane(view, estimates, queue_state, now);
        let queues = kinds.iter().flat_map(|kind| Lane::ALL.map(|lane| view.queue(kind, lane)));
        let shown = |queue_state: &QueueState| {
            served.contains(queue_state.kind)
                || queue_state.waiting.jobs > 0
                || queue_state.delayed + queue_state.held > 0
        };
        let unserved =
            |kind: &str| !taken.contains(kind) && Lane::ALL.iter().any(|lane| waits(&view.queue(kind, *lane)));
        let held = |worker| view.held_count(worker);
        v1::Queue {
            lanes: queues.filter(shown).map(lane).collect(),
            workers_total: connected.len() as i32,
            workers_active: connected.iter().filter(|worker| held(&worker.worker) > 0).count() as i32,
            slots_total: workers.iter().map(|worker| worker.slots).sum::<u32>() as i32,
            slots_used: connected.iter().map(|worker| held(&worker.worker)).sum::<u32>() as i32,
            unserved_kinds: kinds.iter().filter(|kind| unserved(kind)).map(|kind| (*kind).to_owned()).collect(),
        }
    })
}

fn waits(queue_state: &QueueState) -> bool {
    queue_state.waiting.jobs > 0 || queue_state.delayed > 0
}

/// The kinds that are shown, by name.
fn kinds<'a>(view: &'a View, served: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    let mut jobs: BTreeMap<&str, u64> = BTreeMap::new();
    for queue_state in view.queues() {
        *jobs.entry(queue_state.kind).or_default() +=
            queue_state.waiting.jobs + u64::from(queue_state.delayed) + u64::from(queue_state.held);
    }
    let mut others: Vec<(u64, &str)> = jobs.into_iter().map(|(kind, jobs)| (jobs, kind)).collect();
    others.sort_unstable_by(|a, b| b.cmp(a));
    served.iter().copied().chain(others.into_iter().map(|(_, kind)| kind)).take(MAX_KINDS).collect()
}

fn lane(view: &View, estimates: &Estimates, queue_state: QueueState, now: Moment) -> v1::QueueLane {
    let wait = wait(view, estimates, &queue_state, now);
    let oldest = queue_state.oldest.and_then(|id| view.get(id)).map(|current| now.ms_since(current.since));
    v1::QueueLane {
        kind: queue_state.kind.to_owned(),
        lane: convert::lane(queue_state.lane).into(),
        waiting: count(queue_state.waiting.jobs),
        delayed: count(queue_state.delayed.into()),
        active: count(queue_state.held.into()),
        pages_waiting: estimates.pages(queue_state.kind, queue_state.waiting) as i64,
        average_wait: estimates.average_wait(queue_state.kind, queue_state.lane).map(convert::span),
        oldest_wait: oldest.map(convert::span),
        estimated_wait: wait.map(|wait| convert::span(wait.ms)),
        estimated_wait_band: wait.map(convert::band),
        share: view.weights().share(queue_state.lane),
    }
}

/// How long a job that comes now waits: behind all that wait at worst; one of an owner who has none waiting, about as long
/// as the low end says.
fn wait(view: &View, estimates: &Estimates, queue_state: &QueueState, now: Moment) -> Option<Estimate> {
    let wait = |position| estimates.wait(view, queue_state.kind, queue_state.lane, position, now);
    let (worst, best) = (wait(queue_state.end())?, wait(queue_state.newcomer()));
    Some(Estimate { low: worst.low.min(best.map_or(u64::MAX, |best| best.low)), ..worst })
}

fn count(jobs: u64) -> i32 {
    i32::try_from(jobs).unwrap_or(i32::MAX)
}

/// Whether two states are the same. That time goes by for those who wait is no change.
pub fn same(before: &v1::Queue, after: &v1::Queue) -> bool {
    let lanes =
        before.lanes.len() == after.lanes.len() && before.lanes.iter().zip(&after.lanes).all(|(a, b)| alike(a, b));
    let rest = |queue: &v1::Queue| {
        (queue.workers_total, queue.workers_active, queue.slots_total, queue.slots_used, queue.unserved_kinds.clone())
    };
    lanes && rest(before) == rest(after)
}

fn alike(before: &v1::QueueLane, after: &v1::QueueLane) -> bool {
    let without_times = |lane: &v1::QueueLane| v1::QueueLane {
        average_wait: None,
        oldest_wait: None,
        estimated_wait: None,
        estimated_wait_band: None,
        ..lane.clone()
    };
    without_times(before) == without_times(after)
        && close(before.average_wait, after.average_wait)
        && close(before.estimated_wait, after.estimated_wait)
}

fn close(before: Option<Span>, after: Option<Span>) -> bool {
    let seconds = |span: Span| span.seconds as f64 + f64::from(span.nanos) / 1e9;
    match (before.map(seconds), after.map(seconds)) {
        (Some(before), Some(after)) => (before - after).abs() <= (before * MOVED_SHARE).max(MOVED_SECONDS),
        (before, after) => before.is_some() == after.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_goes_by_is_no_change() {
        let lane = v1::QueueLane { waiting: 1, estimated_wait: Some(convert::span(60_000)), ..Default::default() };
        let queue = |lane: v1::QueueLane| v1::Queue { lanes: vec![lane], ..Default::default() };
        let before = queue(lane.clone());
        let older = v1::QueueLane { oldest_wait: Some(convert::span(5_000)), ..lane.clone() };
        let nearer = v1::QueueLane { estimated_wait: Some(convert::span(56_000)), ..lane.clone() };
        assert!(same(&before, &queue(older)) && same(&before, &queue(nearer)));
        let sooner = v1::QueueLane { estimated_wait: Some(convert::span(30_000)), ..lane.clone() };
        let longer = v1::QueueLane { waiting: 2, ..lane.clone() };
        let unknown = v1::QueueLane { estimated_wait: None, ..lane };
        for other in [sooner, longer, unknown] {
            assert!(!same(&before, &queue(other)));
        }
        assert!(!same(&before, &v1::Queue { workers_total: 1, ..before.clone() }));
    }
}
