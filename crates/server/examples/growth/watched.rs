//! Watched waiting jobs, each of an owner of its own: what a round of positions costs, and an event.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use courant_engine::engine::SentPositions;
use courant_engine::hub::Scope;
use courant_engine::hub::watch_queue::{Received, WatchQueue};
use courant_server::services::Services;

use super::measure::{Stopwatch, bytes_each, resident};
use super::report::Row;
use super::service::{TIMES, cancel, claim, each, open, owner, submit};

/// Positions sent to a watch over many jobs, as the server does by default.
const LIMIT: usize = 1000;
const ROUNDS: usize = 5;

pub async fn row(folder: &Path, size: usize) -> anyhow::Result<Row> {
    let mut row = Row::default();
    let services = open(folder).await?;
    // Those that are taken during the rounds, first.
    each(0..ROUNDS, |number| submit(&services, number, owner(number))).await?;
    let ids = each(0..size, |number| submit(&services, number, owner(number + ROUNDS))).await?;
    let before = resident()?;
    let queues: Vec<_> = ids
        .iter()
        .map(|id| {
            let queue = Arc::new(WatchQueue::new(services.config.watch_buffer, Duration::ZERO));
            services.engine.join(Scope::job(id.clone()), &queue);
            queue
        })
        .collect();
    let mut sent = SentPositions::default();
    let watch = Stopwatch::start();
    services.engine.send_positions(&mut sent, LIMIT).await;
    row.add("first round, µs a watch", watch.stop().clock_us(size));
    let watch = Stopwatch::start();
    for _ in 0..ROUNDS {
        services.engine.send_positions(&mut sent, LIMIT).await;
    }
    row.add("idle round, µs in all", watch.stop().clock_us(ROUNDS));
    row.add("round after a claim, µs a watch", after_claims(&services, &mut sent, size).await?);
    row.add("bytes a watch", bytes_each(before, resident()?, size));
    for queue in &queues {
        queue.clear();
    }
    let events = size.min(TIMES);
    let watch = Stopwatch::start();
    each(0..events, |number| cancel(&services, &ids[number])).await?;
    for queue in &queues[..events] {
        let Received::Messages(messages) = queue.next().await else { anyhow::bail!("it fell behind") };
        ensure!(!messages.is_empty(), "a watcher hears of its job");
    }
    row.add("cancel with its event, µs", watch.stop().processor_us(events));
    Ok(row)
}

async fn after_claims(services: &Services, sent: &mut SentPositions, size: usize) -> anyhow::Result<f64> {
    let mut spent = 0.0;
    for number in 0..ROUNDS {
        claim(services, number).await?;
        let watch = Stopwatch::start();
        services.engine.send_positions(sent, LIMIT).await;
        spent += watch.stop().clock_us(size);
    }
    Ok(spent / ROUNDS as f64)
}
