//! Many connections at once, in one process and on one thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use parking_lot::Mutex;
use tokio::task::{JoinHandle, JoinSet};

use super::connection::Connection;
use super::endpoint::{Endpoint, Greeting};
use super::histogram::Histogram;
use super::recorder::{Recorder, Shared};

/// Connections that are being opened at a time.
const AT_ONCE: usize = 64;

/// The connections of a measurement. Dropping them closes all.
pub struct Clients {
    end: Arc<Endpoint>,
    pub shared: Shared,
    reading: Vec<JoinHandle<()>>,
}

/// How opening went.
#[derive(Debug, Default)]
pub struct Opened {
    pub time: Duration,
    /// From the first packet until ready, of each.
    pub each: Histogram,
}

impl Clients {
    pub fn new(end: Endpoint) -> Self {
        let shared = Recorder::shared(end.several_in_a_frame);
        Self { end: Arc::new(end), shared, reading: Vec::new() }
    }

    pub fn count(&self) -> usize {
        self.reading.len()
    }

    /// Opens so many more, which follow the topics in turn.
    pub async fn open(&mut self, topics: &[Greeting], count: usize) -> anyhow::Result<Opened> {
        let (next, first) = (Arc::new(AtomicUsize::new(0)), self.reading.len());
        let opened = Arc::new(Mutex::new((Histogram::default(), Vec::new())));
        let topics: Arc<[Greeting]> = topics.into();
        let begun = Instant::now();
        let mut openers = JoinSet::new();
        for _ in 0..AT_ONCE.min(count) {
            let (end, shared, topics) = (self.end.clone(), self.shared.clone(), topics.clone());
            let (next, opened) = (next.clone(), opened.clone());
            openers.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return Ok(());
                    }
                    let number = first + number;
                    let begun = Instant::now();
                    let connection = Connection::open(&end, &topics[number % topics.len()], number, &shared).await?;
                    let (each, reading) = &mut *opened.lock();
                    each.add_duration(begun.elapsed());
                    reading.push(tokio::spawn(read(connection, end.clone(), shared.clone())));
                }
            });
        }
        while let Some(ended) = openers.join_next().await {
            let ended: anyhow::Result<()> = ended?;
            if let Err(error) = ended {
                let ready = opened.lock().1.len();
                bail!("{ready} of {count} connections opened, then one did not: {error:#}");
            }
        }
        let (each, mut reading) = std::mem::take(&mut *opened.lock());
        self.reading.append(&mut reading);
        Ok(Opened { time: begun.elapsed(), each })
    }

    /// Closes so many at once, the newest first.
    pub fn close(&mut self, count: usize) {
        let kept = self.reading.len().saturating_sub(count);
        self.reading.drain(kept..).for_each(|reading| reading.abort());
    }

    /// An error if the server closed any.
    pub fn ensure_open(&self) -> anyhow::Result<()> {
        let recorder = self.shared.lock();
        if recorder.closed > 0 {
            let reasons = recorder.reasons.join("; ");
            bail!("the server closed {} of {} connections: {reasons}", recorder.closed, self.reading.len());
        }
        Ok(())
    }

    pub fn delivered(&self) -> u64 {
        self.shared.lock().delivered
    }
}

async fn read(mut connection: Connection, end: Arc<Endpoint>, shared: Shared) {
    let reason = connection.until_closed(&end, &shared).await;
    shared.lock().closed(reason);
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.close(self.reading.len());
    }
}
