//! One job at a time on an idle system.

use std::time::Instant;

use super::load::{Ends, Submits, Way, Workers, owners};
use super::{Options, Row, server};

const SAMPLES: usize = 300;

pub async fn measure(options: &Options, way: Way) -> anyhow::Result<Row> {
    let mut row =
        Row::new(format!("single: one job alone, submitted {way}, until its end is heard, {SAMPLES} samples"));
    for _ in 0..options.rounds {
        let up = server(options, 0).await?;
        let workers = Workers::start(&up, 1, 8)?;
        let clients = owners(&up, 1).await?;
        let mut ends = Ends::watch(&clients[0]).await?;
        let submits = Submits::open(&clients[0], way).await?;
        let mut taken = Vec::new();
        for _ in 0..SAMPLES {
            let begun = Instant::now();
            let job = submits.submit().await?;
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
