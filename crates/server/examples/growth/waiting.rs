//! Waiting jobs: what it costs to add one, to know its position, to give it to a worker and to cancel it.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use courant_joblog::ids::JobId;
use courant_server::services::Services;

use super::measure::{Stopwatch, bytes_each, quickest_us, resident};
use super::report::Row;
use super::service::{TIMES, cancel, claim, each, open, owner, submit};

const OWNERS: usize = 1_000;

pub async fn row(folder: &Path, size: usize) -> anyhow::Result<Row> {
    let mut row = Row::default();
    let services = open(folder).await?;
    let empty = resident()?;
    let ids = each(0..size, |number| submit(&services, number, owner(number % OWNERS))).await?;
    row.add("bytes a job", bytes_each(empty, resident()?, size));
    operations(&mut row, &services, &ids, OWNERS).await?;
    services.close().await;
    let watch = Stopwatch::start();
    open(folder).await?;
    row.add("start, µs a job", watch.stop().clock_us(size));
    Ok(row)
}

/// As many go as come: about as many wait at the end as at the beginning.
pub async fn operations(row: &mut Row, services: &Arc<Services>, ids: &[JobId], owners: usize) -> anyhow::Result<()> {
    let mut random = fastrand::Rng::with_seed(1);
    let position = quickest_us(TIMES, async || {
        (0..TIMES).for_each(|_| drop(black_box(services.engine.get(&ids[random.usize(..ids.len())]))));
        Ok(())
    });
    row.add("position, µs", position.await?);

    let watch = Stopwatch::start();
    let new = each(0..TIMES, |number| submit(services, number, owner(number % owners))).await?;
    row.add("submit, µs", watch.stop().processor_us(TIMES));

    let watch = Stopwatch::start();
    each(0..TIMES / 2, |number| cancel(services, &new[number * 2])).await?;
    row.add("cancel, µs", watch.stop().processor_us(TIMES / 2));

    let watch = Stopwatch::start();
    each(0..TIMES / 2, |number| claim(services, number)).await?;
    row.add("claim, µs", watch.stop().processor_us(TIMES / 2));
    Ok(())
}
