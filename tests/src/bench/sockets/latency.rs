//! A rate that a service may have, over many topics with one browser each.

use super::courant::Arrangement;
use super::step::Bench;
use super::target::{Kind, Target};
use super::topics::named;
use super::{add_cores, grouped};
use crate::bench::{Options, Row};

/// Messages per second of each browser.
const EACH: usize = 10;

pub async fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let topics = options.sockets.connections;
    let rate = EACH * topics;
    let mut rows = Vec::new();
    for kind in Kind::of(options.sockets.peer) {
        let name = named("latency", options.sockets.peer, *kind);
        let (rate_text, topics_text) = (grouped(rate), grouped(topics));
        let mut row = Row::new(format!(
            "{name}: {rate_text} messages per second over {topics_text} topics with one browser each"
        ));
        for _ in 0..options.rounds {
            let ended = round(options, topics, *kind, &mut row).await;
            row.note_error(ended);
        }
        rows.push(row);
    }
    Ok(rows)
}

async fn round(options: &Options, topics: usize, kind: Kind, row: &mut Row) -> anyhow::Result<()> {
    let target = Target::start(options, topics, kind, Arrangement::Joint).await?;
    let mut bench = Bench::open(target, topics).await?;
    let step = bench.step(topics, (EACH * topics) as f64, 3 * options.sockets.step()).await?;
    bench.clients.ensure_open()?;
    row.add("p50 ms", step.latency.milliseconds(500));
    row.add("p99 ms", step.latency.milliseconds(990));
    row.add("server CPU, cores", step.cores.server);
    row.add("delivered, %", step.share * 100.0);
    add_cores(row, step.cores);
    Ok(())
}
