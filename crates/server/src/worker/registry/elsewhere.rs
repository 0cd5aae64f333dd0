//! Workers that are connected to other servers of the same log. What another server says of a worker renews its lease here: whoever
//! it is connected to looks after it, and the others only once nothing is heard of it for a lease.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use courant_joblog::ids::WorkerId;
use tokio::time::{Duration, Instant};

use super::status::{ServerId, WorkerStatus, WorkerSummary};

/// Where there are other servers, a worker gets no jobs before they have known of it for so long. What they were claiming when they
/// heard of it may be jobs that are its own by now.
pub const SETTLED_AFTER: Duration = Duration::from_millis(250);

/// A server that has had no free slot for so long gets no jobs until it has one.
pub(super) const FULL_FOR: Duration = Duration::from_millis(100);

/// The workers of other servers.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    pub(super) workers: HashMap<WorkerId, RemoteWorker>,
    /// Slots that may get jobs of a kind, busy or not. Counted when something is heard: dispatch asks often.
    slots: HashMap<Box<str>, u32>,
    /// Slots of all of them.
    pub(super) total: u32,
    /// Since when servers have had no free slot for a kind, as far as that was looked at.
    full: HashMap<Box<str>, HashMap<ServerId, Instant>>,
    /// When this server heard itself: while it does not, it may not hear others either. None where there are no others.
    pub(super) itself: Option<Instant>,
}

/// A worker of another server.
#[derive(Debug)]
pub(super) struct RemoteWorker {
    pub(super) server: ServerId,
    /// What operators call that server.
    pub(super) server_name: Arc<str>,
    pub(super) status: WorkerStatus,
    /// When its server told of it last.
    pub(super) renewed: Instant,
    /// After so long without a word of its server it is lost: that server's lease, by which it tells of its workers.
    pub(super) lease: Duration,
}

impl Elsewhere {
    /// When a worker's server told of it last, and for how long that is good.
    pub(super) fn renewed(&self, worker: &WorkerId) -> Option<(Instant, Duration)> {
        self.workers.get(worker).map(|remote| (remote.renewed, remote.lease))
    }

    /// Whether a worker of another subject has the id.
    pub(super) fn is_taken(&self, worker: &WorkerId, subject: &str) -> bool {
        let taken = |remote: &RemoteWorker| *remote.status.subject != *subject && remote.is_alive();
        self.workers.get(worker).is_some_and(taken)
    }

    /// The worker is here now. Whether it was drained.
    pub(super) fn remove(&mut self, worker: &WorkerId) -> bool {
        let removed = self.workers.remove(worker);
        self.count();
        removed.is_some_and(|remote| remote.status.drained)
    }

    /// Slots of each server for each of these kinds, busy or not. A server that has been full for a while is left out: it takes nothing
    /// soon. One that has just become full is not, because the end of a job may be known there already, and not here.
    pub(super) fn slots_by_server(
        &mut self,
        kinds: &[Box<str>],
        held: impl Fn(&WorkerId) -> u32,
    ) -> BTreeMap<Box<str>, BTreeMap<u64, u32>> {
        let mut by_kind = BTreeMap::new();
        for kind in kinds {
            let (mut slots, mut free) = (BTreeMap::<u64, u32>::new(), HashSet::new());
            for (id, remote) in self.workers.iter().filter(|(_, remote)| remote.takes_jobs() && remote.takes(kind)) {
                let offered = remote.status.capabilities.slots;
                let of_server = slots.entry(remote.server.0).or_default();
                *of_server = of_server.saturating_add(offered);
                if offered > held(id) {
                    free.insert(remote.server);
                }
            }
            let before = self.full.remove(kind).unwrap_or_default();
            let now = Instant::now();
            let full = slots.keys().map(|server| ServerId(*server)).filter(|server| !free.contains(server));
            let full: HashMap<_, _> =
                full.map(|server| (server, before.get(&server).copied().unwrap_or(now))).collect();
            slots.retain(|server, _| full.get(&ServerId(*server)).is_none_or(|since| since.elapsed() < FULL_FOR));
            self.full.insert(kind.clone(), full);
            by_kind.insert(kind.clone(), slots);
        }
        by_kind
    }

    /// Whether messages of other servers may not arrive.
    pub(super) fn may_miss_messages(&self, lease: Duration) -> bool {
        self.itself.is_some_and(|heard| heard.elapsed() > lease / 2)
    }

    /// Slots for which workers may get jobs, of a kind.
    pub(super) fn slots_of(&self, kind: &str) -> u32 {
        self.slots.get(kind).copied().unwrap_or(0)
    }

    pub(super) fn slots(&self) -> u32 {
        self.total
    }

    pub(super) fn summaries(&self) -> impl Iterator<Item = WorkerSummary> {
        self.workers.values().map(|remote| WorkerSummary {
            worker: remote.status.worker.clone(),
            capabilities: remote.status.capabilities.clone(),
            connected: remote.status.connected,
            drained: remote.status.drained,
            silence: remote.silence(),
            server: remote.server_name.clone(),
        })
    }

    /// Forgets those of which nothing was said for a lease. Drained ones are remembered: they are to stay so.
    pub(super) fn forget(&mut self) {
        if self.workers.values().all(RemoteWorker::is_alive) {
            return;
        }
        self.workers.retain(|_, remote| remote.is_alive() || remote.status.drained);
        for remote in self.workers.values_mut().filter(|remote| !remote.is_alive()) {
            remote.status.connected = false;
        }
        self.count();
    }

    /// An operator wants a worker drained that nobody looks after now.
    pub(super) fn set_drained(&mut self, worker: &WorkerId, drained: bool) {
        if let Some(remote) = self.workers.get_mut(worker).filter(|remote| !remote.is_alive()) {
            remote.status.drained = drained;
        }
    }

    /// Counts slots again: something was heard.
    pub(super) fn count(&mut self) {
        self.slots.clear();
        self.total = 0;
        for remote in self.workers.values().filter(|remote| remote.takes_jobs()) {
            let slots = remote.status.capabilities.slots;
            self.total = self.total.saturating_add(slots);
            for kind in remote.status.capabilities.kinds.iter() {
                let of_kind = self.slots.entry(kind.clone()).or_default();
                *of_kind = of_kind.saturating_add(slots);
            }
        }
    }
}

impl RemoteWorker {
    fn is_alive(&self) -> bool {
        self.renewed.elapsed() <= self.lease
    }

    fn takes(&self, kind: &str) -> bool {
        self.status.capabilities.kinds.iter().any(|taken| **taken == *kind)
    }

    pub(super) fn takes_jobs(&self) -> bool {
        self.status.connected && !self.status.drained
    }

    fn silence(&self) -> Duration {
        self.status.silence + self.renewed.elapsed()
    }

    /// Whether it is now with another server, which says this of it.
    pub(super) fn is_gone_to(&self, there: &WorkerStatus) -> bool {
        let later = there.capabilities.is_later_than(&self.status.capabilities);
        if let Some(later) = later.filter(|_| there.subject == self.status.subject) {
            return later;
        }
        !self.is_alive() || (there.subject == self.status.subject && there.silence < self.silence())
    }
}
