//! Submitting: the document is hashed, measured and stored while it arrives; the job exists once its first event does.

use std::sync::Arc;

use courant_auth::Identity;
use courant_engine::reservation::Reservation;
use courant_engine::snapshot::JobSnapshot;
use courant_joblog::event::Change;
use courant_joblog::ids::Revision;
use courant_joblog::log::{Blob, Filter, Record};
use courant_proto::v1::submit_job_request::Part;
use courant_proto::v1::{SubmitJobHeader, SubmitJobRequest, SubmitJobResponse};
use futures::{Stream, TryStreamExt as _};
use tonic::{Code, Status};

use super::submit_request::SubmitRequest;
use crate::audit;
use crate::convert;
use crate::error::Error;
use crate::files::{Document, DocumentWriter, JobFile};
use crate::incoming_body::IncomingBody;
use crate::job_folder::JobFolder;
use crate::objects::Stored;
use crate::parameters;
use crate::passwords;
use crate::services::Services;
use crate::worker::dispatch::NewClaim;
use crate::worker::registry::Registry;

/// The largest piece of a document in bytes.
pub const MAX_CHUNK: usize = 1 << 20;

/// A header and a document, as they arrive.
pub type Parts<'a> = dyn Stream<Item = Result<SubmitJobRequest, Status>> + Send + Unpin + 'a;

/// Takes a document in and makes a job of it.
pub async fn submit(
    services: &Arc<Services>,
    registry: &Arc<Registry>,
    identity: &Identity,
    parts: &mut Parts<'_>,
) -> Result<SubmitJobResponse, Error> {
    let mut body = IncomingBody::begin(services, &identity.subject, services.objects.write_buffers()).await?;
    let request = SubmitRequest::check(body.next(header(parts)).await?, identity, &services.config)?;
    let reservation = reserve(services, &request)?;
    let writer = services.files.receive_document();
    let upload = Upload { services, request: &request, reservation: reservation.as_ref(), body, writer };
    let document = upload.receive(parts).await?;
    check_sum(&request, &document)?;
    // A caller that goes away from here on may have its job or not, but never half of it.
    let commit = commit(services.clone(), Some(registry.clone()), request, document, reservation);
    let submitted = services.run_detached(commit).await?;
    answer(services, &submitted).await
}

/// The job of a submit.
pub struct Submitted {
    pub snapshot: JobSnapshot,
    /// The revision of its first event; `None` when it was there before.
    first: Option<Revision>,
}

impl Submitted {
    /// A job that an earlier call made.
    pub fn before(snapshot: JobSnapshot) -> Self {
        Self { snapshot, first: None }
    }
}

/// The job, and the cursor just before its first event.
pub async fn answer(services: &Services, submitted: &Submitted) -> Result<SubmitJobResponse, Error> {
    let before = match submitted.first {
        Some(first) => Revision(first.0.saturating_sub(1)),
        None => before_first(services, &submitted.snapshot).await?,
    };
    let job = convert::with_expire_time(services.config.retention, convert::snapshot(&submitted.snapshot));
    Ok(SubmitJobResponse { job: Some(job), cursor: services.engine.cursor(before).encode() })
}

async fn header(parts: &mut Parts<'_>) -> Result<SubmitJobHeader, Error> {
    match next(parts).await? {
        Some(Part::Header(header)) => Ok(header),
        _ => Err(Error::WrongOrder("the first message must be the header")),
    }
}

async fn next(parts: &mut Parts<'_>) -> Result<Option<Part>, Error> {
    let message = parts.try_next().await.map_err(|status| match status.code() {
        Code::OutOfRange => Error::field("chunk", "must be at most 1 MiB, and a whole message at most 64 KiB more"),
        // A broken stream has no one left to answer; what arrived so far is dropped.
        _ => Error::WrongOrder("the upload was cut off"),
    })?;
    match message {
        None => {
            // A client that gave up looks like the end of the stream until this call is dropped, which happens when it
            // waits: half a document must not be taken for a whole one.
            tokio::task::yield_now().await;
            Ok(None)
        }
        Some(SubmitJobRequest { part: Some(part) }) => Ok(Some(part)),
        Some(SubmitJobRequest { part: None }) => Err(Error::WrongOrder("every message must be a header or a chunk")),
    }
}

/// A reservation in the owner's quotas; none is needed for a request that has made its job already.
pub fn reserve(services: &Arc<Services>, request: &SubmitRequest) -> Result<Option<Reservation>, Error> {
    let made = || services.engine.get(&request.id).is_some();
    if made() {
        return Ok(None);
    }
    match Reservation::make(
        &services.engine,
        &services.projections.quotas,
        &request.owner,
        &request.id,
        request.bytes.unwrap_or(0),
    ) {
        // The same request was quicker on another connection.
        Err(_) if made() => Ok(None),
        reserved => Ok(Some(reserved?)),
    }
}

struct Upload<'a> {
    services: &'a Services,
    request: &'a SubmitRequest,
    reservation: Option<&'a Reservation>,
    body: IncomingBody<'a>,
    writer: DocumentWriter<'a>,
}

impl Upload<'_> {
    async fn receive(mut self, parts: &mut Parts<'_>) -> Result<Document, Error> {
        match self.stream_body(parts).await {
            Ok(()) => self.writer.finish().await,
            Err(error) => {
                self.writer.file.abort().await;
                Err(error)
            }
        }
    }

    async fn stream_body(&mut self, parts: &mut Parts<'_>) -> Result<(), Error> {
        while let Some(part) = self.body.next(next(parts)).await? {
            let Part::Chunk(chunk) = part else {
                return Err(Error::WrongOrder("only the first message may be a header"));
            };
            if !(1..=MAX_CHUNK).contains(&chunk.len()) {
                return Err(Error::field("chunk", "must have 1 byte to 1 MiB"));
            }
            let found = self.writer.file.bytes() + chunk.len() as u64;
            check_limit(self.services, self.request, self.reservation, found)?;
            self.body.grow(chunk.len()).await?;
            self.writer.file.push(chunk).await?;
        }
        check_whole(self.request, self.writer.file.bytes())
    }
}

/// Whether the document may have so many bytes.
pub fn check_limit(
    services: &Services,
    request: &SubmitRequest,
    reservation: Option<&Reservation>,
    found: u64,
) -> Result<(), Error> {
    let limit = services.config.max_document_bytes;
    if found > limit {
        return Err(Error::DocumentTooLarge { limit });
    }
    if let Some(promised) = request.bytes.filter(|promised| found > *promised) {
        return Err(Error::DocumentCut { promised, found });
    }
    match reservation.map_or(Ok(()), |reservation| reservation.grow(found)) {
        Err(_) if services.engine.get(&request.id).is_some() => Ok(()),
        grown => Ok(grown?),
    }
}

/// Whether a document of so many bytes is all of it.
pub fn check_whole(request: &SubmitRequest, found: u64) -> Result<(), Error> {
    match request.bytes {
        _ if found == 0 => Err(Error::DocumentEmpty),
        Some(promised) if promised != found => Err(Error::DocumentCut { promised, found }),
        Some(_) | None => Ok(()),
    }
}

/// Whether it is the document that was promised.
pub fn check_sum(request: &SubmitRequest, Document { stored, .. }: &Document) -> Result<(), Error> {
    match &request.sha256 {
        Some(promised) if !promised.eq_ignore_ascii_case(&stored.sha256) => {
            Err(Error::ChecksumMismatch { found: stored.sha256.to_string() })
        }
        Some(_) | None => Ok(()),
    }
}

/// Moves the document to its final path and puts the job into the log, or finds the job that this request made before. With
/// a registry of workers, a job that would be given out at once starts in the same commit.
pub async fn commit(
    services: Arc<Services>,
    registry: Option<Arc<Registry>>,
    request: SubmitRequest,
    document: Document,
    mut reservation: Option<Reservation>,
) -> Result<Submitted, Error> {
    audit::note_job(request.id.as_str());
    // Who removes a job holds its files, too: a repeat of its request waits until they are gone.
    let _hold = services.holds.take(&request.id).await;
    let stored = document.stored.clone();
    if let Some(snapshot) = services.engine.get(&request.id) {
        return Ok(Submitted::before(same(snapshot, &request, &stored)?));
    }
    if reservation.is_none() {
        // It was there when this call began, and was removed since.
        reservation = Some(Reservation::make(
            &services.engine,
            &services.projections.quotas,
            &request.owner,
            &request.id,
            stored.bytes,
        )?);
    }
    let folder = JobFolder::for_new(request.id.clone(), services.engine.is_shared());
    let file = JobFile::document(folder.clone(), &stored.sha256);
    let mut blobs: Vec<Blob> = services.files.place_document(&file, document).await?.into_iter().collect();
    blobs.extend(request.parameters.as_ref().and_then(|text| parameters::file(&services.files, &folder, text)));
    if request.callback.is_some() {
        // Before the job: what sends its end begins to look from here.
        let now = services.engine.cursor(*services.engine.applied().borrow());
        services.webhooks.ensure_callback(&request.owner, now).await?;
    }
    let password = match &request.password {
        Some(password) => Some(passwords::store(&services, &folder, &password.text).await?),
        None => None,
    };
    let submission = request.clone().submission(&stored, password.clone(), folder.own(), &services.config);
    let start = registry.and_then(|registry| NewClaim::make(&services, &registry, &submission));
    let worker = start.as_ref().map(|claim| claim.worker().clone());
    let submission = Change::Submitted(Box::new(submission));
    let (snapshot, first) = services.engine.create(submission, request.id.clone(), blobs, worker).await?;
    drop(reservation);
    if let (Some(start), Some(_)) = (start, first) {
        start.assign(&snapshot.current.job).await;
    }
    if first.is_some() {
        tracing::info!(job = %snapshot.current.job.id, owner = %request.owner, bytes = stored.bytes, "job submitted");
    } else {
        passwords::drop_unused(&services, &folder, password.as_deref()).await;
    }
    if JobFolder::of(&snapshot.current.job) != folder {
        services.files.drop_document(&file).await;
    }
    Ok(Submitted { snapshot: same(snapshot, &request, &stored)?, first })
}

/// The job, if it is what this request asks for. Its owner is compared although the id is derived from it: an id is only as
/// good as its hash.
fn same(snapshot: JobSnapshot, request: &SubmitRequest, stored: &Stored) -> Result<JobSnapshot, Error> {
    let job = &snapshot.current.job;
    let is_same = job.owner == request.owner
        && job.request == request.request
        && job.document.sha256 == stored.sha256
        && job.later.parameters == request.parameters.as_ref().map(parameters::for_log)
        && job.later.callback == request.callback;
    if !is_same {
        return Err(Error::RequestIdMismatch);
    }
    Ok(snapshot)
}

/// The position just before the job's first event. An earlier job of the same request may have been removed.
async fn before_first(services: &Services, snapshot: &JobSnapshot) -> Result<Revision, Error> {
    let filter = Filter::Job(snapshot.current.job.id.clone());
    let first = services.engine.log.read(Revision::ZERO, &filter, 1).await?.pop();
    Ok(match first {
        Some(entry) if entry.record == Record::Forgotten => entry.revision,
        Some(entry) => Revision(entry.revision.0.saturating_sub(1)),
        None => Revision(snapshot.current.revision.0.saturating_sub(1)),
    })
}

#[cfg(test)]
mod tests {
    use courant_joblog::ids::{Owner, RequestId};

    use super::*;
    use courant_engine::testing::queued;
    use courant_engine::view::CurrentJob;

    /// Were two requests ever to give one id, nobody may be handed another's job.
    #[test]
    fn a_job_of_another_owner_or_request_is_never_given_out() {
        let job = queued("J", "alice");
        let stored = Stored { bytes: 1, sha256: job.document.sha256.clone() };
        let snapshot = |job| JobSnapshot {
            current: CurrentJob {
                revision: Revision(1),
                job: Arc::new(job),
                live: None,
                since: courant_engine::clock::Moment::default(),
            },
            position: None,
            remaining: None,
            elapsed: None,
        };
        let request = |owner: &str, request: Option<&str>| {
            let identity = Identity { subject: owner.into(), ..super::super::submit_request::tests::nobody() };
            let header =
                SubmitJobHeader { request_id: request.unwrap_or_default().into(), ..SubmitJobHeader::default() };
            SubmitRequest::check(header, &identity, &engine_config()).unwrap()
        };
        assert!(same(snapshot(job.clone()), &request("alice", None), &stored).is_ok());
        assert!(matches!(
            same(snapshot(job.clone()), &request("mallory", None), &stored),
            Err(Error::RequestIdMismatch)
        ));
        assert!(matches!(
            same(snapshot(job.clone()), &request("alice", Some("r")), &stored),
            Err(Error::RequestIdMismatch)
        ));
        let other = Stored { bytes: 1, sha256: "other".into() };
        assert!(matches!(same(snapshot(job), &request("alice", None), &other), Err(Error::RequestIdMismatch)));
        assert_ne!(
            courant_joblog::ids::JobId::derived(&Owner::new("a"), &RequestId::new("b")),
            courant_joblog::ids::JobId::derived(&Owner::new("ab"), &RequestId::new("")),
        );
    }

    fn engine_config() -> crate::Config {
        crate::Config::new("d")
    }
}
