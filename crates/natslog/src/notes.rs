//! Notes: one message each, on a subject of its own that keeps the newest.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::message::StreamMessage;
use async_trait::async_trait;
use bytes::Bytes;
use courant_joblog::ids::Revision;
use courant_joblog::log::{AppendError, ReadError};
use courant_joblog::notes::{self, Note, NoteKey, Notes, Put};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::append::Appender;
use crate::publish::{Outcome, STORED_BYTES};
use crate::server::Unavailable;

const PAUSE: Duration = Duration::from_millis(20);

/// The notes of a stream.
#[derive(Debug)]
pub(crate) struct NatsNotes(pub(crate) Arc<Appender>);

#[async_trait]
impl Notes for NatsNotes {
    async fn put(&self, key: &NoteKey, bytes: Bytes, put: Put) -> Result<Revision, AppendError> {
        notes::check(&bytes)?;
        let Self(appender) = self;
        let deadline = Instant::now() + appender.patience;
        let subject = appender.server.subjects.note(key);
        loop {
            if let Some(reason) = appender.view.stopped() {
                return Err(AppendError::Unknown { reason });
            }
            if !appender.take_space(bytes.len() + STORED_BYTES) {
                return Err(appender.note(AppendError::Full));
            }
            let sent = appender.publisher.send_note(subject.clone(), bytes.clone(), put).await;
            match sent.outcome().await {
                Outcome::Stored(revision) => return Ok(revision),
                Outcome::Elsewhere(at) => return Err(AppendError::Conflict { actual: Some(Revision(at)) }),
                Outcome::Refused(error) => return Err(appender.note(error)),
                Outcome::Busy(reason) | Outcome::Unclear(reason) if Instant::now() >= deadline => {
                    return Err(AppendError::Unknown { reason: reason.into() });
                }
                // Storing it twice is the same as once.
                Outcome::Busy(_) | Outcome::Unclear(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn read(&self, after: Revision, up_to: Revision, limit: usize) -> Result<Vec<Note>, ReadError> {
        let Self(appender) = self;
        appender.view.check()?;
        // What is known to be there; without it nobody is asked.
        let newest = appender.view.newest_note().min(up_to.0);
        if after.0 >= newest {
            return Ok(Vec::new());
        }
        let (server, subject) = (&appender.server, appender.server.subjects.notes());
        let mut page = server.messages(&subject, after.0, limit.max(1)).await?;
        if page.is_empty() {
            // The node that answered may be behind.
            server.leader_has(newest).await?;
            page.extend(server.leader_next(&subject, after.0 + 1).await?);
        }
        let note = |message: StreamMessage| Note { revision: Revision(message.sequence), bytes: message.payload };
        let mut page: Vec<Note> = page.into_iter().map(note).collect();
        page.retain(|note| note.revision <= up_to);
        Ok(page)
    }

    fn arrived(&self) -> watch::Receiver<Revision> {
        self.0.view.arrived()
    }

    async fn remove(&self, key: &NoteKey) -> Result<(), AppendError> {
        self.purge(&self.0.server.subjects.note(key), None).await
    }

    async fn remove_older(&self, kind: &'static str, than: Revision) -> Result<(), AppendError> {
        self.purge(&self.0.server.subjects.notes_of(kind), Some(than.0)).await
    }
}

impl NatsNotes {
    async fn purge(&self, subject: &str, before: Option<u64>) -> Result<(), AppendError> {
        let unknown = |error: Unavailable| AppendError::Unknown { reason: error.to_string().into() };
        self.0.server.purge(subject, before).await.map_err(unknown)
    }
}
