//! What is sent: a CloudEvent (1.0, structured JSON).

use std::collections::BTreeMap;

use courant_engine::cursor::Cursor;
use courant_joblog::event::Event;
use courant_joblog::ids::{JobId, Revision, Timestamp};
use courant_joblog::job::{Job, Lane, State};
use courant_joblog::log::{Entry, Record};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::convert;
use crate::event_kind::EventKind;
use crate::webhook_store::Endpoint;

/// The type of the event by which an owner tests an endpoint.
pub(super) const TEST: &str = "courant.webhook.test";

/// A message that is ready to be signed and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// The `webhook-id`.
    pub(super) id: String,
    pub(super) event_type: &'static str,
    /// Empty where it is about none.
    pub(super) job: String,
    pub(super) body: Vec<u8>,
}

#[derive(Serialize)]
struct CloudEvent<'a, D> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    r#type: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    /// An extension: where a watch or a replay goes on after this event.
    #[serde(skip_serializing_if = "String::is_empty")]
    cursor: String,
    data: D,
}

/// The job in the words of the bridge's API (`bridge/PROTOCOL.md`), without what changes between events.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JobData<'a> {
    job_id: &'a str,
    document_id: &'a str,
    batch_id: Option<&'a str>,
    owner: &'a str,
    kind: &'a str,
    filename: &'a str,
    document_bytes: u64,
    document_sha256: &'a str,
    lane: &'static str,
    labels: &'a BTreeMap<String, String>,
    state: &'static str,
    attempt: u32,
    max_attempts: u32,
    pages_done: u32,
    pages_total: Option<u32>,
    outputs: Vec<OutputData<'a>>,
    error: Option<ErrorData<'a>>,
    warnings: &'a [String],
    create_time: String,
    start_time: Option<String>,
    end_time: Option<String>,
    retry_time: Option<String>,
    revision: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutputData<'a> {
    name: &'a str,
    media_type: &'a str,
    bytes: u64,
    sha256: &'a str,
}

#[derive(Serialize)]
struct ErrorData<'a> {
    code: &'a str,
    message: &'a str,
    retryable: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TestData<'a> {
    webhook_id: &'a str,
}

/// Makes messages of an endpoint.
pub(super) struct Messages<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) source: &'a str,
    /// The current epoch of the log.
    pub(super) epoch: u64,
}

impl Messages<'_> {
    /// None for what the endpoint is not sent.
    pub(super) fn of_entry(&self, entry: &Entry) -> Option<Message> {
        let Record::Changed { event, job } = &entry.record else { return None };
        let kind = wanted(self.endpoint, &entry.record)?;
        let id = message_id(&self.endpoint.id, &job.id, entry.revision, event.at);
        let body = CloudEvent {
            specversion: "1.0",
            id: &id,
            source: self.source,
            r#type: kind.event_type(),
            subject: job.id.as_str(),
            time: text(event.at),
            datacontenttype: "application/json",
            cursor: Cursor { epoch: self.epoch, revision: entry.revision }.encode(),
            data: JobData::new(job, event, kind, entry.revision),
        };
        let body = bytes(&body);
        Some(Message { event_type: kind.event_type(), job: job.id.to_string(), body, id })
    }

    /// A test, which is like no other.
    pub(super) fn test(&self, now: Timestamp) -> Message {
        let id = format!("msg_{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let body = CloudEvent {
            specversion: "1.0",
            id: &id,
            source: self.source,
            r#type: TEST,
            subject: "",
            time: text(now),
            datacontenttype: "application/json",
            cursor: String::new(),
            data: TestData { webhook_id: &self.endpoint.id },
        };
        Message { event_type: TEST, job: String::new(), body: bytes(&body), id }
    }
}

/// What a record is to an endpoint, if it is sent.
pub(super) fn wanted(endpoint: &Endpoint, record: &Record) -> Option<EventKind> {
    let Record::Changed { event, job } = record else { return None };
    let kind = EventKind::of(&event.change).filter(|kind| endpoint.events.contains(kind))?;
    let is_for_it = !endpoint.is_callback() || job.later.callback.is_some();
    is_for_it.then_some(kind)
}

impl<'a> JobData<'a> {
    fn new(job: &'a Job, event: &Event, kind: EventKind, revision: Revision) -> Self {
        let outputs = job.later.outputs.iter().map(|output| OutputData {
            name: &output.name,
            media_type: &output.media_type,
            bytes: output.bytes,
            sha256: &output.sha256,
        });
        let ended = job.ended.or(matches!(kind, EventKind::Succeeded).then_some(event.at));
        Self {
            job_id: job.id.as_str(),
            document_id: job.document.id.as_str(),
            batch_id: job.batch.as_ref().map(|batch| batch.as_str()),
            owner: job.owner.as_str(),
            kind: &job.kind,
            filename: &job.document.name,
            document_bytes: job.document.bytes,
            document_sha256: &job.document.sha256,
            lane: lane(job.lane),
            labels: &job.labels,
            state: state(job.state),
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            pages_done: job.pages.done_count(),
            pages_total: job.pages.total,
            outputs: outputs.collect(),
            error: job.error.as_ref().map(|error| ErrorData {
                code: &error.code,
                message: &error.message,
                retryable: error.retryable,
            }),
            warnings: &job.warnings,
            create_time: text(job.created),
            start_time: job.started.map(text),
            end_time: ended.map(text),
            retry_time: job.not_before.map(text),
            revision: revision.0,
        }
    }
}

/// The same whenever and wherever it is made of this entry for this endpoint. Revisions may mean something else after a restore:
/// job and time are part of it.
fn message_id(endpoint: &str, job: &JobId, revision: Revision, at: Timestamp) -> String {
    let mut hash = Sha256::new();
    hash.update(b"courant webhook message 1");
    for text in [endpoint, job.as_str()] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.update(revision.0.to_be_bytes());
    hash.update(at.0.to_be_bytes());
    format!("msg_{}", courant_runtime::hex(&hash.finalize()[..16]))
}

fn text(at: Timestamp) -> String {
    convert::time(at).to_string()
}

fn bytes(event: &impl Serialize) -> Vec<u8> {
    // Strings, numbers and names of fields: there is nothing that could not be written.
    serde_json::to_vec(event).unwrap_or_default()
}

fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Premium => "premium",
        Lane::Normal => "normal",
        Lane::Large => "large",
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Queued => "queued",
        State::Running => "running",
        State::Cancelling => "cancelling",
        State::Succeeded => "succeeded",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use courant_engine::testing::queued;
    use courant_joblog::event::Change;
    use courant_joblog::ids::Owner;
    use courant_joblog::log::Key;

    use super::*;
    use crate::webhook_store::Position;

    pub fn endpoint(url: &str) -> Endpoint {
        Endpoint {
            id: "wh_1".into(),
            owner: Owner::new("alice"),
            url: url.into(),
            description: String::new(),
            events: EventKind::ALL.to_vec(),
            sealed_secrets: Vec::new(),
            old_secret_until: None,
            enabled: true,
            made: 0,
            generation: 1,
            start: Position { epoch: 1, revision: Revision(0) },
            start_generation: 1,
            removed: false,
            version: 1,
        }
    }

    pub fn entry(job: &str, revision: u64) -> Arc<Entry> {
        let job = queued(job, "alice");
        let event = Event::new(Timestamp(1_700_000_000_123), Change::Requeued { by: "alice".into(), password: None });
        let (key, record) = (Key::of(&job), Record::Changed { event, job: Arc::new(job) });
        Arc::new(Entry { revision: Revision(revision), key, record })
    }

    #[test]
    fn an_event_is_a_cloud_event_with_the_job_and_its_id_is_always_the_same() {
        let endpoint = endpoint("https://example.org/");
        let messages = Messages { endpoint: &endpoint, source: "/here", epoch: 9 };
        let message = messages.of_entry(&entry("J", 7)).unwrap();
        assert_eq!(Some(&message), messages.of_entry(&entry("J", 7)).as_ref());
        assert_ne!(message.id, messages.of_entry(&entry("J", 8)).unwrap().id);
        assert_ne!(message.id, messages.of_entry(&entry("K", 7)).unwrap().id);
        let read: serde_json::Value = serde_json::from_slice(&message.body).unwrap();
        assert_eq!(read["id"], message.id);
        let expected = ["1.0", "/here", "courant.job.queued", "J", "2023-11-14T22:13:20.123Z", "application/json"];
        let found =
            ["specversion", "source", "type", "subject", "time", "datacontenttype"].map(|name| read[name].as_str());
        assert_eq!(found, expected.map(Some));
        assert_eq!((&read["data"]["jobId"], &read["data"]["state"]), (&"J".into(), &"queued".into()));
        assert_eq!(Cursor::decode(read["cursor"].as_str().unwrap()).unwrap().revision, Revision(7));
    }

    #[test]
    fn what_is_not_asked_for_is_not_sent_and_callbacks_are_for_jobs_that_have_one() {
        let mut picky = endpoint("https://example.org/");
        picky.events = EventKind::ENDS.to_vec();
        assert_eq!(wanted(&picky, &entry("J", 1).record), None);
        assert_eq!(wanted(&endpoint(""), &entry("J", 1).record), None, "the job has no callback");
        assert_eq!(wanted(&endpoint("https://example.org/"), &entry("J", 1).record), Some(EventKind::Queued));
    }
}
