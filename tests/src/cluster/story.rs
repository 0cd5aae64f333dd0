//! What is shown: documents are processed, and parts are killed meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use courant_proto::v1::SubmitJobHeader;
use serde_json::Value;
use tokio::time::Instant;

use super::check::{self, Shown};
use super::parts::{Parts, SERVERS};
use crate::grpc::accepted;
use crate::ws::Socket;

/// The batch that the documents are.
const BATCH: &str = "cluster";
/// Which server is killed.
const VICTIM: usize = 1;
/// Between two lines about how far it is.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// Whether something is to be killed or started again is looked at this often, also while nothing happens.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A browser that is sent nothing for so long has lost something: NATS takes some ten seconds to elect a leader.
const SILENCE: Duration = Duration::from_secs(60);

/// What the browser knows.
#[derive(Default)]
pub(super) struct Seen {
    /// Percent of each job, and whether it has ended.
    jobs: BTreeMap<String, (f64, bool)>,
    /// Revisions of durable events of each job, in the order in which they came.
    pub(super) revisions: BTreeMap<String, Vec<i64>>,
    /// The longest time without a message while there was work.
    pub(super) longest_silence: Duration,
    pub(super) reconnects: u32,
}

impl Seen {
    fn hear(&mut self, message: &Value) {
        let job = message["jobId"].as_str().or_else(|| message["job"]["jobId"].as_str());
        let Some(job) = job else { return };
        let of = |name: &str| message.get(name).or_else(|| message["job"].get(name));
        let (percent, ended) = self.jobs.entry(job.to_owned()).or_default();
        if let Some(now) = of("progress").and_then(Value::as_f64) {
            *percent = now;
        }
        *ended |= of("status")
            .and_then(Value::as_str)
            .is_some_and(|status| ["completed", "failed", "cancelled"].contains(&status));
        if message["cursor"].is_string()
            && let Some(revision) = message["revision"].as_i64()
        {
            self.revisions.entry(job.to_owned()).or_default().push(revision);
        }
    }

    fn ended(&self) -> usize {
        self.jobs.values().filter(|(_, ended)| *ended).count()
    }

    fn percent(&self, jobs: usize) -> f64 {
        self.jobs.values().map(|(percent, ended)| if *ended { 100.0 } else { *percent }).sum::<f64>() / jobs as f64
    }
}

/// What is to happen, and when.
struct Faults {
    killed_server: Option<Instant>,
    server_is_back: bool,
    killed_nats: Option<(Instant, String)>,
    nats_is_back: bool,
}

pub(super) async fn tell(parts: &mut Parts, document: &[u8], count: u32) -> anyhow::Result<Shown> {
    let jobs = submit(parts, document, count).await?;
    let (mut seen, began) = (Seen::default(), Instant::now());
    let mut socket = parts.socket().await?;
    let topic = format!("batch/{BATCH}");
    socket.subscribe(&topic, None).await?;
    // What came before the answer to the subscription.
    socket.heard.iter().for_each(|message| seen.hear(message));
    let mut faults = Faults { killed_server: None, server_is_back: false, killed_nats: None, nats_is_back: false };
    let (mut line_at, mut last) = (began, began);
    while seen.ended() < jobs.len() {
        match tokio::time::timeout(LOOK_EVERY, socket.next()).await {
            Ok(Ok(Some(message))) => {
                seen.longest_silence = seen.longest_silence.max(last.elapsed());
                last = Instant::now();
                seen.hear(&message);
            }
            Ok(Ok(None)) => {
                seen.reconnects += 1;
                socket = reconnect(parts, &topic, socket.cursor()).await?;
            }
            Ok(Err(error)) => return Err(error),
            // Nothing came for a while.
            Err(_) => {}
        }
        ensure!(last.elapsed() < SILENCE, "the browser was sent nothing for {SILENCE:?}");
        let at = |text: String| println!("{:6.1} s  {text}", began.elapsed().as_secs_f64());
        if line_at.elapsed() >= LINE_EVERY {
            line_at = Instant::now();
            at(format!("{:5.1} %, {} of {} documents done", seen.percent(jobs.len()), seen.ended(), jobs.len()));
        }
        act(parts, &mut faults, seen.percent(jobs.len()), at).await?;
    }
    println!("{:6.1} s  all documents are done", began.elapsed().as_secs_f64());
    if !faults.server_is_back && faults.killed_server.is_some() {
        parts.restart_server(VICTIM).await?;
    }
    if let Some((_, name)) = faults.killed_nats.as_ref().filter(|_| !faults.nats_is_back) {
        parts.restart_nats(name);
    }
    check::everything(parts, &jobs, &seen).await
}

async fn submit(parts: &Parts, document: &[u8], count: u32) -> anyhow::Result<Vec<String>> {
    let mut submitted = Vec::new();
    for number in 0..count {
        // To each server in turn.
        let jobs = parts.jobs(number as usize % SERVERS).await?;
        let header = SubmitJobHeader {
            filename: format!("document-{}.pdf", number + 1),
            batch_id: BATCH.into(),
            request_id: format!("cluster-{number}"),
            ..SubmitJobHeader::default()
        };
        submitted.push(accepted(jobs.submit_with(header, document.to_vec()).await?)?.0.job_id);
    }
    println!("submitted {count} documents, {} to each server", count as usize / SERVERS);
    Ok(submitted)
}

async fn reconnect(parts: &Parts, topic: &str, cursor: Option<String>) -> anyhow::Result<Socket> {
    let began = Instant::now();
    loop {
        let again = async {
            let mut socket = parts.socket().await?;
            socket.subscribe(topic, cursor.as_deref()).await?;
            anyhow::Ok(socket)
        };
        match again.await {
            Ok(socket) => return Ok(socket),
            Err(error) if began.elapsed() > Duration::from_secs(30) => return Err(error).context("no way back"),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

async fn act(parts: &mut Parts, faults: &mut Faults, percent: f64, say: impl Fn(String)) -> anyhow::Result<()> {
    if faults.killed_server.is_none() && percent >= 20.0 {
        parts.kill_server(VICTIM).await?;
        faults.killed_server = Some(Instant::now());
        say(format!("        kill -9 of server-{}: its workers and bridges go to the others", VICTIM + 1));
    }
    if faults.killed_nats.is_none() && percent >= 45.0 {
        let name = parts.kill_leader().await;
        say(format!(
            "        kill -9 of NATS server {name}, which led the stream: NATS elects another in some seconds"
        ));
        faults.killed_nats = Some((Instant::now(), name));
    }
    if !faults.server_is_back && faults.killed_server.is_some_and(|at| at.elapsed() > Duration::from_secs(8)) {
        parts.restart_server(VICTIM).await?;
        faults.server_is_back = true;
        say(format!("        server-{} is back", VICTIM + 1));
    }
    if !faults.nats_is_back
        && let Some((at, name)) = &faults.killed_nats
        && at.elapsed() > Duration::from_secs(15)
    {
        parts.restart_nats(name);
        say(format!("        NATS server {name} is back"));
        faults.nats_is_back = true;
    }
    Ok(())
}
