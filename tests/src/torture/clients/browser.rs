//! The browser protocol, whatever carries it: topics, messages, and the two transports that are plain HTTP.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use eventsource_stream::Eventsource;
use futures::{Stream, StreamExt};
use serde_json::{Value, json};

use super::super::fact;
use super::super::record::Scope;
use super::User;
use super::steps::Step;

/// How long a poll waits for news, in seconds.
const WAIT: u32 = 2;

pub struct Events {
    stream: Pin<Box<dyn Stream<Item = Option<String>> + Send>>,
    told: VecDeque<Value>,
}

/// What one poll has told.
pub struct Poll(VecDeque<Value>);

/// What a scope is called.
pub fn topic(scope: &Scope) -> String {
    match scope {
        Scope::All | Scope::Owner(_) => "mine".to_owned(),
        Scope::Document(_, id) => format!("document/{id}"),
        Scope::Batch(_, id) => format!("batch/{id}"),
        Scope::Job(id) => format!("job/{id}"),
    }
}

/// The gap that an answer to a subscription tells, if it tells one.
pub fn gap(subscribed: &Value) -> Option<Value> {
    subscribed["reason"].as_str().map(|reason| json!({"type": "gap", "reason": reason}))
}

/// A message as a step; none when it is the last.
pub fn step(message: &Value) -> Option<(String, Step)> {
    let cursor = message["cursor"].as_str().unwrap_or_default().to_owned();
    let step = match message["type"].as_str().unwrap_or_default() {
        "snapshot" => fact::of_json(&message["job"]).map_or(Step::Other, Step::Snapshot),
        "live" => Step::Live,
        "bookmark" => Step::Bookmark,
        "stalled" => Step::Stalled,
        "gap" => Step::Gap(message["reason"].as_str().unwrap_or_default().to_owned()),
        "zone-completed" => {
            let page = message["zone"]["page"].as_i64().unwrap_or(0);
            Step::Zone(message["jobId"].as_str().unwrap_or_default().to_owned(), page)
        }
        "unsubscribed" | "closing" => return None,
        _ if message["jobId"].is_string() => fact::of_message(message).map_or(Step::Other, Step::Update),
        _ => Step::Other,
    };
    Some((cursor, step))
}

/// Asks for a topic. The error is a code, empty when nothing is known.
async fn ask(
    (address, path): (SocketAddr, &str),
    user: &User,
    scope: &Scope,
    cursor: &str,
    interval: Duration,
) -> Result<reqwest::Response, String> {
    let mut url = reqwest::Url::parse(&format!("http://{address}{path}")).map_err(|_| String::new())?;
    let interval = interval.as_millis().to_string();
    url.query_pairs_mut().append_pair("topic", &topic(scope)).append_pair("minIntervalMs", &interval);
    if !cursor.is_empty() {
        url.query_pairs_mut().append_pair("after", cursor);
    }
    if path.ends_with(":poll") {
        url.query_pairs_mut().append_pair("wait", &WAIT.to_string());
    }
    let answer = reqwest::Client::new().get(url).bearer_auth(&user.token).send().await.map_err(|_| String::new())?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let problem: Value = answer.json().await.map_err(|_| String::new())?;
    Err(problem["code"].as_str().unwrap_or_default().to_owned())
}

impl Events {
    pub async fn open(
        address: SocketAddr,
        user: &User,
        scope: &Scope,
        cursor: &str,
        interval: Duration,
    ) -> Result<Self, String> {
        let answer = ask((address, "/v1/events"), user, scope, cursor, interval).await?;
        let events = answer.bytes_stream().eventsource();
        let stream = events.map(|event| event.ok().map(|event| event.data));
        Ok(Self { stream: Box::pin(stream), told: VecDeque::new() })
    }

    /// The next step; none when the stream is over or broken.
    pub async fn next(&mut self) -> Option<(String, Step)> {
        let message = match self.told.pop_front() {
            Some(message) => message,
            None => serde_json::from_str(&self.stream.next().await??).ok()?,
        };
        if message["type"] == "subscribed" {
            self.told.extend(gap(&message));
        }
        step_after_subscribed(&message)
    }
}

impl Poll {
    pub async fn open(
        address: SocketAddr,
        user: &User,
        scope: &Scope,
        cursor: &str,
        interval: Duration,
    ) -> Result<Self, String> {
        let answer = ask((address, "/v1/events:poll"), user, scope, cursor, interval).await?;
        let mut body: Value = answer.json().await.map_err(|_| String::new())?;
        let Value::Array(messages) = body["messages"].take() else { return Err(String::new()) };
        let told = messages.into_iter().flat_map(|message| {
            let gap = if message["type"] == "subscribed" { gap(&message) } else { None };
            [message].into_iter().chain(gap)
        });
        Ok(Self(told.collect()))
    }

    /// The next step of this poll.
    pub fn step(&mut self) -> Option<(String, Step)> {
        step_after_subscribed(&self.0.pop_front()?)
    }
}

/// The cursor in `subscribed` is the one that was asked with: nothing new.
fn step_after_subscribed(message: &Value) -> Option<(String, Step)> {
    if message["type"] == "subscribed" { Some((String::new(), Step::Other)) } else { step(message) }
}
