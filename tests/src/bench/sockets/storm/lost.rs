//! All browsers lose the bridge at once, come back as the protocol tells them to, and resume.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::bench::sockets::connection::Connection;
use crate::bench::sockets::courant::Arrangement;
use crate::bench::sockets::endpoint::{Endpoint, Greeting};
use crate::bench::sockets::grouped;
use crate::bench::sockets::recorder::{Recorder, Shared};
use crate::bench::sockets::target::{Kind, Target};
use crate::bench::sockets::usage::Used;
use crate::bench::{Options, Row};

/// Connections that are opened at a time before the storm.
const AT_ONCE: usize = 64;
/// The longest until all browsers are there at first, and until all are back.
const COMING: Duration = Duration::from_secs(120);
/// The longest wait before a browser tries again, the first time and at most, in seconds; how long it really waits is random.
const FIRST_WAIT: f64 = 1.0;
const LONGEST_WAIT: f64 = 30.0;

/// What all browsers together have seen.
#[derive(Default)]
struct Seen {
    there: AtomicUsize,
    back: AtomicUsize,
    resumed: AtomicUsize,
    /// Attempts that failed though the bridge was there again.
    refused: AtomicUsize,
    /// Since when it is there again.
    listening: Mutex<Option<Instant>>,
    /// Why the first connection before the storm failed, and the newest after it.
    trouble: Mutex<Option<String>>,
}

pub async fn measure(options: &Options, own: bool) -> anyhow::Result<Row> {
    let count = options.sockets.storm_connections;
    let whose = if own { "a topic of its own each" } else { "one topic" };
    let mut row = Row::new(format!("storm: {} browsers with {whose} lose the bridge at once", grouped(count)));
    for _ in 0..options.rounds {
        let ended = round(options, count, own, &mut row).await;
        row.note_error(ended);
    }
    Ok(row)
}

async fn round(options: &Options, count: usize, own: bool, row: &mut Row) -> anyhow::Result<()> {
    let mut target = Target::start(options, if own { count } else { 1 }, Kind::Job, Arrangement::Split).await?;
    let end = Arc::new(Endpoint { cursors: true, ..target.end.clone() });
    let (shared, seen) = (Recorder::shared(false), Arc::new(Seen::default()));
    let mut browsers = JoinSet::new();
    let permits = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    for number in 0..count {
        let greeting = target.topics[number % target.topics.len()].clone();
        let (end, shared, seen, permits) = (end.clone(), shared.clone(), seen.clone(), permits.clone());
        browsers.spawn(async move {
            let permit = permits.acquire().await;
            let opened = Connection::open(&end, &greeting, number, &shared).await;
            drop(permit);
            browse(opened, &end, &greeting, number, &shared, &seen).await;
        });
    }
    reach(&seen.there, count, "there", &seen).await?;
    let (server, bridge) = (target.processes.only("server"), target.as_courant()?);
    let used = Used::now(&server)?;
    bridge.kill_bridge().await?;
    let killed = Instant::now();
    bridge.start_bridge().await?;
    let listening = Instant::now();
    *seen.listening.lock() = Some(listening);
    reach(&seen.back, count, "back", &seen).await?;
    let back = Instant::now();
    let (cpu, cores) = (used.server_since(&server)?, used.since(&server)?);
    let bridge_cpu = bridge.processes().only("bridge").seconds()?;
    row.add("all back after the kill, s", (back - killed).as_secs_f64());
    row.add("all back after the bridge listens, s", (back - listening).as_secs_f64());
    row.add("server CPU, s", cpu);
    row.add("server CPU, cores", cores.server);
    row.add("bridge CPU, s", bridge_cpu);
    row.add("refused attempts", seen.refused.load(Ordering::Relaxed) as f64);
    row.add("resumed, %", seen.resumed.load(Ordering::Relaxed) as f64 / count as f64 * 100.0);
    row.add("load CPU, cores", cores.load);
    if let Some(reason) = seen.trouble.lock().take() {
        row.note(format!("refused, for example: {reason}"));
    }
    Ok(())
}

/// A browser: there, without the bridge, back.
async fn browse(
    opened: anyhow::Result<Connection>,
    end: &Endpoint,
    greeting: &Greeting,
    number: usize,
    shared: &Shared,
    seen: &Seen,
) {
    let mut connection = match opened {
        Ok(connection) => connection,
        Err(error) => {
            seen.trouble.lock().get_or_insert_with(|| format!("{error:#}"));
            return;
        }
    };
    seen.there.fetch_add(1, Ordering::Relaxed);
    let reason = connection.until_closed(end, shared).await;
    if seen.listening.lock().is_some() {
        *seen.trouble.lock() = Some(reason);
    }
    let resuming = after(greeting, connection.cursor.as_deref());
    drop(connection);
    let mut most = FIRST_WAIT;
    loop {
        tokio::time::sleep(Duration::from_secs_f64(fastrand::f64() * most)).await;
        most = (most * 2.0).min(LONGEST_WAIT);
        let tried = Instant::now();
        match Connection::open(end, &resuming, number, shared).await {
            Ok(mut back) => {
                seen.resumed.fetch_add(usize::from(back.resumed), Ordering::Relaxed);
                seen.back.fetch_add(1, Ordering::Relaxed);
                back.until_closed(end, shared).await;
                return;
            }
            Err(error) => {
                if seen.listening.lock().is_some_and(|listening| tried > listening) {
                    seen.refused.fetch_add(1, Ordering::Relaxed);
                    *seen.trouble.lock() = Some(format!("{error:#}"));
                }
            }
        }
    }
}

/// The same greeting, from a cursor on.
fn after(greeting: &Greeting, cursor: Option<&str>) -> Greeting {
    let Some(cursor) = cursor else { return greeting.clone() };
    let resuming = format!("\"after\":\"{cursor}\"");
    let messages = greeting.messages.iter().map(|message| message.replace("\"after\":null", &resuming));
    Greeting { path: greeting.path.clone(), messages: messages.collect() }
}

async fn reach(counted: &AtomicUsize, count: usize, what: &str, seen: &Seen) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let reached = counted.load(Ordering::Relaxed);
        if reached == count {
            return Ok(());
        }
        let trouble = || seen.trouble.lock().clone().unwrap_or_else(|| "no reason".to_owned());
        ensure!(begun.elapsed() < COMING, "after {COMING:?} {reached} of {count} are {what}: {}", trouble());
        if seen.listening.lock().is_none() && seen.trouble.lock().is_some() {
            bail!("{reached} of {count} connections opened, then one did not: {}", trouble());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
