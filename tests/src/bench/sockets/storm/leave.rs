//! Half of all browsers leave at once: what do those notice that stay?

use std::time::{Duration, Instant};

use crate::bench::sockets::clients::Clients;
use crate::bench::sockets::courant::Arrangement;
use crate::bench::sockets::endpoint::{Endpoint, Greeting};
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

async fn round(options: &Options, count: usize, own: bool, row: &mut Row) -> anyhow::Result<()> {
    let topics = if own { 2 * count } else { 1 };
    let mut target = Target::start(options, topics, Kind::Job, Arrangement::Joint).await?;
    let mut stay = Clients::new(target.end.clone());
    let (first, second) = if own { target.topics.split_at(count) } else { (&target.topics[..], &target.topics[..]) };
    stay.open(first, count).await?;
    let leave = Leavers::open(target.end.clone(), second.to_vec(), count).await?;
    // With one topic, each message goes to all.
    let (published, per_second) = if own { (count, RATE) } else { (1, RATE / count as f64) };
    let publishing = target.publisher.run(published, per_second, 4 * WINDOW);
    let watching = async {
        tokio::time::sleep(WINDOW).await;
        let before = window(&stay).await;
        leave.close();
        anyhow::Ok((before, window(&stay).await))
    };
    let (_, (before, after)) = tokio::try_join!(publishing, watching)?;
    stay.ensure_open()?;
    row.add("p99 ms before", before.p99);
    row.add("p99 ms as they leave", after.p99);
    row.add("longest ms before", before.longest);
    row.add("longest ms as they leave", after.longest);
    row.add("longest ms that the load stood still", after.stall);
    row.add("deliveries/s as they leave", after.delivered);
    Ok(())
}

/// Browsers on a thread of their own: closing a thousand connections takes a while, in which the others must be read.
struct Leavers {
    close: tokio::sync::oneshot::Sender<()>,
}

impl Leavers {
    async fn open(end: Endpoint, topics: Vec<Greeting>, count: usize) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (close, closing) = tokio::sync::oneshot::channel();
        let (opened, open) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            runtime.block_on(async {
                let mut clients = Clients::new(end);
                let opening = clients.open(&topics, count).await;
                // Whoever waits for either may have given up; then there is nothing left to do.
                let _ = opened.send(opening.map(drop));
                let _ = closing.await;
            });
        });
        open.await??;
        Ok(Self { close })
    }

    fn close(self) {
        let _ = self.close.send(());
    }
}

/// What those notice that stay.
struct Window {
    p99: f64,
    longest: f64,
    delivered: f64,
    /// The longest that this thread came too late to do something, in milliseconds: of what is measured, so much is its own.
    stall: f64,
}

async fn window(clients: &Clients) -> Window {
    const TICK: Duration = Duration::from_millis(1);
    clients.shared.lock().begin_timing();
    let (begun, mut stall) = (Instant::now(), Duration::ZERO);
    while begun.elapsed() < WINDOW {
        let before = Instant::now();
        tokio::time::sleep(TICK).await;
        stall = stall.max(before.elapsed().saturating_sub(TICK));
    }
    let latency = clients.shared.lock().end_timing();
    Window {
        p99: latency.milliseconds(990),
        longest: latency.milliseconds(1000),
        delivered: latency.count() as f64 / begun.elapsed().as_secs_f64(),
        stall: stall.as_secs_f64() * 1e3,
    }
}
