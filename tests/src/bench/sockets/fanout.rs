//! One topic with many browsers.

use super::courant::Arrangement;
use super::step::Bench;
use super::target::{Kind, Target};
use super::topics::add_most;
use super::{add_cores, grouped};
use crate::bench::{Options, Row};

/// Deliveries per second that the search begins with.
const FIRST: f64 = 20_000.0;
/// Messages per second of the row with a fixed rate.
const RATE: f64 = 100.0;

/// Jobs behind the topic when it goes as fast as it can: of one job a newer message takes the place of one that waits, which is right
/// for browsers and would hide how many a bridge can write.
const JOBS: usize = 64;

pub async fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let browsers = options.sockets.connections;
    let name = format!("fanout: one topic, {} browsers", grouped(browsers));
    let mut fast = Row::new(format!("{name}, as fast as it goes"));
    let mut steady = Row::new(format!("{name}, {RATE} messages per second"));
    for _ in 0..options.rounds {
        let result = as_fast_as_it_goes(options, browsers, &mut fast).await;
        fast.note_error(result);
        let result = at_a_rate(options, browsers, &mut steady).await;
        steady.note_error(result);
    }
    Ok(vec![fast, steady])
}

async fn as_fast_as_it_goes(options: &Options, browsers: usize, row: &mut Row) -> anyhow::Result<()> {
    let mut bench = Bench::open(Target::single(options, JOBS).await?, browsers).await?;
    add_most(row, &bench.most(FIRST, options.sockets.step()).await?);
    Ok(())
}

async fn at_a_rate(options: &Options, browsers: usize, row: &mut Row) -> anyhow::Result<()> {
    let target = Target::start(options, 1, Kind::Job, Arrangement::Joint).await?;
    let mut bench = Bench::open(target, browsers).await?;
    let step = bench.step(1, RATE, 2 * options.sockets.step()).await?;
    bench.clients.ensure_open()?;
    row.add("p50 ms", step.latency.milliseconds(500));
    row.add("p99 ms", step.latency.milliseconds(990));
    row.add("server CPU, cores", step.cores.server);
    row.add("deliveries/s", step.delivered);
    row.add("delivered, %", step.share * 100.0);
    add_cores(row, step.cores);
    Ok(())
}
