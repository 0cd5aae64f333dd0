//! What servers tell each other, as MessagePack with names: fields that a version does not know are passed over, and so is a message
//! that it cannot read.

use std::time::Duration;

use bytes::Bytes;
use courant_engine::hub::watch_queue::TransientChange;
use courant_engine::view::LiveProgress;
use courant_joblog::ids::{JobId, Revision, WorkerId};
use courant_joblog::job::{Format, Progress, Zone};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::progress_outbox::Update;
use crate::worker::registry::{ServerId, WorkerCapabilities, WorkerStatus};

/// Goes to all servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerMessage {
    /// Who sends it: a random number of its own for each start.
    pub server: u64,
    /// What operators call it.
    pub name: String,
    /// After so long without a word it and its workers are gone: its lease, in milliseconds.
    #[serde(default)]
    pub lease_ms: Option<u64>,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Content {
    /// Workers that the server looks after, maybe not all.
    Workers(Vec<WorkerMessage>),
    /// An operator wants a worker to take nothing new, or to go on. For the server that looks after it.
    Drain {
        worker: String,
        drained: bool,
    },
    /// A server that has just come asks the others for their workers.
    Ask,
    /// Whether somebody follows a job. `question` is in the answers.
    WhoFollows {
        question: u64,
        job: String,
    },
    Follows {
        question: u64,
        followed: bool,
    },
    /// An operator wants the connections of a user closed, at the bridges of all servers.
    CloseUser {
        user: String,
    },
}

/// A worker, as [`WorkerStatus`] has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerMessage {
    worker: String,
    subject: String,
    kinds: Vec<String>,
    slots: u32,
    software: String,
    takes_parts: bool,
    #[serde(default)]
    process: u64,
    #[serde(default)]
    stream: u64,
    connected: bool,
    drained: bool,
    silence_ms: u64,
}

/// Progress of jobs of one partition.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProgressMessage {
    pub server: u64,
    updates: Vec<ProgressUpdate>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ProgressUpdate {
    job: String,
    /// 0 from a server that does not say it yet.
    #[serde(default)]
    revision: u64,
    attempt: u32,
    progress: Progress,
    zone: Option<Zone>,
    change: ProgressChange,
}

#[derive(Debug, Serialize, Deserialize)]
enum ProgressChange {
    Progress,
    Zone(Zone),
    Export { format: Format, percent: f64 },
}

/// Writes a message. What cannot be written is a defect of this module.
pub fn encode(message: &impl Serialize) -> Option<Bytes> {
    let written = rmp_serde::to_vec_named(message);
    written
        .inspect_err(|error| tracing::error!(%error, "a message to other servers cannot be written"))
        .ok()
        .map(Bytes::from)
}

/// Reads a message. One that this version does not know is passed over.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let read = rmp_serde::from_slice(bytes);
    read.inspect_err(|error| tracing::debug!(%error, "a message of another server cannot be read")).ok()
}

impl From<&WorkerStatus> for WorkerMessage {
    fn from(status: &WorkerStatus) -> Self {
        let WorkerCapabilities { kinds, slots, software, takes_parts, process, stream } = &status.capabilities;
        Self {
            worker: status.worker.to_string(),
            subject: status.subject.to_string(),
            kinds: kinds.iter().map(ToString::to_string).collect(),
            slots: *slots,
            software: software.to_string(),
            takes_parts: *takes_parts,
            process: *process,
            stream: *stream,
            connected: status.connected,
            drained: status.drained,
            silence_ms: u64::try_from(status.silence.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl From<WorkerMessage> for WorkerStatus {
    fn from(message: WorkerMessage) -> Self {
        Self {
            worker: WorkerId::new(message.worker),
            subject: message.subject.into(),
            capabilities: WorkerCapabilities {
                kinds: message.kinds.into_iter().map(Box::from).collect(),
                slots: message.slots,
                software: message.software.into(),
                takes_parts: message.takes_parts,
                process: message.process,
                stream: message.stream,
            },
            connected: message.connected,
            drained: message.drained,
            // Beyond a year it makes no difference.
            silence: Duration::from_millis(message.silence_ms).min(Duration::from_secs(365 * 24 * 3600)),
        }
    }
}

impl ProgressMessage {
    pub fn new(ServerId(server): ServerId, updates: Vec<Update>) -> Self {
        Self { server, updates: updates.into_iter().filter_map(ProgressUpdate::of).collect() }
    }

    pub fn into_updates(self) -> impl Iterator<Item = Update> {
        self.updates.into_iter().map(Update::from)
    }
}

impl ProgressUpdate {
    fn of(Update { job, revision, live, change }: Update) -> Option<Self> {
        let change = match change {
            TransientChange::Progress => ProgressChange::Progress,
            TransientChange::Zone(zone) => ProgressChange::Zone(zone),
            TransientChange::Export { format, percent } => ProgressChange::Export { format, percent },
            // Each server knows the positions itself.
            TransientChange::Position => return None,
        };
        let LiveProgress { attempt, progress, zone } = live;
        Some(Self { job: job.to_string(), revision: revision.0, attempt, progress, zone, change })
    }
}

impl From<ProgressUpdate> for Update {
    fn from(ProgressUpdate { job, revision, attempt, progress, zone, change }: ProgressUpdate) -> Self {
        let change = match change {
            ProgressChange::Progress => TransientChange::Progress,
            ProgressChange::Zone(zone) => TransientChange::Zone(zone),
            ProgressChange::Export { format, percent } => TransientChange::Export { format, percent },
        };
        let live = LiveProgress { attempt, progress, zone };
        Self { job: JobId::new(job), revision: Revision(revision), live, change }
    }
}

#[cfg(test)]
mod tests {
    use courant_engine::testing::queued;
    use proptest::prelude::*;

    use super::*;

    fn message(content: Content) -> ServerMessage {
        ServerMessage { server: 7, name: "one".into(), lease_ms: Some(30_000), content }
    }

    fn worker() -> WorkerMessage {
        WorkerMessage {
            worker: "w".into(),
            subject: "worker".into(),
            kinds: vec!["pdf".into()],
            slots: 2,
            software: "test 1.0".into(),
            takes_parts: true,
            process: 9,
            stream: 2,
            connected: true,
            drained: false,
            silence_ms: 1_500,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let drain = Content::Drain { worker: "w".into(), drained: true };
        let asks = Content::WhoFollows { question: 3, job: "J".into() };
        for content in [
            Content::Workers(vec![worker()]),
            drain,
            Content::Ask,
            asks,
            Content::Follows { question: 3, followed: true },
        ] {
            let sent = message(content);
            assert_eq!(decode::<ServerMessage>(&encode(&sent).unwrap()), Some(sent));
        }
        assert_eq!(WorkerMessage::from(&WorkerStatus::from(worker())), worker());
    }

    #[test]
    fn progress_arrives_as_it_was_reported() {
        let live = LiveProgress { attempt: 3, progress: queued("J", "alice").progress, zone: None };
        let export = TransientChange::Export { format: Format::Json, percent: 12.0 };
        let update = |change| Update { job: JobId::new("J"), revision: Revision(5), live: live.clone(), change };
        let sent = vec![update(TransientChange::Progress), update(export), update(TransientChange::Position)];
        let bytes = encode(&ProgressMessage::new(ServerId(7), sent)).unwrap();
        let read: Vec<Update> = decode::<ProgressMessage>(&bytes).unwrap().into_updates().collect();
        assert_eq!(read.len(), 2, "positions are everybody's own");
        assert!(
            read.iter()
                .all(|update| update.live == live && update.job == JobId::new("J") && update.revision == Revision(5))
        );
        assert!(matches!(read[1].change, TransientChange::Export { format: Format::Json, percent } if percent == 12.0));
    }

    #[test]
    fn a_newer_version_may_say_more() {
        #[derive(Serialize)]
        struct Newer {
            server: u64,
            name: &'static str,
            zone: &'static str,
            content: Content,
        }
        let newer = Newer { server: 7, name: "one", zone: "eu-1", content: Content::Ask };
        let read = decode::<ServerMessage>(&encode(&newer).unwrap());
        assert_eq!(read, Some(ServerMessage { lease_ms: None, ..message(Content::Ask) }));
        #[derive(Serialize)]
        enum Unknown {
            Election,
        }
        #[derive(Serialize)]
        struct Other {
            server: u64,
            name: &'static str,
            content: Unknown,
        }
        let other = Other { server: 7, name: "one", content: Unknown::Election };
        assert_eq!(decode::<ServerMessage>(&encode(&other).unwrap()), None);
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = decode::<ServerMessage>(&bytes);
            let _ = decode::<ProgressMessage>(&bytes);
        }
    }
}
