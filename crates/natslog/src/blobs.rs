//! Blobs: one message each, on a subject of its own. They are there while their job is: those of an earlier job of the same name
//! are older than its floor.

use std::time::Duration;

use bytes::Bytes;
use courant_joblog::ids::JobId;
use courant_joblog::log::{AppendError, Blob, ReadError, token};
use tokio::time::Instant;

use crate::append::Appender;
use crate::message::blob_title;
use crate::publish::{Outcome, OutgoingBlob, STORED_BYTES};
use crate::server::Unavailable;
use crate::subjects::Subjects;
use crate::view::Head;

const PAUSE: Duration = Duration::from_millis(20);

/// The newest entry of a job that is there. Asks again if none has arrived: the caller may know it from another server.
async fn job(appender: &Appender, job: &JobId, deadline: Instant) -> Result<Option<Head>, Unavailable> {
    let alive = || appender.view.newest(&token(job.as_str())).filter(|head| head.alive().is_some());
    if let Some(head) = alive() {
        return Ok(Some(head));
    }
    appender.sync(deadline).await?;
    Ok(alive())
}

/// Stores a blob of a job that has entries.
pub(crate) async fn store(appender: &Appender, of: &JobId, blob: Blob) -> Result<(), AppendError> {
    blob.check()?;
    let deadline = Instant::now() + appender.patience;
    let unknown = |reason: String| AppendError::Unknown { reason: reason.into() };
    loop {
        if let Some(reason) = appender.view.stopped() {
            return Err(AppendError::Unknown { reason });
        }
        if !appender.take_space(blob.bytes.len() + STORED_BYTES) {
            return Err(appender.note(AppendError::Full));
        }
        let found = job(appender, of, deadline).await.map_err(|error| unknown(error.to_string()))?;
        let Some(head) = found else { return Err(AppendError::Conflict { actual: None }) };
        let subjects = &appender.server.subjects;
        let entries = subjects.of_job(&head.owner, &token(of.as_str()));
        let outgoing = outgoing(subjects, &head.owner, of, &blob)?;
        let sent = appender.publisher.send_blob(outgoing, &entries, head.revision).await;
        match sent.outcome().await {
            Outcome::Stored(_) => return Ok(()),
            Outcome::Refused(error) => return Err(appender.note(error)),
            // The job went on meanwhile.
            Outcome::Elsewhere(at) => {
                appender.reach(at, deadline).await.map_err(|error| unknown(error.to_string()))?;
            }
            // Storing it twice is the same as once.
            Outcome::Busy(reason) | Outcome::Unclear(reason) if Instant::now() >= deadline => {
                return Err(unknown(reason));
            }
            Outcome::Busy(_) | Outcome::Unclear(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// A blob of a job of this owner, as it is sent.
pub(crate) fn outgoing(
    subjects: &Subjects,
    owner: &str,
    job: &JobId,
    Blob { name, bytes }: &Blob,
) -> Result<OutgoingBlob, AppendError> {
    let title = blob_title(job, name).map_err(|error| AppendError::Unencodable { reason: error.to_string() })?;
    Ok(OutgoingBlob { subject: subjects.blob(owner, job, name), title, bytes: bytes.clone() })
}

/// The bytes of a blob.
pub(crate) async fn load(appender: &Appender, of: &JobId, name: &str) -> Result<Option<Bytes>, ReadError> {
    let deadline = Instant::now() + appender.patience;
    let Some(head) = job(appender, of, deadline).await? else { return Ok(None) };
    let subject = appender.server.subjects.blob(&head.owner, of, name);
    let mut found = appender.server.leader_last(&subject).await?;
    if found.is_none() {
        // The leader may be behind the entry that speaks of it.
        appender.sync(deadline).await?;
        found = appender.server.leader_last(&subject).await?;
    }
    Ok(found.filter(|message| message.sequence > head.floor).map(|message| message.payload))
}

/// Removes a blob of a job, if it is there.
pub(crate) async fn remove(appender: &Appender, of: &JobId, name: &str) -> Result<(), AppendError> {
    let unknown = |error: Unavailable| AppendError::Unknown { reason: error.to_string().into() };
    let found = job(appender, of, Instant::now() + appender.patience).await.map_err(unknown)?;
    let Some(head) = found else { return Ok(()) };
    let subject = appender.server.subjects.blob(&head.owner, of, name);
    appender.server.purge(&subject, None).await.map_err(unknown)
}

/// Removes what a forgotten job has left.
pub(crate) async fn remove_all(appender: &Appender, owner: &str, job: &str, before: u64) {
    let all = appender.server.subjects.blobs(owner, job);
    if let Err(error) = appender.server.purge(&all, Some(before)).await {
        // Nobody sees them any more; they take space until the job is made and forgotten again.
        tracing::warn!(%error, "blobs of a forgotten job stay in the stream");
    }
}
