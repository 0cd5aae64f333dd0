//! What it costs that every server follows the whole log: one server takes submits, the others only follow.

use std::time::Instant;

use courant_natslog::testing::{Cluster, Sync};

use super::cpu::seconds;
use super::load::{Submits, Way, submit_all};
use super::servers::start_servers;
use super::{Options, Row};
use crate::server::Shared;

/// How many servers, and on how many NATS servers each entry is kept.
const MIXES: [(usize, usize); 6] = [(1, 1), (8, 1), (1, 3), (2, 3), (4, 3), (8, 3)];
/// Submits under way at a time.
const IN_FLIGHT: usize = 256;
/// Connections that submit.
const CLIENTS: usize = 8;

pub async fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (servers, replicas) in MIXES {
        let mut row = Row::new(format!(
            "followers: {} submits at one of {servers} server(s), {replicas} NATS server(s) that sync each write",
            options.jobs
        ));
        for _ in 0..options.rounds {
            round(options, servers, replicas, &mut row).await?;
        }
        rows.push(row);
    }
    Ok(rows)
}

#[allow(clippy::cast_precision_loss, reason = "small counts")]
async fn round(options: &Options, count: usize, replicas: usize, row: &mut Row) -> anyhow::Result<()> {
    let nats = if replicas == 1 { Cluster::single(Sync::Always) } else { Cluster::three(Sync::Always) };
    let shared = Shared::new()?;
    let servers = start_servers(&nats, &shared, count).await?;
    let mut submits = Vec::new();
    for _ in 0..CLIENTS {
        submits.push(Submits::open(&servers[0].jobs("owner").await?, Way::Stream).await?);
    }
    let used = || -> anyhow::Result<(Vec<f64>, f64)> {
        let of_servers = servers.iter().map(|server| seconds(&server.process()?.to_string()));
        let of_nats = nats.nodes.iter().filter_map(|node| node.process()).map(|pid| seconds(&pid.to_string()));
        Ok((of_servers.collect::<anyhow::Result<_>>()?, of_nats.sum::<anyhow::Result<f64>>()?))
    };
    let (begun, (before, nats_before)) = (Instant::now(), used()?);
    submit_all(&submits, options.jobs, IN_FLIGHT).await?;
    let took = begun.elapsed().as_secs_f64();
    // All have followed to the end when each knows the newest job.
    let last = submits[0].submit().await?;
    for server in &servers {
        server.jobs("owner").await?.get(&last).await?;
    }
    let (after, nats_after) = used()?;
    let micros = |seconds: f64| seconds / options.jobs as f64 * 1e6;
    row.add("submits/s", options.jobs as f64 / took);
    row.add("CPU µs a submit: the server that takes it", micros(after[0] - before[0]));
    if count > 1 {
        let following: f64 = after[1..].iter().zip(&before[1..]).map(|(after, before)| after - before).sum();
        row.add("of each that follows", micros(following / (count - 1) as f64));
    }
    row.add("of all NATS servers", micros(nats_after - nats_before));
    Ok(())
}
