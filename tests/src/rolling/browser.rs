//! A browser that follows all jobs of its user, and comes back as the protocol tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use anyhow::ensure;
use prost_types::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::Client;
use super::tally::{Tally, Wait};
use crate::ws::Socket;

const TOPIC: &str = "mine";
/// Before it tries again where it was told no time.
const AGAIN_AFTER: Duration = Duration::from_millis(250);
/// A browser that does not get back within this time never does.
const GIVE_UP: Duration = Duration::from_secs(60);

/// What a browser saw.
pub(super) struct Seen {
    number: usize,
    /// Revisions of durable events of each job, in the order in which they came.
    revisions: BTreeMap<String, Vec<i64>>,
    ended: BTreeSet<String>,
}

impl Seen {
    /// Whether it saw the end of every job, and every event once and in order.
    pub(super) fn check(&self, tally: &Tally) {
        for (job, revisions) in &self.revisions {
            if !revisions.is_sorted_by(|one, next| one < next) {
                let number = self.number;
                tally.violation(format!(
                    "browser {number}: events of job {job} came twice or in another order: {revisions:?}"
                ));
            }
        }
        for job in tally.jobs().difference(&self.ended) {
            tally.violation(format!("browser {} did not see the end of job {job}", self.number));
        }
    }

    fn receive(&mut self, tally: &Tally, message: &Value) {
        let (snapshot, event) = (&message["job"], message);
        let job = event["jobId"].as_str().or_else(|| snapshot["jobId"].as_str());
        let Some(job) = job else { return };
        let status = event["status"].as_str().or_else(|| snapshot["status"].as_str());
        if status.is_some_and(|status| ["completed", "failed", "cancelled"].contains(&status)) {
            self.ended.insert(job.to_owned());
        }
        if message["cursor"].is_string()
            && let Some(revision) = message["revision"].as_i64()
        {
            self.revisions.entry(job.to_owned()).or_default().push(revision);
            if let Some(late) = age(message) {
                tally.waited(Wait::Event, late, || format!("{} of {job}", message["type"]));
            }
        }
    }
}

/// How long ago what a message tells has happened.
fn age(message: &Value) -> Option<Duration> {
    let happened: Timestamp = message["timestamp"].as_str()?.parse().ok()?;
    SystemTime::now().duration_since(happened.try_into().ok()?).ok()
}

pub(super) async fn follow(client: Client) -> anyhow::Result<Seen> {
    let mut seen = Seen { number: client.number, revisions: BTreeMap::new(), ended: BTreeSet::new() };
    let mut cursor: Option<String> = None;
    let mut lost: Option<Instant> = None;
    loop {
        let mut socket = match begin(&client, cursor.as_deref()).await {
            Ok(socket) => socket,
            Err(error) => {
                client.tally.failed(format!("WebSocket: {error:#}"));
                ensure!(lost.get_or_insert_with(Instant::now).elapsed() < GIVE_UP, "no way back: {error:#}");
                tokio::time::sleep(AGAIN_AFTER).await;
                continue;
            }
        };
        if let Some(at) = lost.take() {
            client.tally.waited(Wait::Away, at.elapsed(), || format!("browser {}", client.number));
        }
        // What came before the answer to the subscription.
        std::mem::take(&mut socket.heard).iter().for_each(|message| {
            cursor = message["cursor"].as_str().map(str::to_owned).or(cursor.take());
            seen.receive(&client.tally, message);
        });
        let closing = loop {
            let message = tokio::select! {
                message = socket.next() => message?,
                () = client.stop.cancelled() => return Ok(seen),
            };
            let Some(message) = message else { break socket.heard.pop() };
            cursor = message["cursor"].as_str().map(str::to_owned).or(cursor);
            seen.receive(&client.tally, &message);
            // Only the last one matters, and they are many.
            socket.heard.clear();
            socket.heard.push(message);
        };
        drop(socket);
        lost = Some(Instant::now());
        let told = closing.and_then(|message| message["retryAfterMs"].as_u64());
        tokio::time::sleep(told.map_or(Duration::ZERO, Duration::from_millis)).await;
    }
}

async fn begin(client: &Client, cursor: Option<&str>) -> anyhow::Result<Socket> {
    let mut socket = Socket::open(&client.http).await?;
    socket.sign_in(&client.token).await?;
    socket.subscribe(TOPIC, cursor).await?;
    Ok(socket)
}
