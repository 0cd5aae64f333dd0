//! One browser of a topic does not read: what do the others notice?

use crate::bench::sockets::connection::Connection;
use crate::bench::sockets::courant::Arrangement;
use crate::bench::sockets::endpoint::Endpoint;
use crate::bench::sockets::grouped;
use crate::bench::sockets::recorder::Recorder;
use crate::bench::sockets::step::Bench;
use crate::bench::sockets::target::{Kind, Target};
use crate::bench::{Options, Row};

/// Messages per second: as many as let the kernel's buffers of the one that does not read fill up in a step.
const RATE: f64 = 50.0;
/// Bytes that the kernel takes for it.
const BUFFER: u32 = 4096;

pub async fn measure(options: &Options) -> anyhow::Result<Row> {
    let count = options.sockets.connections;
    let mut row = Row::new(format!("storm: one of {} browsers of a topic does not read", grouped(count)));
    for _ in 0..options.rounds {
        let ended = round(options, count, &mut row).await;
        row.note_error(ended);
    }
    Ok(row)
}

async fn round(options: &Options, count: usize, row: &mut Row) -> anyhow::Result<()> {
    let target = Target::start(options, 1, Kind::Job, Arrangement::Joint).await?;
    let end = Endpoint { receive_buffer: Some(BUFFER), ..target.end.clone() };
    let mut bench = Bench::open(target, count.saturating_sub(1)).await?;
    let time = 5 * options.sockets.step();
    let without = bench.step(1, RATE, time).await?;
    // It is never polled, so nothing of it is read.
    let _stuck = Connection::open(&end, &bench.target.topics[0], 0, &Recorder::shared(false)).await?;
    let with = bench.step(1, RATE, time).await?;
    bench.clients.ensure_open()?;
    row.add("p99 ms without it", without.latency.milliseconds(990));
    row.add("p99 ms with it", with.latency.milliseconds(990));
    row.add("delivered to the others, %", with.share * 100.0);
    row.add("foreign CPU, cores", with.cores.foreign);
    Ok(())
}
