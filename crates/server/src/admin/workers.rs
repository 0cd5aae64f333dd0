//! The workers as operators see them.

use std::collections::HashMap;

use courant_engine::view::CurrentJob;
use courant_joblog::ids::{Timestamp, WorkerId};
use courant_proto::v1;
use tokio::time::Duration;

use crate::convert;
use crate::services::Services;
use crate::worker::registry::{Registry, WorkerSummary};

/// All workers and what they hold, by id.
pub fn list(services: &Services, registry: &Registry) -> Vec<v1::Worker> {
    let listed = registry.list();
    let (mut held, parts) = (held(services), registry.parts.all_counts());
    let now = Timestamp::now();
    let form = |worker: WorkerSummary| {
        let jobs = held.remove(&worker.worker).unwrap_or_default();
        let parts = parts.get(&worker.worker).copied().unwrap_or(0);
        v1::Worker { parts: parts as i32, ..form(services, worker, jobs, now) }
    };
    listed.into_iter().map(form).collect()
}

/// One worker, if it is known.
pub fn find(services: &Services, registry: &Registry, worker: &str) -> Option<v1::Worker> {
    list(services, registry).into_iter().find(|known| known.worker_id == worker)
}

/// Whether two lists are the same. A newer `last_seen_time` alone is no change.
#[allow(clippy::ptr_arg, reason = "it compares states, which are vectors here")]
pub fn same(before: &Vec<v1::Worker>, after: &Vec<v1::Worker>) -> bool {
    let last_seen_apart =
        |a: &v1::Worker, b: &v1::Worker| v1::Worker { last_seen_time: b.last_seen_time, ..a.clone() } == *b;
    before.len() == after.len() && before.iter().zip(after).all(|(a, b)| last_seen_apart(a, b))
}

fn held(services: &Services) -> HashMap<WorkerId, Vec<v1::WorkerJob>> {
    let mut held: HashMap<WorkerId, Vec<v1::WorkerJob>> = HashMap::new();
    services.engine.read(|view| {
        for current in view.held() {
            if let Some(worker) = &current.job.worker {
                held.entry(worker.clone()).or_default().push(job(current));
            }
        }
    });
    held
}

fn job(current: &CurrentJob) -> v1::WorkerJob {
    v1::WorkerJob {
        job_id: current.job.id.to_string(),
        attempt: current.job.attempt as i32,
        percent: current.progress().percent,
        start_time: current.job.attempt_started.map(convert::time),
    }
}

fn form(services: &Services, worker: WorkerSummary, jobs: Vec<v1::WorkerJob>, now: Timestamp) -> v1::Worker {
    let speed = services.engine.projection(&services.projections.metrics, |metrics, _| metrics.speed(&worker.worker));
    v1::Worker {
        worker_id: worker.worker.to_string(),
        software: worker.capabilities.software.to_string(),
        kinds: worker.capabilities.kinds.iter().map(ToString::to_string).collect(),
        slots: worker.capabilities.slots as i32,
        connected: worker.connected,
        draining: worker.drained,
        last_seen_time: Some(convert::time(now.plus_ms(-(worker.silence.as_millis() as i64)))),
        jobs,
        page_duration: speed.map(|speed| convert::duration(Duration::from_secs_f64(speed.ms_per_page / 1000.0))),
        pages_done: speed.map_or(0, |speed| speed.pages as i64),
        parts: 0,
        server: worker.server.to_string(),
    }
}
