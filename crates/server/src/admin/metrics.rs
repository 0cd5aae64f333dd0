//! The figures of the server and its work.

use std::sync::atomic::Ordering;

use courant_engine::view::View;
use courant_joblog::ids::Timestamp;
use courant_joblog::job::State;
use courant_proto::v1;
use tokio::time::Duration;

use super::machine::ProcessSampler;
use super::workers;
use crate::convert;
use crate::services::Services;
use crate::worker::registry::Registry;

/// The states in the order of a job's life.
const STATES: [State; 6] =
    [State::Queued, State::Running, State::Cancelling, State::Succeeded, State::Failed, State::Cancelled];

/// The figures as they are now.
pub fn take(services: &Services, registry: &Registry, machine: &ProcessSampler) -> v1::SystemMetrics {
    let (now, usage) = (Timestamp::now(), machine.usage());
    let workers = workers::list(services, registry);
    let connected = || workers.iter().filter(|worker| worker.connected);
    let held: usize = services.engine.read(|view| view.held().count());
    let moment = services.engine.read(View::now);
    let (since, ended, job_ms, hour, jobs) = services.engine.projection(&services.projections.metrics, |figures, _| {
        let jobs = STATES.map(|state| (state, figures.jobs(state)));
        (figures.since, figures.ended, figures.job_ms, figures.last_hour(moment), jobs)
    });
    v1::SystemMetrics {
        sample_time: Some(convert::time(now)),
        start_time: Some(convert::time(since)),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        workers_total: connected().count() as i32,
        workers_active: connected().filter(|worker| !worker.jobs.is_empty()).count() as i32,
        slots_total: registry.slots() as i32,
        slots_used: held as i32,
        memory_bytes: usage.memory_bytes as i64,
        cpu_percent: usage.cpu_percent,
        load_average: usage.load_average,
        jobs_succeeded: ended.succeeded as i64,
        jobs_failed: ended.failed as i64,
        jobs_cancelled: ended.cancelled as i64,
        average_duration: job_ms.map(|ms| convert::duration(Duration::from_secs_f64(ms / 1000.0))),
        error_rate: hour.error_rate(),
        throughput_per_hour: hour.ended() as i64,
        pages_per_hour: hour.pages as i64,
        jobs: jobs.into_iter().map(|(state, jobs)| count(state, jobs)).collect(),
        watchers: services.engine.watchers() as i32,
        log_revision: services.engine.read(|view| view.revision()).0 as i64,
        claims: registry.claims.made.load(Ordering::Relaxed) as i64,
        claims_lost: registry.claims.lost.load(Ordering::Relaxed) as i64,
    }
}

fn count(state: State, jobs: u64) -> v1::JobStateCount {
    v1::JobStateCount { state: convert::state(state).into(), jobs: jobs as i64 }
}
