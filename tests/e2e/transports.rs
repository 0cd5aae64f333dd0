//! One job followed over all transports in turn, with one cursor, over a `kill -9`: nothing is lost, nothing comes twice.

use anyhow::{Context as _, ensure};
use courant_proto::v1::JobState;
use courant_tests::events::{Events, poll, revision};
use courant_tests::grpc::accepted;
use courant_tests::{Up, documents};
use serde_json::Value;

use crate::crash::whole_story;

const PAGES: i32 = 300;
/// Durable messages heard on one transport before the next takes over.
const TURN: usize = 25;

/// What was heard so far, and where to go on.
struct Story {
    topic: String,
    cursor: String,
    revisions: Vec<i64>,
    over: bool,
}

impl Story {
    /// Takes a message in; whether enough was heard for this turn.
    fn hear(&mut self, message: &Value, from: usize) -> anyhow::Result<bool> {
        ensure!(message["type"] != "gap" && message["mode"] != "snapshot", "{message}");
        if let Some(cursor) = message.get("cursor").and_then(Value::as_str) {
            self.cursor = cursor.to_owned();
        }
        self.revisions.extend(revision(message)?);
        self.over |= message["type"] == "job-completed";
        Ok(self.over || self.revisions.len() >= from + TURN)
    }

    async fn by_events(&mut self, up: &Up) -> anyhow::Result<()> {
        let from = self.revisions.len();
        let mut events = Events::open(&up.web("alice")?, &self.topic, Some(&self.cursor)).await?;
        while let Some(message) = events.next().await? {
            if self.hear(&message, from)? {
                break;
            }
        }
        ensure!(events.last.as_deref() == Some(&self.cursor), "the id is not the cursor");
        Ok(())
    }

    async fn by_polls(&mut self, up: &Up) -> anyhow::Result<()> {
        let from = self.revisions.len();
        loop {
            let (messages, next) = poll(&up.web("alice")?, &self.topic, Some(&self.cursor)).await?;
            let mut enough = false;
            for message in &messages {
                enough = self.hear(message, from)?;
            }
            ensure!(next.as_deref() == Some(&self.cursor), "the answer's cursor is not that of its last message");
            if enough {
                return Ok(());
            }
        }
    }

    async fn by_socket(&mut self, up: &Up) -> anyhow::Result<()> {
        let from = self.revisions.len();
        let mut socket = up.socket("alice").await?;
        socket.subscribe(&self.topic, Some(&self.cursor)).await?;
        loop {
            let message = socket.next().await?.context("the WebSocket closed")?;
            if self.hear(&message, from)? {
                return Ok(());
            }
        }
    }

    async fn by_grpc(&mut self, up: &Up, id: &str) -> anyhow::Result<()> {
        let from = self.revisions.len();
        let mut watch = up.jobs("alice").await?.watch(id, &self.cursor).await?;
        while self.revisions.len() < from + TURN && !self.over {
            // A watch ends with its job.
            self.over = watch.next().await?.is_none();
            self.revisions.truncate(from);
            self.revisions.extend(watch.revisions());
        }
        self.cursor = watch.cursor;
        Ok(())
    }
}

#[tokio::test]
async fn one_cursor_leads_through_all_transports_and_a_crash() -> anyhow::Result<()> {
    let mut up = Up::start().await?;
    let jobs = up.jobs("alice").await?;
    let (job, start) = accepted(jobs.submit("long.pdf", documents::pages(PAGES as usize)).await?)?;
    let id = job.job_id.as_str();
    let mut story = Story { topic: format!("job/{id}"), cursor: start.clone(), revisions: Vec::new(), over: false };
    for turn in 0.. {
        if story.over {
            break;
        }
        match turn % 4 {
            0 => story.by_events(&up).await?,
            1 => story.by_polls(&up).await?,
            2 => story.by_socket(&up).await?,
            _ => story.by_grpc(&up, id).await?,
        }
        if turn == 2 {
            up = up.kill_and_restart().await?;
        }
    }
    let job = up.jobs("alice").await?.get(id).await?;
    ensure!(job.state() == JobState::Succeeded && job.pages_done == PAGES, "{:?} {:?}", job.state(), job.error);
    let whole = whole_story(&up, id, &start).await?;
    ensure!(story.revisions == whole, "{:?} is not {whole:?}", story.revisions);
    Ok(())
}
