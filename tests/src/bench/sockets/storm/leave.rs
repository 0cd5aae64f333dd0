//! Half of all browsers leave at once: what do those notice that stay?

use std::time::Duration;

use crate::bench::sockets::clients::Clients;
use crate::bench::sockets::courant::Arrangement;
use crate::bench::sockets::grouped;
use crate::bench::sockets::target::{Kind, Target};
use crate::bench::{Options, Row};

/// Deliveries per second to those that stay.
const RATE: f64 = 2_000.0;
/// How long is measured before they leave, and from then on.
const WINDOW: Duration = Duration::from_secs(1);

pub async fn measure(options: &Options, own: bool) -> anyhow::Result<Row> {
    let count = options.sockets.connections;
    let whose = if own { "each with a topic of its own" } else { "all with one topic" };
    let mut row = Row::new(format!("storm: {0} of 2 × {0} browsers, {whose}, leave at once", grouped(count)));
    for _ in 0..options.rounds {
        let ended = round(options, count, own, &mut row).await;
        row.note_error(ended);
    }
    Ok(row)
}

#[allow(clippy::cast_precision_loss, reason = "small counts")]
async fn round(options: &Options, count: usize, own: bool, row: &mut Row) -> anyhow::Result<()> {
    let topics = if own { 2 * count } else { 1 };
    let mut target = Target::start(options, topics, Kind::Job, Arrangement::Joint).await?;
    let (mut stay, mut leave) = (Clients::new(target.end.clone()), Clients::new(target.end.clone()));
    let (first, second) = if own { target.topics.split_at(count) } else { (&target.topics[..], &target.topics[..]) };
    stay.open(first, count).await?;
    leave.open(second, count).await?;
    // With one topic, each message goes to all.
    let (published, per_second) = if own { (count, RATE) } else { (1, RATE / count as f64) };
    let publishing = target.publisher.run(published, per_second, 4 * WINDOW);
    let watching = async {
        tokio::time::sleep(WINDOW).await;
        let before = window(&stay).await;
        leave.close(count);
        let after = window(&stay).await;
        anyhow::Ok((before, after))
    };
    let (_, (before, after)) = tokio::try_join!(publishing, watching)?;
    stay.ensure_open()?;
    row.add("p99 ms before", before.0);
    row.add("p99 ms as they leave", after.0);
    row.add("longest ms before", before.1);
    row.add("longest ms as they leave", after.1);
    row.add("deliveries/s as they leave", after.2);
    Ok(())
}

/// p99, the longest, and deliveries per second.
#[allow(clippy::cast_precision_loss, reason = "small counts")]
async fn window(clients: &Clients) -> (f64, f64, f64) {
    clients.shared.lock().begin_timing();
    tokio::time::sleep(WINDOW).await;
    let latency = clients.shared.lock().end_timing();
    let delivered = latency.count() as f64 / WINDOW.as_secs_f64();
    (latency.milliseconds(990), latency.milliseconds(1000), delivered)
}
