//! `courant queue`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use courant_bridge::wire::names;
use courant_proto::v1::{GetQueueRequest, Queue, QueueLane, WatchQueueRequest, WatchQueueResponse};
use prost_types::Duration as Span;
use serde::Serialize;
use tonic::Streaming;

use crate::args;
use crate::connect::{QueueClient, connect_queue};
use crate::failure::{Failure, passes};
use crate::out;

/// The service repeats the queue every 25 s by default; a stream silent for this long is dead.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
const MIN_BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
const KIND_WIDTH: usize = 12;

/// Prints the queue, once or whenever it changes.
pub async fn run(args: args::Queue) -> Result<ExitCode, Failure> {
    if args.watch {
        return follow(&args).await;
    }
    let mut client = connect_queue(&args.connection, &[]).await?;
    let queue = client.get_queue(GetQueueRequest {}).await?.into_inner().queue;
    print(&queue.ok_or(Failure::Incomplete("the queue"))?, args.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Follows the queue over broken connections until it is interrupted.
async fn follow(args: &args::Queue) -> Result<ExitCode, Failure> {
    let (mut last_message, mut wait) = (Instant::now(), MIN_BACKOFF);
    loop {
        let before = last_message;
        let cause = match follow_once(args, &mut last_message).await {
            Ok(()) => "the stream ended".to_owned(),
            Err(StreamError::Connection(cause)) => cause,
            Err(StreamError::Everything(failure)) => return Err(failure),
        };
        let give_up_after = args.give_up_after;
        if last_message.elapsed() > give_up_after {
            return Err(Failure::GaveUp(humantime::format_duration(give_up_after)));
        }
        eprintln!("connection lost ({cause}), connecting again");
        wait = if last_message == before { (wait * 2).min(MAX_BACKOFF) } else { MIN_BACKOFF };
        tokio::time::sleep(wait).await;
    }
}

/// Why the stream ended.
enum StreamError {
    Connection(String),
    /// Nothing to be done.
    Everything(Failure),
}

impl From<Failure> for StreamError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreachable { .. } | Failure::NotRunning(_) => Self::Connection(failure.to_string()),
            other => Self::Everything(other),
        }
    }
}

impl From<tonic::Status> for StreamError {
    fn from(status: tonic::Status) -> Self {
        if passes(&status) { Self::Connection(status.message().to_owned()) } else { Self::Everything(status.into()) }
    }
}

async fn follow_once(args: &args::Queue, last_message: &mut Instant) -> Result<(), StreamError> {
    let mut client: QueueClient = connect_queue(&args.connection, &[]).await?;
    let min_interval = Span::try_from(args.min_interval).ok();
    let mut stream = client.watch_queue(WatchQueueRequest { min_interval }).await?.into_inner();
    let mut shown = None;
    while let Some(WatchQueueResponse { queue }) = next(&mut stream).await? {
        *last_message = Instant::now();
        // The same again is a sign of life and no news.
        let Some(queue) = queue.filter(|queue| shown.as_ref() != Some(queue)) else { continue };
        print(&queue, args.json)?;
        shown = Some(queue);
    }
    Ok(())
}

async fn next(stream: &mut Streaming<WatchQueueResponse>) -> Result<Option<WatchQueueResponse>, tonic::Status> {
    match tokio::time::timeout(IDLE_TIMEOUT, stream.message()).await {
        Ok(message) => message,
        Err(_) => Err(tonic::Status::unavailable("the service sends nothing any more")),
    }
}

fn print(queue: &Queue, json: bool) -> Result<(), Failure> {
    if json {
        return out::line(serde_json::to_string(&QueueJson::from(queue))?);
    }
    out::line(table(queue))
}

/// The queue for people.
fn table(queue: &Queue) -> String {
    let header = format!(
        "{:<KIND_WIDTH$}  {:<7}  {:>7}  {:>7}  {:>6}  {:>8}  {:>9}  {:<22}  {:>5}",
        "KIND", "LANE", "WAITING", "DELAYED", "ACTIVE", "PAGES", "AVG WAIT", "ESTIMATED WAIT", "SHARE"
    );
    let mut lines = vec![header];
    lines.extend(queue.lanes.iter().map(row));
    lines.push(format!(
        "{} of {} workers busy, {} of {} slots in use",
        queue.workers_active, queue.workers_total, queue.slots_used, queue.slots_total
    ));
    if !queue.unserved_kinds.is_empty() {
        lines.push(format!("no worker for: {}; start one", queue.unserved_kinds.join(", ")));
    }
    lines.join("\n")
}

fn row(lane: &QueueLane) -> String {
    let usually = lane.average_wait.map_or("-".to_owned(), span_text);
    let band = lane.estimated_wait_band.and_then(|band| Some((span_text(band.low?), span_text(band.high?))));
    let wait = match (lane.estimated_wait.map(span_text), band) {
        (Some(wait), Some((low, high))) if low != high => format!("{wait} ({low} to {high})"),
        (Some(wait), _) => wait,
        (None, _) => "-".to_owned(),
    };
    format!(
        "{:<KIND_WIDTH$}  {:<7}  {:>7}  {:>7}  {:>6}  {:>8}  {:>9}  {:<22}  {:>4.0}%",
        lane.kind,
        names::lane(lane.lane()),
        lane.waiting,
        lane.delayed,
        lane.active,
        lane.pages_waiting,
        usually,
        wait,
        lane.share * 100.0
    )
}

/// A span in two units at most, whole seconds.
fn span_text(span: Span) -> String {
    let seconds = u64::try_from(span.seconds).unwrap_or(0);
    let seconds = if seconds > 3600 { seconds / 60 * 60 } else { seconds };
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

/// The queue for programs, with the words of the browser protocol; times are seconds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueueJson<'a> {
    lanes: Vec<LaneJson<'a>>,
    workers_total: i32,
    workers_active: i32,
    slots_total: i32,
    slots_used: i32,
    unserved_kinds: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LaneJson<'a> {
    kind: &'a str,
    lane: &'static str,
    waiting: i32,
    delayed: i32,
    active: i32,
    pages_waiting: i64,
    average_wait: Option<f64>,
    oldest_wait: Option<f64>,
    estimated_wait: Option<f64>,
    estimated_wait_low: Option<f64>,
    estimated_wait_high: Option<f64>,
    share: f64,
}

impl<'a> From<&'a Queue> for QueueJson<'a> {
    fn from(queue: &'a Queue) -> Self {
        Self {
            lanes: queue.lanes.iter().map(LaneJson::from).collect(),
            workers_total: queue.workers_total,
            workers_active: queue.workers_active,
            slots_total: queue.slots_total,
            slots_used: queue.slots_used,
            unserved_kinds: &queue.unserved_kinds,
        }
    }
}

impl<'a> From<&'a QueueLane> for LaneJson<'a> {
    fn from(lane: &'a QueueLane) -> Self {
        let band = lane.estimated_wait_band.unwrap_or_default();
        Self {
            kind: &lane.kind,
            lane: names::lane(lane.lane()),
            waiting: lane.waiting,
            delayed: lane.delayed,
            active: lane.active,
            pages_waiting: lane.pages_waiting,
            average_wait: lane.average_wait.map(seconds),
            oldest_wait: lane.oldest_wait.map(seconds),
            estimated_wait: lane.estimated_wait.map(seconds),
            estimated_wait_low: band.low.map(seconds),
            estimated_wait_high: band.high.map(seconds),
            share: lane.share,
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "spans of waits are far below 2^53 seconds")]
fn seconds(span: Span) -> f64 {
    span.seconds as f64 + f64::from(span.nanos) / 1e9
}

#[cfg(test)]
mod tests {
    use courant_proto::v1::{EstimateBand, Lane};

    use super::*;

    fn span(seconds: i64) -> Option<Span> {
        Some(Span { seconds, nanos: 0 })
    }

    #[test]
    fn the_table_says_what_one_wants_to_know() {
        let lane = QueueLane {
            kind: "pdf".to_owned(),
            lane: Lane::Normal.into(),
            waiting: 12,
            estimated_wait: span(90),
            estimated_wait_band: Some(EstimateBand { low: span(60), high: span(7265) }),
            share: 0.3,
            ..QueueLane::default()
        };
        let queue =
            Queue { lanes: vec![lane], workers_total: 2, unserved_kinds: vec!["scan".into()], ..Queue::default() };
        let table = table(&queue);
        for part in ["pdf", "normal", "1m 30s (1m to 2h 1m)", "30%", "0 of 2 workers busy", "no worker for: scan"] {
            assert!(table.contains(part), "{part} is missing in\n{table}");
        }
    }
}
