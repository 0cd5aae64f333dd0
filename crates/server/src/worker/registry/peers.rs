//! What servers on one log tell each other of workers.

use std::sync::Arc;

use courant_engine::affinity::Affinity;
use courant_joblog::ids::WorkerId;
use tokio::time::{Duration, Instant};

use super::elsewhere::RemoteWorker;
use super::{Registry, ServerId, Worker, WorkerStatus};

impl Registry {
    /// The workers that this server looks after, for the others.
    pub fn statuses(&self) -> Vec<WorkerStatus> {
        let inner = self.inner.lock();
        inner.workers.iter().map(|(id, worker)| worker.status(id)).collect()
    }

    /// Another server, of this lease, looks after these workers. One that is connected here as well stays with the server that heard it
    /// last.
    pub fn apply(&self, server: ServerId, name: &Arc<str>, lease: Duration, statuses: Vec<WorkerStatus>) {
        let inner = &mut *self.inner.lock();
        for status in statuses {
            let there = |remote: &RemoteWorker| remote.server != server && !remote.is_gone_to(&status);
            if inner.workers.get(&status.worker).is_some_and(|own| !own.is_gone_to(&status))
                || inner.elsewhere.workers.get(&status.worker).is_some_and(there)
            {
                continue;
            }
            if let Some(own) = inner.remove(&status.worker) {
                own.connection.iter().for_each(|connection| connection.replaced.cancel());
            }
            let (worker, renewed) = (status.worker.clone(), Instant::now());
            let remote = RemoteWorker { server, server_name: name.clone(), status, renewed, lease };
            inner.elsewhere.workers.insert(worker, remote);
        }
        inner.elsewhere.count();
    }

    /// Messages between servers arrive here.
    pub fn received_own(&self) {
        self.inner.lock().elsewhere.itself = Some(Instant::now());
    }

    /// This server has heard itself speak of these workers, so the others have heard it too. Whether some are new: they can be given
    /// jobs after [`SETTLED_AFTER`](super::SETTLED_AFTER).
    pub fn announced(&self, workers: &[WorkerStatus]) -> bool {
        let (mut inner, mut any) = (self.inner.lock(), false);
        for status in workers.iter().filter(|status| status.connected) {
            if let Some(worker) = inner.workers.get_mut(&status.worker).filter(|worker| worker.announced.is_none()) {
                worker.announced = Some(Instant::now());
                any = true;
            }
        }
        any
    }

    /// Whether other servers take jobs from the same log.
    pub fn set_has_others(&self, has_others: bool) {
        self.inner.lock().has_others = has_others;
    }

    /// Whether another server looks after this worker.
    pub fn is_elsewhere(&self, worker: &WorkerId) -> bool {
        self.drained_elsewhere(worker).is_some()
    }

    /// If another server looks after this worker: whether the worker is drained.
    pub fn drained_elsewhere(&self, worker: &WorkerId) -> Option<bool> {
        self.inner.lock().elsewhere.workers.get(worker).map(|remote| remote.status.drained)
    }

    /// How servers divide jobs of these kinds, given how many jobs each worker holds. None while no other server has a worker.
    pub fn affinity(&self, kinds: &[Box<str>], held: impl Fn(&WorkerId) -> u32) -> Option<Affinity> {
        let inner = &mut *self.inner.lock();
        if inner.elsewhere.total == 0 {
            return None;
        }
        let mut slots = inner.elsewhere.slots_by_server(kinds, held);
        let conditions = inner.conditions(self.lease);
        for worker in inner.workers.values().filter(|worker| worker.can_be_given_jobs(conditions)) {
            for kind in worker.capabilities.kinds.iter().filter(|kind| kinds.contains(kind)) {
                let of_kind = slots.entry(kind.clone()).or_default().entry(self.server.0).or_default();
                *of_kind = of_kind.saturating_add(worker.capabilities.slots);
            }
        }
        Some(Affinity { server: self.server.0, slots })
    }
}

impl Worker {
    /// Whether it is now with the server that says this of it. A worker of another subject that came to that server at the same
    /// moment is another one.
    fn is_gone_to(&self, there: &WorkerStatus) -> bool {
        let later = there.capabilities.is_later_than(&self.capabilities);
        if let Some(later) = later.filter(|_| there.subject == self.subject) {
            return later;
        }
        let heard_there_last = there.silence < self.last_seen.elapsed();
        there.subject == self.subject && heard_there_last && (there.connected || self.connection.is_none())
    }

    fn status(&self, id: &WorkerId) -> WorkerStatus {
        WorkerStatus {
            worker: id.clone(),
            subject: self.subject.clone(),
            capabilities: self.capabilities.clone(),
            connected: self.connection.is_some(),
            drained: self.drained,
            silence: self.last_seen.elapsed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::sync::mpsc;

    use super::super::elsewhere::{FULL_FOR, SETTLED_AFTER};
    use super::super::{OUTBOX, Session, WorkerCapabilities};
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);
    const OTHER: ServerId = ServerId(2);

    fn name() -> Arc<str> {
        "other".into()
    }

    fn offer(slots: u32) -> WorkerCapabilities {
        WorkerCapabilities { kinds: ["pdf".into()].into(), slots, ..WorkerCapabilities::default() }
    }

    fn connect(registry: &Registry, subject: &str) -> Result<Session, crate::error::Error> {
        let session = registry.attach(WorkerId::new("w"), subject, offer(2), mpsc::channel(OUTBOX).0)?;
        registry.welcomed(&session);
        Ok(session)
    }

    fn status(connected: bool, silence: u64) -> WorkerStatus {
        WorkerStatus {
            worker: WorkerId::new("w"),
            subject: "worker".into(),
            capabilities: offer(3),
            connected,
            drained: false,
            silence: Duration::from_secs(silence),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_server_says_renews_the_lease() {
        let (registry, worker) = (Registry::new(LEASE), WorkerId::new("w"));
        for _ in 0..5 {
            registry.apply(OTHER, &name(), LEASE, vec![status(true, 0)]);
            tokio::time::advance(LEASE).await;
            registry.remove_expired();
            assert!(!registry.is_lost(&worker, None) && registry.list().len() == 1);
        }
        tokio::time::advance(Duration::from_millis(1)).await;
        registry.remove_expired();
        assert!(registry.is_lost(&worker, None) && registry.list().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_is_judged_by_the_lease_of_its_own_server() {
        let (registry, worker) = (Registry::new(LEASE), WorkerId::new("w"));
        registry.apply(OTHER, &name(), LEASE * 3, vec![status(true, 0)]);
        tokio::time::advance(LEASE * 3).await;
        registry.remove_expired();
        assert!(!registry.is_lost(&worker, None) && registry.list().len() == 1, "its server tells of it less often");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(registry.is_lost(&worker, None));
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_even_hear_itself_takes_nobody_elsewhere_for_lost() {
        let (registry, worker) = (Registry::new(LEASE), WorkerId::new("w"));
        registry.received_own();
        registry.apply(OTHER, &name(), LEASE, vec![status(true, 0)]);
        tokio::time::advance(LEASE * 2).await;
        assert!(!registry.is_lost(&worker, None));
        registry.received_own();
        assert!(registry.is_lost(&worker, None));
    }

    #[tokio::test(start_paused = true)]
    async fn slots_elsewhere_count_while_their_server_is_heard() {
        let registry = Registry::new(LEASE);
        connect(&registry, "worker").unwrap();
        registry.apply(OTHER, &name(), LEASE, vec![WorkerStatus { worker: WorkerId::new("x"), ..status(true, 0) }]);
        let kinds: [Box<str>; 1] = ["pdf".into()];
        assert_eq!((registry.slots(), registry.slots_of(&kinds)["pdf"]), (5, 5));
        let slots = |held: u32| registry.affinity(&kinds, |_| held).map(|affinity| affinity.slots["pdf"].clone());
        let both = Some(BTreeMap::from([(registry.server.0, 2), (OTHER.0, 3)]));
        assert_eq!((slots(0), slots(2), slots(3)), (both.clone(), both.clone(), both.clone()));
        tokio::time::advance(FULL_FOR).await;
        assert_eq!(slots(3), Some([(registry.server.0, 2)].into()), "it has been full for a while");
        assert_eq!((slots(2), slots(3)), (both.clone(), both), "it was not full all the time");
        registry.apply(
            OTHER,
            &name(),
            LEASE,
            vec![WorkerStatus { worker: WorkerId::new("x"), drained: true, ..status(true, 0) }],
        );
        assert_eq!(registry.slots(), 2);
        registry.apply(OTHER, &name(), LEASE, vec![WorkerStatus { worker: WorkerId::new("x"), ..status(true, 0) }]);
        assert_eq!(registry.slots(), 5);
        tokio::time::advance(LEASE + Duration::from_millis(1)).await;
        registry.remove_expired();
        assert_eq!((registry.slots(), slots(0)), (2, None));
    }

    #[tokio::test(start_paused = true)]
    async fn where_there_are_others_a_worker_gets_jobs_once_they_know_of_it() {
        let registry = Registry::new(LEASE);
        let session = connect(&registry, "worker").unwrap();
        let free = || registry.free(&["pdf".into()], |_| 0).len();
        assert_eq!(free(), 1, "there is nobody else");
        registry.set_has_others(true);
        tokio::time::advance(SETTLED_AFTER).await;
        assert_eq!(free(), 0, "nobody has heard of it");
        assert!(registry.announced(&registry.statuses()) && !registry.announced(&registry.statuses()));
        assert_eq!(free(), 0, "they may be claiming what is its own now");
        tokio::time::advance(SETTLED_AFTER).await;
        assert_eq!(free(), 1);
        registry.detach(&session);
        connect(&registry, "worker").unwrap();
        assert_eq!(free(), 0, "it is a new stream");
        registry.set_has_others(false);
        assert_eq!(free(), 1, "they are gone");
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_is_with_the_server_that_heard_it_last() {
        let registry = Registry::new(LEASE);
        let session = connect(&registry, "worker").unwrap();
        tokio::time::advance(Duration::from_secs(5)).await;
        registry.apply(OTHER, &name(), LEASE, vec![status(true, 6)]);
        registry.apply(OTHER, &name(), LEASE, vec![status(false, 1)]);
        registry.apply(OTHER, &name(), LEASE, vec![WorkerStatus { subject: "mallory".into(), ..status(true, 0) }]);
        assert!(!session.replaced.0.is_cancelled(), "it speaks here, or is gone there, or is another's");
        registry.apply(OTHER, &name(), LEASE, vec![status(true, 4)]);
        assert!(session.replaced.0.is_cancelled() && registry.statuses().is_empty());
        assert!(registry.is_elsewhere(&session.worker));
        assert_eq!(registry.drained_elsewhere(&session.worker), Some(false));
        registry.detach(&session);
        assert!(registry.list()[0].connected, "the end of its old stream changes nothing");
        connect(&registry, "worker").unwrap();
        assert!(registry.drained_elsewhere(&session.worker).is_none() && registry.statuses().len() == 1);
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_streams_of_one_process_the_later_counts_however_late_it_is_heard_of() {
        let of = |stream| WorkerCapabilities { process: 7, stream, ..offer(2) };
        let registry = Registry::new(LEASE);
        let attach =
            |stream| registry.attach(WorkerId::new("w"), "worker", of(stream), mpsc::channel(OUTBOX).0).unwrap();
        let session = attach(3);
        registry.welcomed(&session);
        tokio::time::advance(Duration::from_secs(5)).await;
        // Sent before it came here, and delayed: it would seem to have been heard there just now.
        registry.apply(OTHER, &name(), LEASE, vec![WorkerStatus { capabilities: of(2), ..status(true, 0) }]);
        assert!(!session.replaced.0.is_cancelled() && registry.statuses().len() == 1);
        registry.apply(OTHER, &name(), LEASE, vec![WorkerStatus { capabilities: of(4), ..status(true, 9) }]);
        assert!(session.replaced.0.is_cancelled() && registry.is_elsewhere(&session.worker));
        registry.apply(ServerId(3), &name(), LEASE, vec![WorkerStatus { capabilities: of(3), ..status(true, 0) }]);
        let affinity = registry.affinity(&["pdf".into()], |_| 0).unwrap();
        assert!(affinity.slots["pdf"].contains_key(&OTHER.0), "a third server has an older one");
        let process = WorkerCapabilities { process: 8, ..of(1) };
        registry.apply(ServerId(3), &name(), LEASE, vec![WorkerStatus { capabilities: process, ..status(true, 0) }]);
        let affinity = registry.affinity(&["pdf".into()], |_| 0).unwrap();
        assert!(affinity.slots["pdf"].contains_key(&3), "of another process the one counts that was heard last");
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_left_here_is_with_whom_it_came_to() {
        let registry = Registry::new(LEASE);
        let session = connect(&registry, "worker").unwrap();
        tokio::time::advance(Duration::from_secs(5)).await;
        registry.detach(&session);
        registry.apply(OTHER, &name(), LEASE, vec![status(true, 0)]);
        assert!(registry.statuses().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_other_servers_it_is_with_the_one_that_heard_it_last() {
        let registry = Registry::new(LEASE);
        registry.apply(OTHER, &name(), LEASE, vec![status(true, 0)]);
        tokio::time::advance(Duration::from_secs(5)).await;
        registry.apply(ServerId(3), &name(), LEASE, vec![status(false, 6)]);
        assert!(registry.list()[0].connected);
        registry.apply(ServerId(3), &name(), LEASE, vec![status(true, 4)]);
        let affinity = registry.affinity(&["pdf".into()], |_| 0).unwrap();
        assert_eq!(affinity.slots["pdf"], [(3, 3)].into());
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_is_taken_also_by_who_is_connected_elsewhere() {
        let registry = Registry::new(LEASE);
        registry.apply(OTHER, &name(), LEASE, vec![status(true, 0)]);
        assert!(matches!(connect(&registry, "mallory"), Err(crate::error::Error::WorkerIdTaken(_))));
        assert!(registry.drained_elsewhere(&WorkerId::new("w")).is_some());
        tokio::time::advance(LEASE + Duration::from_millis(1)).await;
        assert!(connect(&registry, "mallory").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_drained_elsewhere_stays_so() {
        let (registry, worker) = (Registry::new(LEASE), WorkerId::new("w"));
        registry.apply(OTHER, &name(), LEASE, vec![WorkerStatus { drained: true, ..status(true, 0) }]);
        registry.drain_if_here(&worker, false);
        assert_eq!(registry.drained_elsewhere(&worker), Some(true), "its server is asked");
        tokio::time::advance(LEASE * 2).await;
        registry.remove_expired();
        assert!(!registry.list()[0].connected);
        registry.drain_if_here(&worker, false);
        assert_eq!(registry.drained_elsewhere(&worker), Some(false), "its server is gone");
        registry.drain_if_here(&worker, true);
        let session = connect(&registry, "worker").unwrap();
        assert!(registry.statuses()[0].drained);
        assert!(registry.set_drained(&session.worker, false) && !registry.statuses()[0].drained);
    }
}
