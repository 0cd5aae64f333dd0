//! More and more browsers, of one topic or with a topic of its own each.

use std::time::Duration;

use super::sizes;
use crate::bench::sockets::courant::Arrangement;
use crate::bench::sockets::step::Bench;
use crate::bench::sockets::target::{Kind, Target};
use crate::bench::sockets::usage::{Memory, Used};
use crate::bench::sockets::{add_cores, grouped};
use crate::bench::{Options, Row};

/// Deliveries per second at every size, for what each costs: with one topic, and with many, where each costs more.
const SHARED: f64 = 20_000.0;
const OWN: f64 = 4_000.0;
/// Messages per second of one topic: the fewest, and the most, since what a job reports faster is merged.
const SLOWEST: f64 = 2.0;
const FASTEST: f64 = 50.0;
/// From the last submit or connect to a reading of memory.
const SETTLE: Duration = Duration::from_secs(2);

pub async fn measure(options: &Options, own: bool) -> anyhow::Result<Vec<Row>> {
    let sizes = sizes(10, options.sockets.most);
    let mut rows: Vec<Row> = sizes
        .iter()
        .map(|size| match (own, grouped(*size)) {
            (false, size) => Row::new(format!("growth: {size} connections, one topic")),
            (true, size) => Row::new(format!("growth: {size} topics, one connection each")),
        })
        .collect();
    for _ in 0..options.rounds {
        let mut reached = 0;
        let ended = round(options, own, &sizes, &mut rows, &mut reached).await;
        if let Some(row) = rows.get_mut(reached) {
            row.note_error(ended);
        }
    }
    Ok(rows)
}

/// One system through all sizes; `reached` is the size it is at.
async fn round(
    options: &Options,
    own: bool,
    sizes: &[usize],
    rows: &mut [Row],
    reached: &mut usize,
) -> anyhow::Result<()> {
    let most = sizes.last().copied().unwrap_or_default();
    let mut target = Target::start(options, if own { most } else { 1 }, Kind::Job, Arrangement::Joint).await?;
    let topics = std::mem::take(&mut target.topics);
    let processes = target.processes.clone();
    tokio::time::sleep(SETTLE).await;
    let before = processes.memory()?;
    let mut bench = Bench::open(target, 0).await?;
    for (size, row) in sizes.iter().zip(rows) {
        let new = size - bench.clients.count();
        // The first topics, so that those are followed which are published to.
        let range = if own { bench.clients.count()..*size } else { 0..1 };
        let used = Used::now(&processes)?;
        bench.clients.open(&topics[range], new).await?;
        let connecting = used.server_since(&processes)?;
        tokio::time::sleep(SETTLE).await;
        let after = processes.memory()?;
        bench.target.topics = if own { topics[..*size].to_vec() } else { topics.clone() };
        let rate = if own { OWN.min(FASTEST * *size as f64) } else { (SHARED / *size as f64).clamp(SLOWEST, FASTEST) };
        let used = Used::now(&processes)?;
        let (step, first) = (options.sockets.step(), bench.clients.delivered());
        let step = bench.step(bench.target.topics.len(), rate, step).await?;
        let delivering = used.server_since(&processes)?;
        bench.clients.ensure_open()?;
        row.add("CPU µs/connect", connecting / new as f64 * 1e6);
        add_memory(row, before, after, *size);
        row.add("CPU µs/delivery", delivering / (bench.clients.delivered() - first).max(1) as f64 * 1e6);
        row.add("p99 ms", step.latency.milliseconds(990));
        row.add("delivered, %", step.share * 100.0);
        add_cores(row, step.cores);
        *reached += 1;
    }
    Ok(())
}

fn add_memory(row: &mut Row, before: Memory, after: Memory, size: usize) {
    row.add("RSS bytes/connection", (after.rss - before.rss) / size as f64);
}
