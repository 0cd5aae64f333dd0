//! What a worker counts of itself, and how it shows that to operators.
//!
//! Written by the worker alone. Several workers of one program may share one: then their numbers are added up.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use courant_monitoring::{Endpoint, Monitor, Samples, beat};
use courant_runtime::ListenError;
use courant_runtime::stats::{Counter, Histogram, WAITS};
use tokio::time::Instant;

use crate::attempt::Stop;
use crate::config::Config;
use crate::status::{Status, StatusBoard};
use crate::{Outcome, TaskError};

/// Counts what a worker does. Cloning shares.
#[derive(Clone, Debug, Default)]
pub struct WorkerMetrics(Arc<Counts>);

/// How an attempt ended, as it is counted.
const OUTCOMES: [&str; 4] = ["succeeded", "failed", "cancelled", "released"];

#[derive(Debug)]
struct Counts {
    slots: AtomicI64,
    busy: AtomicI64,
    connected: AtomicI64,
    streams_lost: Counter,
    jobs: [Counter; OUTCOMES.len()],
    parts: Counter,
    took: Histogram,
}

impl Default for Counts {
    fn default() -> Self {
        let number = || AtomicI64::new(0);
        Self {
            slots: number(),
            busy: number(),
            connected: number(),
            streams_lost: Counter::default(),
            jobs: Default::default(),
            parts: Counter::default(),
            took: Histogram::of_seconds(WAITS),
        }
    }
}

impl WorkerMetrics {
    /// Shows them, from now on, with what else a program shows.
    pub fn register(&self, monitor: &Monitor) {
        let counts = self.0.clone();
        monitor.add(move |samples| counts.write(samples));
    }

    /// Slots that a worker has, until this is dropped.
    pub(crate) fn slots(&self, slots: u32) -> Held {
        self.hold(slots.into(), |counts| &counts.slots)
    }

    /// The worker has a stream to the server, until this is dropped.
    pub(crate) fn connected(&self) -> Held {
        self.hold(1, |counts| &counts.connected)
    }

    /// A stream was lost, or could not be opened.
    pub(crate) fn stream_lost(&self) {
        self.0.streams_lost.inc();
    }

    /// Something takes a slot, until this is dropped.
    pub(crate) fn busy(&self) -> Held {
        self.hold(1, |counts| &counts.busy)
    }

    /// An attempt ended, or a part of one.
    pub(crate) fn ended(&self, result: &Result<Outcome, TaskError>, stop: Option<Stop>, is_part: bool, took: Duration) {
        if is_part {
            return self.0.parts.inc();
        }
        let outcome = match (stop, result) {
            (Some(Stop::Cancelled), _) => 2,
            (Some(Stop::Lost | Stop::Released), Err(_)) => 3,
            (_, Ok(_)) => 0,
            (_, Err(_)) => 1,
        };
        self.0.jobs[outcome].inc();
        self.0.took.observe(took);
    }

    fn hold(&self, number: i64, of: fn(&Counts) -> &AtomicI64) -> Held {
        of(&self.0).fetch_add(number, Ordering::Relaxed);
        Held { counts: self.0.clone(), number, of, since: Instant::now() }
    }
}

/// Counts until it is dropped.
pub(crate) struct Held {
    counts: Arc<Counts>,
    number: i64,
    of: fn(&Counts) -> &AtomicI64,
    since: Instant,
}

impl Held {
    pub(crate) fn lasted(&self) -> Duration {
        self.since.elapsed()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        (self.of)(&self.counts).fetch_sub(self.number, Ordering::Relaxed);
    }
}

impl Counts {
    fn write(&self, samples: &mut Samples<'_>) -> fmt::Result {
        let now = |number: &AtomicI64| number.load(Ordering::Relaxed) as f64;
        samples.gauge(
            "courant_worker_connections",
            "Streams to the server, one for each worker.",
            now(&self.connected),
        )?;
        samples.gauge("courant_worker_own_slots", "Jobs that this program takes at once.", now(&self.slots))?;
        samples.gauge("courant_worker_own_slots_busy", "Jobs, and parts of jobs, under way here.", now(&self.busy))?;
        let rows = OUTCOMES.iter().zip(&self.jobs).map(|(outcome, count)| ([*outcome], count.get()));
        let help =
            "Attempts at jobs that ended here, by outcome; released ones were handed back or are another worker's.";
        samples.counters("courant_worker_jobs", help, ["outcome"], rows)?;
        samples.counter("courant_worker_parts", "Parts of other workers' jobs that ended here.", self.parts.get())?;
        let help = "How long attempts at jobs took here.";
        samples.histogram("courant_worker_job_duration_seconds", help, &self.took)?;
        let help = "Streams to the server that were lost or not to be had.";
        samples.counter("courant_worker_streams_lost", help, self.streams_lost.get())
    }
}

/// Follows how a worker stands with its server, for readiness probes, and shows that its runtime goes on. Does not end.
pub async fn follow_status(status: StatusBoard, monitor: Monitor) {
    let mut status = status.watch();
    let pulse = monitor.probes().pulse("worker-runtime", STUCK_AFTER);
    monitor.probes().set_started();
    let following = async {
        loop {
            let problem = problem(*status.borrow_and_update());
            monitor.probes().set("server", problem);
            if status.changed().await.is_err() {
                // The board is ours too.
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::join!(following, beat(pulse));
}

/// How long the runtime of a worker may stand still before only a restart helps.
const STUCK_AFTER: Duration = Duration::from_secs(60);

fn problem(status: Status) -> Option<&'static str> {
    match status {
        Status::Serving => None,
        Status::Disconnected => Some("not connected to the server"),
        Status::Draining => Some("drained: nothing new comes"),
        Status::Stopping => Some("stopping"),
    }
}

/// Answers on the address of the configuration, for workers that show nothing else.
pub(crate) async fn serve(config: &Config, address: SocketAddr) -> Result<(Endpoint, Monitor), ListenError> {
    let monitor = Monitor::new("courant-worker", env!("CARGO_PKG_VERSION"));
    config.metrics.register(&monitor);
    Ok((monitor.serve(address).await?, monitor))
}
