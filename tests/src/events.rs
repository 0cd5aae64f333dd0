//! Topics over plain HTTP, as a client behind a strict proxy follows them: event streams and polls.

use std::pin::Pin;

use anyhow::{Context as _, ensure};
use eventsource_stream::{Event, Eventsource};
use futures::{Stream, StreamExt};
use serde_json::Value;

use crate::http::Web;
use crate::within;

/// An event stream, read by a parser that is not Courant's.
pub struct Events {
    stream: Pin<Box<dyn Stream<Item = anyhow::Result<Event>> + Send>>,
    /// What a browser would send as `Last-Event-ID`.
    pub last: Option<String>,
}

impl Events {
    /// Follows a topic with everything that happens.
    pub async fn open(web: &Web, topic: &str, last: Option<&str>) -> anyhow::Result<Self> {
        let answer = web.open(&format!("/v1/events?topic={topic}&minIntervalMs=0"), last).await?;
        ensure!(answer.status() == 200, "{}", answer.status());
        let stream = answer.bytes_stream().eventsource().map(|event| event.map_err(anyhow::Error::from));
        Ok(Self { stream: Box::pin(stream), last: last.map(str::to_owned) })
    }

    /// The next message; none when the stream is over or broken.
    pub async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        loop {
            let event = within("an event", async { Ok(self.stream.next().await) }).await?;
            let Some(Ok(event)) = event else { return Ok(None) };
            if !event.id.is_empty() {
                self.last = Some(event.id);
            }
            if event.event == "message" {
                return Ok(Some(serde_json::from_str(&event.data)?));
            }
        }
    }
}

/// One poll: its messages, and where to go on.
pub async fn poll(web: &Web, topic: &str, after: Option<&str>) -> anyhow::Result<(Vec<Value>, Option<String>)> {
    let after = after.unwrap_or_default();
    let answer = web.get(&format!("/v1/events:poll?topic={topic}&minIntervalMs=0&after={after}&wait=5")).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let mut body = answer.json()?;
    let cursor = body["cursors"][topic].as_str().map(str::to_owned);
    let Value::Array(messages) = body["messages"].take() else { return Err(anyhow::anyhow!("no messages in {body}")) };
    Ok((messages, cursor))
}

/// The revision of a durable message about a job that has a cursor.
pub fn revision(message: &Value) -> anyhow::Result<Option<i64>> {
    if message.get("jobId").is_none() || message.get("cursor").is_none() {
        return Ok(None);
    }
    message["revision"].as_i64().map(Some).context("a durable message without a revision")
}
