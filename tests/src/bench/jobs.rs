//! No-op jobs: submitted one by one, done and heard of, at the same time.

use std::time::Instant;

use tokio::task::JoinSet;

use super::cpu::Used;
use super::load::{Ends, Way, Workers, owners, submit_all, submits};
use super::{Options, Row, server};

/// Submits under way at a time.
const IN_FLIGHT: usize = 100;
/// Slots of all workers together.
const SLOTS: u32 = 256;

/// Who submits and who works.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    pub owners: usize,
    pub workers: usize,
    pub way: Way,
}

pub async fn measure(options: &Options, mix: Mix) -> anyhow::Result<Row> {
    let Mix { owners: count, workers, way } = mix;
    let mut row = Row::new(format!(
        "jobs: {} no-op jobs, {IN_FLIGHT} submits in flight {way}, {count} owner(s), {workers} worker(s)",
        options.jobs
    ));
    for _ in 0..options.rounds {
        let up = server(options, 0).await?;
        let running = Workers::start(&up, workers, SLOTS / u32::try_from(workers)?)?;
        let clients = owners(&up, count).await?;
        let mut watches = JoinSet::new();
        for client in &clients {
            watches.spawn(Ends::watch(client).await?.count(options.jobs / count));
        }
        let submits = submits(&clients, way).await?;
        let (begun, used) = (Instant::now(), Used::now(&up)?);
        submit_all(&submits, options.jobs, IN_FLIGHT).await?;
        while let Some(heard) = watches.join_next().await {
            heard??;
        }
        let (seconds, (server, load)) = (begun.elapsed().as_secs_f64(), Used::since(used, &up)?);
        running.stop().await?;
        #[allow(clippy::cast_precision_loss, reason = "small counts")]
        let jobs = options.jobs as f64;
        row.add("jobs/s", jobs / seconds);
        row.add("jobs per CPU s of all", jobs / (server + load));
        row.add("server CPU µs/job", server / jobs * 1e6);
        row.add("load CPU µs/job", load / jobs * 1e6);
    }
    Ok(row)
}
