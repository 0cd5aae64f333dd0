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

pub async fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let browsers = options.sockets.connections;
    let name = format!("fanout: one topic, {} browsers", grouped(browsers));
    let mut fast = Row::new(format!("{name}, as fast as it goes"));
    let mut steady = Row::new(format!("{name}, {RATE} messages per second"));
    for _ in 0..options.rounds {
        let ended = round(options, browsers, &mut fast, &mut steady).await;
        steady.note_error(ended);
    }
    Ok(vec![fast, steady])
}

async fn round(options: &Options, browsers: usize, fast: &mut Row, steady: &mut Row) -> anyhow::Result<()> {
    let target = Target::start(options, 1, Kind::Job, Arrangement::Joint).await?;
    let mut bench = Bench::open(target, browsers).await?;
    let time = options.sockets.step();
    let step = bench.step(1, RATE, 2 * time).await?;
    bench.clients.ensure_open()?;
    steady.add("p50 ms", step.latency.milliseconds(500));
    steady.add("p99 ms", step.latency.milliseconds(990));
    steady.add("server CPU, cores", step.cores.server);
    steady.add("deliveries/s", step.delivered);
    steady.add("delivered, %", step.share * 100.0);
    add_cores(steady, step.cores);
    add_most(fast, &bench.most(FIRST, time).await?);
    Ok(())
}
