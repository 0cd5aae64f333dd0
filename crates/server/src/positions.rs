//! Once a second: which workers are connected, and the positions of the waiting jobs that somebody follows.

use std::sync::Arc;

use courant_engine::engine::SentPositions;
use courant_engine::estimate::WorkerCapacity;
use courant_engine::view::View;
use tokio::time::{Duration, MissedTickBehavior};

use crate::services::Services;
use crate::worker::registry::{Registry, WorkerSummary};

/// The least time between two positions sent of a job.
const EVERY: Duration = Duration::from_secs(1);

/// Sends positions for ever.
pub async fn run(services: Arc<Services>, registry: Arc<Registry>) {
    let mut ticks = tokio::time::interval(EVERY);
    // A round that took long is followed by a whole pause.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = SentPositions::default();
    loop {
        ticks.tick().await;
        services.engine.update_capacities(|view| worker_capacities(&registry.list(), view));
        services.engine.send_positions(&mut sent, services.config.watch_positions).await;
    }
}

/// Those who take jobs now.
pub fn worker_capacities(workers: &[WorkerSummary], view: &View) -> Vec<WorkerCapacity> {
    let takers = workers.iter().filter(|worker| worker.connected && !worker.drained);
    let capacity = |worker: &WorkerSummary| WorkerCapacity {
        worker: worker.worker.clone(),
        kinds: worker.capabilities.kinds.clone(),
        slots: worker.capabilities.slots,
        held: view.held_count(&worker.worker),
    };
    takers.map(capacity).collect()
}
