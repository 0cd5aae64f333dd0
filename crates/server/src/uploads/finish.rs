//! From the last piece to the job.

use std::sync::Arc;

use courant_auth::Identity;
use courant_proto::v1::{Job, SubmitJobResponse, Upload};
use futures::TryStreamExt;

use super::held::{self, Held};
use super::held::{Name, unfinished};
use crate::engine::Engine;
use crate::error::Error;
use crate::jobs::submit;
use crate::objects::{Stored, Writer};
use crate::snapshot::JobSnapshot;

/// An upload, and the job it has become if it has.
#[derive(Debug)]
pub struct Outcome {
    pub upload: Upload,
    pub job: Option<Job>,
    /// Just before the job's first event; empty without one.
    pub cursor: String,
}

/// How far an upload is. If all its bytes are there and no job is, it becomes one. Must run to its end.
pub async fn state(engine: Arc<Engine>, identity: Identity, name: Name) -> Result<Outcome, Error> {
    if let Some(seen) = job(&engine, &name) {
        return finished(&engine, &name, &seen).await;
    }
    let held = held::find(&engine, &name).await?.ok_or_else(|| name.not_found())?;
    if !held.is_whole() {
        return Ok(Outcome { upload: unfinished(&held), job: None, cursor: String::new() });
    }
    // Two that ask at once must not both put it together.
    let _turn = name.turn(&engine).await;
    let seen = match job(&engine, &name) {
        Some(seen) => seen,
        None => submit(&engine, &identity, &name).await?,
    };
    finished(&engine, &name, &seen).await
}

/// The job that it has become.
fn job(engine: &Engine, name: &Name) -> Option<JobSnapshot> {
    engine.get(&name.id).filter(|seen| seen.known.job.owner == name.owner)
}

async fn finished(engine: &Engine, name: &Name, seen: &JobSnapshot) -> Result<Outcome, Error> {
    let SubmitJobResponse { job, cursor } = submit::answer(engine, seen).await?;
    let length_bytes = seen.known.job.document.bytes as i64;
    let upload = Upload { upload_id: name.id.to_string(), length_bytes, offset_bytes: length_bytes, expire_time: None };
    Ok(Outcome { upload, job, cursor })
}

async fn submit(engine: &Arc<Engine>, identity: &Identity, name: &Name) -> Result<JobSnapshot, Error> {
    let held = held::find(engine, name).await?.filter(Held::is_whole).ok_or_else(|| name.not_found())?;
    let wish = held.wish(engine, identity)?;
    let room = submit::reserve(engine, &wish)?;
    let draft = engine.objects.upload();
    let stored = join(engine, &held, engine.objects.write(draft.path())).await?;
    if wish.sha256.as_deref().is_some_and(|promised| !promised.eq_ignore_ascii_case(&stored.sha256)) {
        // It will never fit: who has the right bytes begins anew.
        engine.objects.remove_resumable(&held.place).await?;
        return Err(Error::ChecksumMismatch { found: stored.sha256.into() });
    }
    let seen = submit::commit(engine.clone(), wish, stored, draft, room).await?;
    // The job is there; what is left of the upload is found by the sweep.
    if let Err(error) = engine.objects.remove_resumable(&held.place).await {
        tracing::warn!(upload = %name.id, %error, "the pieces of a finished upload are left; the next sweep takes them");
    }
    Ok(seen)
}

/// Streams the pieces into one document.
async fn join(engine: &Engine, held: &Held, mut writer: Writer) -> Result<Stored, Error> {
    let mut copy = async || -> Result<(), Error> {
        for piece in &held.pieces {
            let mut bytes = engine.objects.read(&held.place.file(&piece.name), 0, None).await?;
            while let Some(bytes) = bytes.try_next().await? {
                writer.push(bytes).await?;
            }
        }
        Ok(())
    };
    match copy().await {
        Ok(()) => writer.finish().await,
        Err(error) => {
            writer.abort().await;
            Err(error)
        }
    }
}
