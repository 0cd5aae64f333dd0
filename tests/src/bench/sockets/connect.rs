//! What it costs to come: the handshake, a token (HS256), a subscription, and the snapshot of a job.

use super::courant::Arrangement;
use super::step::Bench;
use super::target::{Kind, Target};
use super::topics::named;
use super::usage::Used;
use super::{add_cores, grouped};
use crate::bench::{Options, Row};

/// Connections before those that are measured.
const FIRST: usize = 64;

pub async fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let mut cases = vec![(Kind::Job, false), (Kind::Job, true)];
    if options.sockets.peer.is_none() {
        cases.push((Kind::Document, true));
    }
    let mut rows = Vec::new();
    for (kind, own) in cases {
        let whose = if own { "each to a topic of its own" } else { "all to one topic" };
        let name = named("connect", options.sockets.peer, kind);
        let count = grouped(options.sockets.connects);
        let mut row = Row::new(format!("{name}: {count} browsers come, {whose}, 64 at a time"));
        for _ in 0..options.rounds {
            let ended = round(options, kind, own, &mut row).await;
            row.note_error(ended);
        }
        rows.push(row);
    }
    Ok(rows)
}

async fn round(options: &Options, kind: Kind, own: bool, row: &mut Row) -> anyhow::Result<()> {
    let connects = options.sockets.connects;
    let topics = if own { connects + FIRST } else { 1 };
    let target = Target::start(options, topics, kind, Arrangement::Joint).await?;
    let mut bench = Bench::open(target, FIRST).await?;
    let processes = bench.target.processes.clone();
    let used = Used::now(&processes)?;
    let opened = bench.clients.open(&bench.target.topics, connects).await?;
    let (cpu, cores) = (used.server_since(&processes)?, used.since(&processes)?);
    bench.clients.ensure_open()?;
    row.add("server CPU µs/connect", cpu / connects as f64 * 1e6);
    row.add("connects/s", connects as f64 / opened.time.as_secs_f64());
    row.add("p50 ms", opened.each.milliseconds(500));
    row.add("p99 ms", opened.each.milliseconds(990));
    add_cores(row, cores);
    Ok(())
}
