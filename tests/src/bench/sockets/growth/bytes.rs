//! Larger and larger messages to the browsers of one topic.

use std::time::{Duration, Instant};

use crate::bench::sockets::courant::Arrangement;
use crate::bench::sockets::grouped;
use crate::bench::sockets::step::Bench;
use crate::bench::sockets::target::{Kind, Target};
use crate::bench::sockets::usage::Used;
use crate::bench::{Options, Row};

const BROWSERS: usize = 100;
/// Between two reports.
const EVERY: Duration = Duration::from_millis(100);
/// Zones of a page, each about 1 kB; none: progress, the smallest message there is.
const ZONES: [Option<usize>; 4] = [None, Some(1), Some(10), Some(100)];

pub async fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for zones in ZONES {
        let what = match zones {
            None => "progress".to_owned(),
            Some(zones) => format!("a page with {} zone(s) of 1 kB", grouped(zones)),
        };
        let mut row = Row::new(format!("growth: each report is {what}, {BROWSERS} browsers of one topic"));
        for _ in 0..options.rounds {
            let ended = round(options, zones, &mut row).await;
            row.note_error(ended);
        }
        rows.push(row);
    }
    Ok(rows)
}

async fn round(options: &Options, zones: Option<usize>, row: &mut Row) -> anyhow::Result<()> {
    let target = Target::start(options, 1, Kind::Job, Arrangement::Joint).await?;
    let mut bench = Bench::open(target, BROWSERS).await?;
    if zones.is_some() {
        bench.target.ingress()?.plan(0).await?;
    }
    let processes = bench.target.processes.clone();
    let (begun, used) = (Instant::now(), Used::now(&processes)?);
    let (first, bytes) = (bench.clients.delivered(), bench.clients.shared.lock().bytes);
    bench.clients.shared.lock().begin_timing();
    let mut ticks = tokio::time::interval(EVERY);
    let mut sent = 0_usize;
    while begun.elapsed() < options.sockets.step() {
        ticks.tick().await;
        let ingress = bench.target.ingress()?;
        match zones {
            None => ingress.progress(0).await?,
            Some(zones) => ingress.page(0, zones).await?,
        }
        sent += 1;
    }
    bench.drained().await;
    let latency = bench.clients.shared.lock().end_timing();
    let cpu = used.server_since(&processes)?;
    bench.clients.ensure_open()?;
    let delivered = (bench.clients.delivered() - first).max(1) as f64;
    let bytes = (bench.clients.shared.lock().bytes - bytes) as f64;
    row.add("bytes/report", bytes / delivered);
    row.add("CPU µs/delivery", cpu / delivered * 1e6);
    row.add("CPU µs/kB", cpu / bytes * 1e9);
    row.add("p50 ms", latency.milliseconds(500));
    row.add("p99 ms", latency.milliseconds(990));
    row.add("delivered, %", delivered / (sent * BROWSERS) as f64 * 100.0);
    Ok(())
}
