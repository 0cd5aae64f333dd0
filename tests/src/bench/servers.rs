//! Several servers on one log on NATS, each with a worker: jobs that wait are shared out among them.

use std::time::Instant;

use courant_natslog::testing::{Cluster, Sync};
use courant_proto::v1::GetSystemMetricsRequest;

use super::load::{Ends, Submits, Way, Workers, owners, submit_all, submits};
use super::{Options, Row, flags};
use crate::Up;
use crate::server::{Server, Shared};

/// How many servers, and on how many NATS servers each entry is kept.
const MIXES: [(usize, usize); 8] = [(1, 1), (2, 1), (4, 1), (8, 1), (1, 3), (2, 3), (4, 3), (8, 3)];
/// Submits under way at a time.
const IN_FLIGHT: usize = 100;
/// Slots of all workers together.
const SLOTS: usize = 64;

pub async fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let mut rows = vec![embedded(options).await?];
    for (servers, replicas) in MIXES {
        let mut row = Row::new(format!(
            "servers: {} no-op jobs that wait, {servers} server(s) with a worker each, {replicas} NATS server(s) that sync each write",
            options.jobs
        ));
        for _ in 0..options.rounds {
            round(options, servers, replicas, &mut row).await?;
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The same with the log in a folder.
#[allow(clippy::cast_precision_loss, reason = "small counts")]
async fn embedded(options: &Options) -> anyhow::Result<Row> {
    let mut row = Row::new(format!("servers: {} no-op jobs that wait, `courant up` with a worker", options.jobs));
    for _ in 0..options.rounds {
        let own = ["--workers", "0", "--log", "warn"];
        let flags: Vec<&str> = own.iter().chain(flags::SERVER).chain(flags::BRIDGE).copied().collect();
        let up = Up::with(&flags).await?;
        let owner = owners(&up, 1).await?;
        let begun = Instant::now();
        submit_all(&submits(&owner, Way::Stream).await?, options.jobs, IN_FLIGHT).await?;
        row.add("submits/s", options.jobs as f64 / begun.elapsed().as_secs_f64());
        let ends = Ends::watch(&owner[0]).await?;
        let begun = Instant::now();
        let workers = Workers::start(&up, 1, u32::try_from(SLOTS)?)?;
        ends.count(options.jobs).await?;
        row.add("jobs/s", options.jobs as f64 / begun.elapsed().as_secs_f64());
        workers.stop().await?;
    }
    Ok(row)
}

#[allow(clippy::cast_precision_loss, reason = "small counts")]
async fn round(options: &Options, count: usize, replicas: usize, row: &mut Row) -> anyhow::Result<()> {
    let nats = if replicas == 1 { Cluster::single(Sync::Always) } else { Cluster::three(Sync::Always) };
    let shared = Shared::new()?;
    let (servers, mut submits) = (start_servers(&nats, &shared, count).await?, Vec::new());
    for server in &servers {
        submits.push(Submits::open(&server.jobs("owner").await?, Way::Stream).await?);
    }
    let begun = Instant::now();
    submit_all(&submits, options.jobs, IN_FLIGHT).await?;
    row.add("submits/s", options.jobs as f64 / begun.elapsed().as_secs_f64());
    let ends = Ends::watch(&servers[0].jobs("owner").await?).await?;
    let begun = Instant::now();
    let workers = Workers::at(&servers, &shared, u32::try_from(SLOTS / count)?)?;
    ends.count(options.jobs).await?;
    row.add("jobs/s", options.jobs as f64 / begun.elapsed().as_secs_f64());
    workers.stop().await?;
    let (mut made, mut lost) = (0, 0);
    for server in &servers {
        let mut admin = server.admin("root").await?;
        let metrics = admin.get_system_metrics(GetSystemMetricsRequest {}).await?.into_inner().metrics;
        let metrics = metrics.unwrap_or_default();
        made += metrics.claims;
        lost += metrics.claims_lost;
    }
    row.add("claims", made as f64);
    row.add("claims lost %", lost as f64 / made.max(1) as f64 * 100.0);
    Ok(())
}

/// So many servers on this log, each with a name and a folder of its own.
pub(super) async fn start_servers(nats: &Cluster, shared: &Shared, count: usize) -> anyhow::Result<Vec<Server>> {
    let mut servers = Vec::new();
    for number in 0..count {
        let name = format!("server-{number}");
        let own = ["--server-name", &name];
        let flags: Vec<&str> = own.iter().chain(flags::SERVER).copied().collect();
        servers.push(Server::start(nats, shared, &name, &flags).await?);
    }
    Ok(servers)
}
