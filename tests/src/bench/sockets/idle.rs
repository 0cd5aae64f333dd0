//! What a connection takes in memory that has signed in, follows a topic and hears nothing.

use std::time::Duration;

use super::courant::Arrangement;
use super::grouped;
use super::step::Bench;
use super::target::{Kind, Target};
use crate::bench::{Options, Row};

/// Connections before the first reading, so that what is there once is not counted.
const FIRST: usize = 64;
/// From the last connect to a reading: what connecting takes for a while is gone by then.
const SETTLE: Duration = Duration::from_secs(3);

pub async fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let arrangements: &[_] = match options.sockets.peer {
        None => &[(Arrangement::Split, " of courant-bridge"), (Arrangement::Joint, " of courant up")],
        Some(_) => &[(Arrangement::Joint, "")],
    };
    let mut rows = Vec::new();
    for (arrangement, of) in arrangements {
        for own in [false, true] {
            let whose = if own { "a topic of its own" } else { "one topic" };
            let count = grouped(options.sockets.idle_connections);
            let mut row = Row::new(format!("idle: {count} connections{of}, subscribed to {whose}"));
            for _ in 0..options.rounds {
                let ended = round(options, *arrangement, own, &mut row).await;
                row.note_error(ended);
            }
            rows.push(row);
        }
    }
    Ok(rows)
}

async fn round(options: &Options, arrangement: Arrangement, own: bool, row: &mut Row) -> anyhow::Result<()> {
    let connections = options.sockets.idle_connections;
    let topics = if own { connections + FIRST } else { 1 };
    let target = Target::start(options, topics, Kind::Job, arrangement).await?;
    let (bridge, server) = match arrangement {
        Arrangement::Joint => (target.processes.clone(), None),
        Arrangement::Split => (target.processes.only("bridge"), Some(target.processes.only("server"))),
    };
    let mut bench = Bench::open(target, FIRST).await?;
    tokio::time::sleep(SETTLE).await;
    let before = bridge.memory()?;
    let before_server = server.as_ref().map(|server| server.memory()).transpose()?;
    bench.clients.open(&bench.target.topics, connections).await?;
    tokio::time::sleep(SETTLE).await;
    bench.clients.ensure_open()?;
    let after = bridge.memory()?;
    let each = |before: f64, after: f64| (after - before) / connections as f64;
    row.add("RSS bytes/connection", each(before.rss, after.rss));
    row.add("PSS bytes/connection", each(before.pss, after.pss));
    if let Some((server, before)) = server.zip(before_server) {
        row.add("RSS bytes/connection of the server", each(before.rss, server.memory()?.rss));
    }
    row.add("RSS MiB before", before.rss / f64::from(1 << 20));
    Ok(())
}
