//! Browsers that come and go, many times over: memory has to come back.

use std::time::{Duration, Instant};

use crate::bench::sockets::courant::Arrangement;
use crate::bench::sockets::grouped;
use crate::bench::sockets::step::Bench;
use crate::bench::sockets::target::{Kind, Target};
use crate::bench::{Options, Row};

/// Topics that they follow, and how many are there at a time.
const TOPICS: usize = 100;
const AT_ONCE: usize = 1_000;
/// From the last disconnect to a reading of memory.
const SETTLE: Duration = Duration::from_secs(5);

pub async fn measure(options: &Options) -> anyhow::Result<Row> {
    let count = options.sockets.churn;
    let mut row = Row::new(format!("growth: {} connects and disconnects, {TOPICS} topics", grouped(count)));
    for _ in 0..options.rounds {
        let ended = round(options, count, &mut row).await;
        row.note_error(ended);
    }
    Ok(row)
}

async fn round(options: &Options, count: usize, row: &mut Row) -> anyhow::Result<()> {
    let target = Target::start(options, TOPICS, Kind::Job, Arrangement::Joint).await?;
    let processes = target.processes.clone();
    let mut bench = Bench::open(target, 0).await?;
    // So often before the first reading that what is there once is there.
    for _ in 0..3 {
        come_and_go(&mut bench, AT_ONCE).await?;
    }
    tokio::time::sleep(SETTLE).await;
    let before = processes.memory()?.rss;
    let begun = Instant::now();
    let mut left = count;
    while left > 0 {
        let now = left.min(AT_ONCE);
        come_and_go(&mut bench, now).await?;
        left -= now;
    }
    row.add("connects and disconnects/s", count as f64 / begun.elapsed().as_secs_f64());
    tokio::time::sleep(SETTLE).await;
    let after = processes.memory()?.rss;
    row.add("RSS MiB before", before / f64::from(1 << 20));
    row.add("RSS MiB after", after / f64::from(1 << 20));
    row.add("RSS bytes kept/connect", (after - before) / count as f64);
    Ok(())
}

async fn come_and_go(bench: &mut Bench, count: usize) -> anyhow::Result<()> {
    bench.clients.open(&bench.target.topics, count).await?;
    bench.clients.ensure_open()?;
    bench.clients.close(count);
    Ok(())
}
