//! Many topics with one browser each, from the worker's report to the browser.

use super::courant::Arrangement;
use super::peers::Peer;
use super::step::{Bench, Most};
use super::target::{Kind, Target};
use super::{add_cores, grouped};
use crate::bench::{Options, Row};

/// Deliveries per second that the search begins with.
const FIRST: f64 = 4_000.0;

pub async fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let topics = options.sockets.connections;
    let mut rows = Vec::new();
    for kind in Kind::of(options.sockets.peer) {
        let name = named("topics", options.sockets.peer, *kind);
        let mut row = Row::new(format!("{name}: {} topics with one browser each, as fast as it goes", grouped(topics)));
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
    add_most(row, &bench.most(FIRST, options.sockets.step()).await?);
    Ok(())
}

/// The name of a row's group, with the kind of topic where there are several.
pub fn named(group: &str, peer: Option<Peer>, kind: Kind) -> String {
    if peer.is_none() { format!("{group} ({})", kind.name()) } else { group.to_owned() }
}

pub fn add_most(row: &mut Row, most: &Most) {
    row.add("deliveries/s, most", most.plateau.delivered);
    row.add("deliveries per server CPU s", most.plateau.per_server_second);
    row.add("deliveries/s with p99 < 50 ms", most.carried);
    row.add("at twice the rate, deliveries/s", most.overloaded.delivered);
    row.add("at twice the rate, taken in/s", most.overloaded.taken_in);
    row.add("connections that the server closed", most.closed as f64);
    add_cores(row, most.plateau.cores);
}
