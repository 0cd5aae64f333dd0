//! One job at a time on an idle system.

use std::time::Instant;

use super::load::{Ends, Workers, owners, submit};
use super::{Options, Row, server};

const SAMPLES: usize = 300;

pub async fn measure(options: &Options) -> anyhow::Result<Row> {
    let mut row = Row::new(format!("single: one job alone, submit until its end is heard, {SAMPLES} samples"));
    for _ in 0..options.rounds {
        let up = server(options, 0).await?;
        let workers = Workers::start(&up, 1, 8)?;
        let clients = owners(&up, 1).await?;
        let mut ends = Ends::watch(&clients[0]).await?;
        let mut taken = Vec::new();
        for _ in 0..SAMPLES {
            let begun = Instant::now();
            let job = submit(&clients[0]).await?;
            while ends.next().await? != job {}
            taken.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        workers.stop().await?;
        taken.sort_by(f64::total_cmp);
        row.add("p50 ms", taken[SAMPLES / 2]);
        row.add("p99 ms", taken[SAMPLES * 99 / 100]);
    }
    Ok(row)
}
