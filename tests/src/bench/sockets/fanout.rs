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
        match at_a_rate(options, browsers, &mut steady).await {
            Ok(mut bench) => match bench.most(FIRST, options.sockets.step()).await {
                Ok(most) => add_most(&mut fast, &most),
                Err(error) => fast.note_error(Err(error)),
            },
            Err(error) => {
                fast.note_error(Err(anyhow::anyhow!("{error:#}")));
                steady.note_error(Err(error));
            }
        }
    }
    Ok(vec![fast, steady])
}

async fn at_a_rate(options: &Options, browsers: usize, row: &mut Row) -> anyhow::Result<Bench> {
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
    Ok(bench)
}
