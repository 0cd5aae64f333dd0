//! Stories of a client that keeps jobs by the update rule of `PROTOCOL.md`, section 3, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use courant_proto::v1::ResultFormat;
use serde_json::Value;

use crate::support::{Client, PATIENCE, RealServer, Stage, token};

const UPDATES: [&str; 4] = ["job-progress", "zone-processing", "export-progress", "queue-position"];
/// What moves with time alone: two readers do not see the same.
const MOVING: [&str; 4] = ["elapsed", "estimatedWait", "estimatedTimeRemaining", "timestamp"];

/// Jobs as a client keeps them.
#[derive(Default)]
struct Jobs {
    known: BTreeMap<String, Value>,
    /// The types of updates that were put into a job.
    updates: BTreeSet<String>,
}

impl Jobs {
    fn take(&mut self, message: &Value) {
        let kind = message["type"].as_str().unwrap();
        match kind {
            "snapshot" => self.put(&message["job"]),
            _ if UPDATES.contains(&kind) => self.update(message),
            _ if message.get("documentSha256").is_some() => self.put(message),
            _ => {}
        }
    }

    fn put(&mut self, whole: &Value) {
        let mut job = whole.clone();
        for beside in ["type", "topic", "cursor", "page", "export"] {
            job.as_object_mut().unwrap().remove(beside);
        }
        self.known.insert(job["jobId"].as_str().unwrap().to_owned(), job);
    }

    fn update(&mut self, update: &Value) {
        let Some(job) = self.known.get_mut(update["jobId"].as_str().unwrap()) else { return };
        let at = |value: &Value| (value["revision"].as_i64(), value["elapsed"].as_f64().unwrap_or(0.0));
        if at(update) < at(job) {
            return;
        }
        for (name, value) in update.as_object().unwrap() {
            if !["type", "topic", "coalesced", "revision", "export"].contains(&name.as_str()) {
                assert!(job.get(name).is_some(), "{name} is no field of a job");
                job[name] = value.clone();
            }
        }
        self.updates.insert(update["type"].as_str().unwrap().to_owned());
    }

    fn still(&self) -> Vec<Value> {
        let mut jobs: Vec<_> = self.known.values().cloned().collect();
        for job in &mut jobs {
            MOVING.iter().for_each(|name| job[*name] = Value::Null);
        }
        jobs
    }

    /// Reads until all of this holds of a job.
    async fn until(&mut self, client: &mut Client, id: &str, done: impl Fn(&Value) -> bool) {
        let reached = async {
            while !self.known.get(id).is_some_and(&done) {
                self.take(&client.next().await);
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("what was waited for did not come");
    }
}

/// What somebody is shown who comes now.
async fn shown(stage: &Stage) -> Vec<Value> {
    let mut jobs = Jobs::default();
    let mut newcomer = stage.client("alice").await;
    newcomer.follow("mine", None).await.iter().for_each(|message| jobs.take(message));
    jobs.still()
}

async fn submit(stage: &Stage) -> String {
    let submit = reqwest::Client::new().post(stage.url("/v1/jobs")).bearer_auth(token("alice"));
    let body: Value = submit.body("%PDF-1.7").send().await.unwrap().json().await.unwrap();
    body["job"]["jobId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn who_merges_updates_has_what_a_newcomer_is_shown() {
    let stage = Stage::before(RealServer::with(|config| config.watch_positions = 10).await, |_| {}).await;
    let first = submit(&stage).await;
    let mut client = stage.client("alice").await;
    let mut kept = Jobs::default();
    client.follow("mine", None).await.iter().for_each(|message| kept.take(message));
    let mut worker = stage.server.worker().await;
    let second = submit(&stage).await;
    worker.plan(3).await;
    worker.page(1).await;
    worker.progress(41.66).await;
    kept.until(&mut client, &first, |job| job["progress"] == 41.7).await;
    kept.until(&mut client, &second, |job| job["queuePosition"] == 1).await;
    assert_eq!(kept.still(), shown(&stage).await);

    // A zone is worked on, and then not any more.
    worker.zone(2).await;
    kept.until(&mut client, &first, |job| job["currentZone"]["zoneId"] == "p2z1").await;
    assert_eq!(kept.still(), shown(&stage).await);
    worker.progress(50.0).await;
    kept.until(&mut client, &first, |job| job["progress"] == 50.0).await;
    assert_eq!(kept.known[&first]["currentZone"], Value::Null);
    assert_eq!(kept.still(), shown(&stage).await);

    worker.exporting(ResultFormat::Markdown, 40.0).await;
    kept.until(&mut client, &first, |job| job["progress"].as_f64() > Some(75.0)).await;
    assert_eq!(kept.still(), shown(&stage).await);
    let all: BTreeSet<_> = UPDATES.map(str::to_owned).into();
    assert_eq!(kept.updates, all);

    // The next attempt begins with an event, which no update of the one before undoes.
    worker.fail().await;
    kept.until(&mut client, &first, |job| job["state"] == "failed").await;
    stage.server.retry(&first).await;
    kept.until(&mut client, &first, |job| job["state"] == "queued").await;
    assert_eq!(kept.known[&first]["elapsed"], Value::Null);
}
