//! More and more jobs of one user, all of them watched by one connection.

use super::sizes;
use crate::bench::sockets::courant::Arrangement;
use crate::bench::sockets::step::Bench;
use crate::bench::sockets::target::Target;
use crate::bench::sockets::{add_cores, grouped};
use crate::bench::{Options, Row};

/// The most jobs; a user has no more unfinished ones.
const MOST: usize = 10_000;
/// Messages per second of all jobs, and the most of one: what one reports faster is merged.
const RATE: f64 = 1_000.0;
const EACH: f64 = 50.0;

pub async fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for jobs in sizes(1, options.sockets.most.min(MOST)) {
        let mut row = Row::new(format!("growth: {} jobs, watched by one connection", grouped(jobs)));
        for _ in 0..options.rounds {
            let ended = round(options, jobs, &mut row).await;
            row.note_error(ended);
        }
        rows.push(row);
    }
    Ok(rows)
}

async fn round(options: &Options, jobs: usize, row: &mut Row) -> anyhow::Result<()> {
    let target = Target::mine(options, jobs, Arrangement::Joint).await?;
    let mut bench = Bench::open(target, 0).await?;
    let opened = bench.clients.open(&bench.target.topics, 1).await?;
    let rate = RATE.min(EACH * jobs as f64);
    let step = bench.step(jobs, rate, options.sockets.step()).await?;
    bench.clients.ensure_open()?;
    row.add("snapshots of all, ms", opened.each.milliseconds(1000));
    row.add("CPU µs/delivery", 1e6 / step.per_server_second);
    row.add("p99 ms", step.latency.milliseconds(990));
    row.add("delivered, %", step.share * 100.0);
    add_cores(row, step.cores);
    Ok(())
}
