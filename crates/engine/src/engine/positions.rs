//! Sends queue positions to those who watch waiting jobs, when they changed. The cost depends on what is watched, not on
//! what waits.

use std::collections::HashMap;
use std::sync::Arc;

use courant_joblog::ids::{JobId, Timestamp};

use super::core::Engine;
use super::state::State;
use super::walk::CHUNK;
use crate::estimate::{Estimate, WorkerCapacity};
use crate::hub::ScopeKey;
use crate::hub::watch_queue::{TransientChange, TransientUpdate};
use crate::snapshot::EstimatedPosition;
use crate::view::{CurrentJob, View};

/// Jobs examined for each one that is sent: a watch of few among many waiting jobs is sent those near their turn.
const EXAMINED_PER_SENT: usize = 10;
/// An estimate that moved by less than this share of it,
const MOVED_SHARE: f64 = 0.1;
/// or by less than these milliseconds, did not move.
const MOVED_MS: f64 = 1000.0;
const MOVED_PAGES: f64 = 1.0;

/// The positions sent in a round.
#[derive(Debug, Default)]
pub struct SentPositions(HashMap<JobId, (EstimatedPosition, PositionUpdate)>);

/// Who is sent a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PositionUpdate {
    /// All who watch the job: it changed.
    Changed,
    /// Only those who were not sent it before.
    Unchanged,
}

impl Engine {
    /// Updates the worker capacities that estimates are made from.
    pub fn update_capacities(&self, capacities: impl FnOnce(&View) -> Vec<WorkerCapacity>) {
        let state = &mut *self.state.lock();
        let capacities = capacities(&state.view);
        state.estimates.update_pools(&state.view, &capacities, state.view.now());
    }

    /// Sends the positions of waiting jobs that changed since they were last sent to their watchers. Of a watch over many
    /// jobs at most `limit`, those that are next.
    pub async fn send_positions(&self, before: &SentPositions, limit: usize) -> SentPositions {
        let (mut sent, mut last) = (SentPositions::default(), None);
        loop {
            let scope_keys = self.state.lock().hub.scope_keys(last.as_ref(), CHUNK);
            let Some(end) = scope_keys.last() else { return sent };
            last = Some(end.clone());
            // Watches of one job are many and cheap, the others the other way round.
            let (jobs, many): (Vec<&ScopeKey>, Vec<&ScopeKey>) =
                scope_keys.iter().partition(|scope_key| matches!(scope_key, ScopeKey::Job(_)));
            self.state.lock().send_positions_to(&jobs, before, &mut sent, limit);
            for scope_key in many {
                tokio::task::yield_now().await;
                self.state.lock().send_positions_to(&[scope_key], before, &mut sent, limit);
            }
            tokio::task::yield_now().await;
        }
    }
}

impl State {
    fn send_positions_to(
        &self,
        scope_keys: &[&ScopeKey],
        before: &SentPositions,
        sent: &mut SentPositions,
        limit: usize,
    ) {
        let now = Timestamp::now();
        for scope_key in scope_keys {
            match scope_key {
                ScopeKey::Job(id) => {
                    if let Some(current) = self.view.get(id) {
                        self.notify(scope_key, current, before, sent, now);
                    }
                }
                ScopeKey::Document(owner, _) | ScopeKey::Owner(owner) => {
                    let keys = self.view.job_index(Some(owner)).into_iter().flat_map(|job_index| job_index.open(None));
                    let jobs = keys.take(limit * EXAMINED_PER_SENT).filter_map(|key| self.view.get(&key.1));
                    jobs.filter(|current| self.notify(scope_key, current, before, sent, now))
                        .take(limit)
                        .for_each(drop);
                }
                ScopeKey::All => {
                    let queues = self.view.queues().map(|queue| (queue.kind, queue.lane));
                    let jobs = queues.flat_map(|(kind, lane)| self.view.upcoming(kind, lane, limit));
                    for current in jobs.take(limit * EXAMINED_PER_SENT) {
                        self.notify(scope_key, current, before, sent, now);
                    }
                }
            }
            self.hub.positions_sent(scope_key);
        }
    }

    /// Sends one job's position. `false` if it has none, or nobody here follows it.
    fn notify(
        &self,
        scope_key: &ScopeKey,
        current: &CurrentJob,
        before: &SentPositions,
        sent: &mut SentPositions,
        at: Timestamp,
    ) -> bool {
        if !self.hub.is_watched_at(scope_key, &current.job) {
            return false;
        }
        let id = &current.job.id;
        let (position, kind) = match sent.0.get(id) {
            Some(known) => *known,
            None => {
                let Some(position) = self.estimated_position(&current.job, self.view.now()) else { return false };
                let snapshot = before.0.get(id).map(|(sent, _)| *sent).filter(|sent| !sent.moved_to(&position));
                // Compared with what was sent last, not with the last round: small steps add up.
                let update =
                    snapshot.map_or((position, PositionUpdate::Changed), |sent| (sent, PositionUpdate::Unchanged));
                sent.0.insert(id.clone(), update);
                update
            }
        };
        let elapsed = current.elapsed_ms(self.view.now());
        let update = TransientUpdate {
            at,
            current: current.clone(),
            position: Some(position),
            remaining: None,
            elapsed,
            change: TransientChange::Position,
        };
        self.hub.notify_position(scope_key, &Arc::new(update), kind == PositionUpdate::Changed);
        true
    }
}

impl EstimatedPosition {
    /// Whether the difference is large enough to be sent.
    fn moved_to(&self, now: &Self) -> bool {
        let wait = |wait: Option<Estimate>| wait.map(|wait| wait.ms as f64);
        let waits_moved = match (wait(self.wait), wait(now.wait)) {
            (Some(old), Some(new)) => moved(old, new, MOVED_MS),
            (old, new) => old.is_some() != new.is_some(),
        };
        let pages_moved = moved(self.pages_ahead as f64, now.pages_ahead as f64, MOVED_PAGES);
        self.position != now.position || waits_moved || pages_moved
    }
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
            assert!(!sent.moved_to(&same), "{same:?}");
        }
        for moved in [position(2, 100, Some(60_000)), position(3, 80, Some(60_000)), position(3, 100, Some(53_000))] {
            assert!(sent.moved_to(&moved), "{moved:?}");
        }
        assert!(sent.moved_to(&position(3, 100, None)));
        assert!(!position(1, 0, Some(500)).moved_to(&position(1, 0, Some(1400))), "less than a second");
    }
}
