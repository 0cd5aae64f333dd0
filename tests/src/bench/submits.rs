//! Submits alone.

use std::time::Instant;

use super::cpu::Used;
use super::load::{Submits, Way, owners, submit_all};
use super::{Options, Row, server};

const CLIENTS: usize = 32;

pub async fn measure(options: &Options, way: Way) -> anyhow::Result<Row> {
    let mut row = Row::new(format!("submits: {} documents of 1 KiB {way}, {CLIENTS} clients", options.jobs));
    for _ in 0..options.rounds {
        let up = server(options, 0).await?;
        let clients = owners(&up, 1).await?;
        let mut submits = Vec::new();
        for _ in 0..CLIENTS {
            submits.push(Submits::open(&clients[0], way).await?);
        }
        let (begun, used) = (Instant::now(), Used::now(&up)?);
        submit_all(&submits, options.jobs, CLIENTS).await?;
        let (seconds, (server, _)) = (begun.elapsed().as_secs_f64(), Used::since(used, &up)?);
        #[allow(clippy::cast_precision_loss, reason = "small counts")]
        let jobs = options.jobs as f64;
        row.add("submits/s", jobs / seconds);
        row.add("server CPU µs/submit", server / jobs * 1e6);
    }
    Ok(row)
}
