//! The server's events as finished text, encoded once for all subscribers.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;
use courant_proto::v1::{self, job_event::Change};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::job::{Export, Job, Output, Page, Zone, time};
use super::message::{Deleted, JobEvent, NotificationEvent, ServerMessage, Snapshot, ZoneEvent};
use super::names;
use super::update::JobUpdate;

/// One or more messages that belong together, encoded, with what is needed to route them.
#[derive(Debug)]
pub struct Push {
    /// The messages in order; sharing them costs nothing.
    pub frames: Box<[Utf8Bytes]>,
    /// The same in the binary format, once somebody has asked for it.
    pub binary: OnceLock<Box<[Bytes]>>,
    /// Their size in all.
    pub bytes: usize,
    /// What they are about.
    pub topic: Arc<str>,
    /// Whoever continues from here has missed nothing up to and with this push.
    pub cursor: Option<Box<str>>,
    /// What the messages are to those who pass them on.
    pub kind: Kind,
    /// Of a transient one: a hash of its job and slot.
    pub slot_hash: Option<u64>,
    /// Of a transient one and a snapshot: milliseconds since the job's attempt began. Of two of the same revision it says which is newer.
    pub elapsed_ms: Option<i64>,
}

/// Unknown to clients, so that nobody finds two jobs with the same hash.
static SLOT_HASHES: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// What a push is, to those who pass it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Must arrive, in order, once.
    Durable {
        /// The id of the job.
        job: Arc<str>,
        /// Grows over all jobs.
        revision: i64,
    },
    /// May be replaced by a newer one of the same job and slot.
    Transient {
        /// The id of the job.
        job: Arc<str>,
        /// The job's newest durable revision when it was made.
        revision: i64,
        /// Which of the transient types.
        slot: Slot,
    },
    /// A job as it was at a revision.
    Snapshot {
        /// The id of the job.
        job: Arc<str>,
        /// The revision of the job in the log.
        revision: i64,
    },
    /// The topic starts over.
    Gap,
    /// Nothing more comes on the topic.
    Ended,
    /// All that was missed has been sent (`live`).
    Live,
    /// Everything else about the topic (`subscribed`, `stalled`).
    Mark,
    /// A sign of life.
    Bookmark,
}

impl Kind {
    fn slot_hash(&self) -> Option<u64> {
        match self {
            Self::Transient { job, slot, .. } => Some(SLOT_HASHES.hash_one((job, slot))),
            Self::Durable { .. }
            | Self::Snapshot { .. }
            | Self::Gap
            | Self::Ended
            | Self::Live
            | Self::Mark
            | Self::Bookmark => None,
        }
    }

    /// Whether the newer of two takes the place of the other.
    pub fn same_slot(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Transient { job, slot, .. }, Self::Transient { job: other, slot: others, .. }) => {
                slot == others && job == other
            }
            _ => false,
        }
    }
}

/// The transient types: one message of each waits at most per job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// `job-progress`.
    Progress,
    /// `zone-processing`.
    Zone,
    /// `export-progress`.
    Export,
    /// `queue-position`.
    QueuePosition,
    /// `queue-status`.
    Queue,
    /// `system-metrics`.
    Statistics,
    /// `workers`.
    Workers,
    /// `connections`.
    Connections,
    /// `audit`.
    Audit,
    /// `devices`.
    Devices,
}

impl Push {
    fn new(topic: &Arc<str>, kind: Kind, messages: impl IntoIterator<Item = ServerMessage>) -> Self {
        let frames: Box<[Utf8Bytes]> = messages.into_iter().map(|message| text(&message)).collect();
        let bytes = frames.iter().map(|frame| frame.len()).sum();
        Self {
            frames,
            binary: OnceLock::new(),
            bytes,
            topic: topic.clone(),
            cursor: None,
            slot_hash: kind.slot_hash(),
            elapsed_ms: None,
            kind,
        }
    }

    /// Of texts as they are.
    #[cfg(test)]
    pub(crate) fn plain(topic: &Arc<str>, kind: Kind, texts: &[&str]) -> Self {
        let frames: Box<[Utf8Bytes]> = texts.iter().map(|text| Utf8Bytes::from(*text)).collect();
        let bytes = texts.iter().map(|text| text.len()).sum();
        Self {
            frames,
            binary: OnceLock::new(),
            bytes,
            topic: topic.clone(),
            cursor: None,
            slot_hash: kind.slot_hash(),
            elapsed_ms: None,
            kind,
        }
    }

    fn at(self, cursor: &str) -> Self {
        Self { cursor: (!cursor.is_empty()).then(|| cursor.into()), ..self }
    }

    /// A push that says something about a topic.
    pub fn mark(topic: &Arc<str>, message: ServerMessage) -> Self {
        Self::new(topic, Kind::Mark, [message])
    }

    /// All that was missed has been sent.
    pub fn live(topic: &Arc<str>, cursor: &str) -> Self {
        let mark = super::message::Mark { topic: topic.clone(), cursor: cursor.to_owned() };
        Self::new(topic, Kind::Live, [ServerMessage::Live(mark)]).at(cursor)
    }

    /// Nothing more comes on the topic.
    pub fn ended(topic: &Arc<str>, code: &str) -> Self {
        let ended = super::message::Ended { topic: topic.clone(), code: code.to_owned() };
        Self::new(topic, Kind::Ended, [ServerMessage::Unsubscribed(ended)])
    }

    /// The topic cannot be followed; the message says why.
    pub fn refused(topic: &Arc<str>, message: ServerMessage) -> Self {
        Self::new(topic, Kind::Ended, [message])
    }

    /// A notification: must arrive, and may come again in a newer shape.
    pub fn notification(topic: &Arc<str>, id: &str, body: NotificationEvent) -> Self {
        let cursor = body.cursor.clone().unwrap_or_default();
        let kind = Kind::Durable { job: id.into(), revision: 0 };
        Self::new(topic, kind, [ServerMessage::Notification(Box::new(body))]).at(&cursor)
    }

    /// A part of a state, whole: a newer one takes its place.
    pub fn state(topic: &Arc<str>, slot: Slot, cursor: &str, message: ServerMessage) -> Self {
        Self::new(topic, Kind::Transient { job: "".into(), revision: 0, slot }, [message]).at(cursor)
    }

    /// The topic starts over.
    pub fn gap(topic: &Arc<str>, reason: v1::GapReason) -> Self {
        let reason = names::gap_reason(reason).to_owned();
        Self::new(topic, Kind::Gap, [ServerMessage::Gap(super::message::Gap { topic: topic.clone(), reason })])
    }

    /// A sign of life.
    pub fn bookmark(topic: &Arc<str>, cursor: String) -> Self {
        let mark = super::message::Mark { topic: topic.clone(), cursor: cursor.clone() };
        Self::new(topic, Kind::Bookmark, [ServerMessage::Bookmark(mark)]).at(&cursor)
    }

    /// A job as it is.
    pub fn snapshot(topic: &Arc<str>, job: &v1::Job) -> Self {
        let kind = Kind::Snapshot { job: job.job_id.as_str().into(), revision: job.revision };
        let message = Snapshot { topic: topic.clone(), job: Box::new(Job::from(job)) };
        Self { elapsed_ms: elapsed_ms(job), ..Self::new(topic, kind, [ServerMessage::Snapshot(message)]) }
    }

    fn deleted(topic: &Arc<str>, cursor: String, event: &v1::JobEvent, job: &v1::Job) -> Self {
        let kind = Kind::Durable { job: job.job_id.as_str().into(), revision: event.revision };
        let body = Deleted {
            topic: topic.clone(),
            cursor: Some(cursor).filter(|cursor| !cursor.is_empty()),
            job_id: job.job_id.clone(),
            document_id: job.document_id.clone(),
            batch_id: Some(job.batch_id.clone()).filter(|batch| !batch.is_empty()),
            owner: job.owner.clone(),
            revision: event.revision,
            timestamp: time(event.event_time.as_ref()),
        };
        Self::new(topic, kind, [ServerMessage::JobDeleted(Box::new(body))])
    }

    /// Something that happened. None when this version does not know what, or the event has no job.
    pub fn event(topic: &Arc<str>, cursor: String, event: &v1::JobEvent) -> Option<Self> {
        let (job, change) = (event.job.as_deref()?, event.change.as_ref()?);
        Some(match class(change) {
            Class::Transient(slot, message) => Self::transient(topic, event, job, change, slot, message),
            Class::Durable(message) => Self::durable(topic, cursor, event, job, change, message),
            Class::Deleted => Self::deleted(topic, cursor, event, job),
        })
    }

    fn transient(
        topic: &Arc<str>,
        event: &v1::JobEvent,
        job: &v1::Job,
        change: &Change,
        slot: Slot,
        message: fn(Box<JobUpdate>) -> ServerMessage,
    ) -> Self {
        let id: Arc<str> = job.job_id.as_str().into();
        let update = JobUpdate::new(topic, id.clone(), event, job, change);
        let kind = Kind::Transient { job: id, revision: job.revision, slot };
        Self { elapsed_ms: elapsed_ms(job), ..Self::new(topic, kind, [message(Box::new(update))]) }
    }

    fn durable(
        topic: &Arc<str>,
        cursor: String,
        event: &v1::JobEvent,
        job: &v1::Job,
        change: &Change,
        message: fn(Box<JobEvent>) -> ServerMessage,
    ) -> Self {
        let kind = Kind::Durable { job: job.job_id.as_str().into(), revision: event.revision };
        let page = match change {
            Change::PageFinished(v1::PageFinished { page }) => page.as_ref(),
            _ => None,
        };
        let body = JobEvent {
            topic: topic.clone(),
            cursor: Some(cursor.clone()).filter(|cursor| !cursor.is_empty()),
            job: Job { timestamp: time(event.event_time.as_ref()), ..Job::from(job) },
            page: page.map(Page::from),
            export: export(job, change),
            output: output(job, change),
        };
        let zones = page.map_or_else(Vec::new, |page| zones(&body, page));
        Self::new(topic, kind, zones.into_iter().chain([message(Box::new(body))])).at(&cursor)
    }
}

fn elapsed_ms(job: &v1::Job) -> Option<i64> {
    let elapsed = job.progress.as_ref()?.elapsed.as_ref()?;
    Some(elapsed.seconds.saturating_mul(1000).saturating_add(i64::from(elapsed.nanos / 1_000_000)))
}

/// What becomes of a change.
enum Class {
    /// A message with the whole job.
    Durable(fn(Box<JobEvent>) -> ServerMessage),
    /// One with the fields that change without an event.
    Transient(Slot, fn(Box<JobUpdate>) -> ServerMessage),
    /// One with the names of the job, which is gone.
    Deleted,
}

fn class(change: &Change) -> Class {
    match change {
        Change::Queued(_) => Class::Durable(ServerMessage::JobQueued),
        Change::Started(_) => Class::Durable(ServerMessage::JobStarted),
        Change::Planned(_) => Class::Durable(ServerMessage::JobPlanned),
        Change::Progressed(_) => Class::Transient(Slot::Progress, ServerMessage::JobProgress),
        Change::ZoneStarted(_) => Class::Transient(Slot::Zone, ServerMessage::ZoneProcessing),
        Change::PageFinished(_) => Class::Durable(ServerMessage::PageCompleted),
        Change::ExportStarted(_) => Class::Durable(ServerMessage::ExportStarted),
        Change::ExportProgressed(_) => Class::Transient(Slot::Export, ServerMessage::ExportProgress),
        Change::ExportCompleted(_) => Class::Durable(ServerMessage::ExportCompleted),
        Change::ExportFailed(_) => Class::Durable(ServerMessage::ExportFailed),
        Change::OutputStored(_) => Class::Durable(ServerMessage::OutputStored),
        Change::Retrying(_) => Class::Durable(ServerMessage::JobRetrying),
        Change::Cancelling(_) => Class::Durable(ServerMessage::JobCancelling),
        Change::Succeeded(_) => Class::Durable(ServerMessage::JobCompleted),
        Change::Failed(_) => Class::Durable(ServerMessage::JobFailed),
        Change::Cancelled(_) => Class::Durable(ServerMessage::JobCancelled),
        Change::Deleted(_) => Class::Deleted,
        Change::QueuePositionChanged(_) => Class::Transient(Slot::QueuePosition, ServerMessage::QueuePosition),
    }
}

/// The export that a durable change is about.
fn export(job: &v1::Job, change: &Change) -> Option<Export> {
    match change {
        Change::ExportStarted(started) => Some(Export::running(started.format(), 0.0)),
        Change::ExportCompleted(v1::ExportCompleted { export }) | Change::ExportFailed(v1::ExportFailed { export }) => {
            export.as_ref().map(|export| Export::new(&job.job_id, export))
        }
        _ => None,
    }
}

/// The output that a durable change is about.
fn output(job: &v1::Job, change: &Change) -> Option<Output> {
    match change {
        Change::OutputStored(v1::OutputStored { output }) => output.as_ref().map(|of| Output::new(&job.job_id, of)),
        _ => None,
    }
}

/// Any message as text. Our types always can be written: no maps with odd keys, no failing impls.
pub fn text(message: &ServerMessage) -> Utf8Bytes {
    match serde_json::to_string(message) {
        Ok(text) => text.into(),
        Err(error) => {
            tracing::error!(%error, "a message could not be encoded");
            Utf8Bytes::from_static("{}")
        }
    }
}

/// The zones of a page, to be sent just before it.
fn zones(body: &JobEvent, page: &v1::Page) -> Vec<ServerMessage> {
    let job = &body.job;
    let zone = |zone: &v1::Zone| {
        ServerMessage::ZoneCompleted(Box::new(ZoneEvent {
            topic: body.topic.clone(),
            job_id: job.job_id.clone(),
            document_id: job.document_id.clone(),
            batch_id: job.batch_id.clone(),
            status: job.status.clone(),
            progress: job.progress,
            step: job.step.clone(),
            zones_completed: job.zones_completed,
            zones_total: job.zones_total,
            revision: job.revision,
            timestamp: job.timestamp.clone(),
            zone: Zone::from(zone),
        }))
    };
    page.zones.iter().map(zone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_deleted_job_its_names_are_told_and_durably() {
        let job = v1::Job { job_id: "J".into(), document_id: "d".into(), owner: "alice".into(), ..Default::default() };
        let change = Some(Change::Deleted(v1::JobDeleted {}));
        let event = v1::JobEvent { revision: 9, job: Some(Box::new(job)), change, ..Default::default() };
        let push = Push::event(&"mine".into(), "c".into(), &event).unwrap();
        assert_eq!(push.kind, Kind::Durable { job: "J".into(), revision: 9 });
        let expected = r#"{"type":"job-deleted","topic":"mine","cursor":"c","jobId":"J","documentId":"d","batchId":null,"owner":"alice","revision":9,"timestamp":null}"#;
        assert_eq!(push.frames.iter().map(|frame| frame.as_str()).collect::<Vec<_>>(), [expected]);
    }
}
