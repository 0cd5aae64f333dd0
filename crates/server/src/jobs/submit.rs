//! Submitting: the document is hashed, measured and stored while it arrives; the job exists once its first event does.

use std::collections::BTreeMap;

use courant_auth::{Identity, Role};
use courant_joblog::event::{Change, Submission};
use courant_joblog::ids::{BatchId, DocumentId, JobId, Owner, RequestId, Revision};
use courant_joblog::job::{Document, Format, Lane};
use courant_joblog::log::Filter;
use courant_proto::v1::submit_job_request::Part;
use courant_proto::v1::{SubmitJobHeader, SubmitJobRequest, SubmitJobResponse};
use object_store::path::Path;
use tonic::Streaming;

use super::id_in;
use crate::auth::require;
use crate::convert;
use crate::engine::{Engine, Seen};
use crate::error::Error;
use crate::objects::{Objects, Stored, Writer};

/// The longest file name in bytes.
pub const MAX_FILENAME: usize = 255;
/// How many labels a job may have.
pub const MAX_LABELS: usize = 32;
/// The longest key of a label in bytes.
pub const MAX_LABEL_KEY: usize = 63;
/// The longest value of a label in bytes.
pub const MAX_LABEL_VALUE: usize = 255;
/// The longest name of a kind in bytes.
pub const MAX_KIND: usize = 64;
/// The kind of jobs that name none.
const DEFAULT_KIND: &str = "pdf";

/// Takes a document in and makes a job of it.
pub async fn submit(
    engine: &Engine,
    identity: &Identity,
    mut parts: Streaming<SubmitJobRequest>,
) -> Result<SubmitJobResponse, Error> {
    let wish = Wish::check(header(&mut parts).await?, identity)?;
    let draft = engine.objects.upload();
    let stored = receive(engine, &mut parts, &draft).await?;
    let result = settle(engine, wish, &stored, &draft).await;
    if result.is_err() {
        engine.objects.remove(&draft).await;
    }
    let seen = result?;
    let cursor = engine.cursor(first_revision(engine, &seen).await?).encode();
    Ok(SubmitJobResponse { job: Some(convert::seen(&seen)), cursor })
}

async fn header(parts: &mut Streaming<SubmitJobRequest>) -> Result<SubmitJobHeader, Error> {
    match next(parts).await? {
        Some(Part::Header(header)) => Ok(header),
        _ => Err(Error::WrongOrder("the first message must be the header")),
    }
}

async fn next(parts: &mut Streaming<SubmitJobRequest>) -> Result<Option<Part>, Error> {
    // A broken stream has no one left to answer; what arrived so far is dropped.
    let message = parts.message().await.map_err(|_| Error::WrongOrder("the upload was cut off"))?;
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

async fn receive(engine: &Engine, parts: &mut Streaming<SubmitJobRequest>, draft: &Path) -> Result<Stored, Error> {
    let mut writer = engine.objects.write(draft.clone());
    match pour(engine.config.max_document_bytes, parts, &mut writer).await {
        Ok(()) => writer.finish().await,
        Err(error) => {
            writer.abort().await;
            Err(error)
        }
    }
}

async fn pour(limit: u64, parts: &mut Streaming<SubmitJobRequest>, writer: &mut Writer) -> Result<(), Error> {
    while let Some(part) = next(parts).await? {
        let Part::Chunk(chunk) = part else {
            return Err(Error::WrongOrder("only the first message may be a header"));
        };
        if writer.bytes() + chunk.len() as u64 > limit {
            return Err(Error::DocumentTooLarge { limit });
        }
        writer.push(chunk).await?;
    }
    if writer.bytes() == 0 { Err(Error::DocumentEmpty) } else { Ok(()) }
}

/// Puts the document in its place and the job into the log, or finds the job that this request made before.
async fn settle(engine: &Engine, wish: Wish, stored: &Stored, draft: &Path) -> Result<Seen, Error> {
    if wish.sha256.as_deref().is_some_and(|promised| !promised.eq_ignore_ascii_case(&stored.sha256)) {
        return Err(Error::ChecksumMismatch { found: stored.sha256.to_string() });
    }
    let submission = wish.submission(stored, engine);
    let id = submission.id.clone();
    if engine.get(&id).is_none() {
        engine.objects.rename(draft, &place(&engine.objects, &submission)).await?;
    }
    let owner = submission.owner.clone();
    let (seen, new) = engine.create(Change::Submitted(Box::new(submission)), id).await?;
    if new {
        tracing::info!(job = %seen.known.job.id, %owner, bytes = stored.bytes, "job submitted");
    } else {
        engine.objects.remove(draft).await;
        if seen.known.job.document.sha256 != stored.sha256 {
            return Err(Error::RequestIdMismatch);
        }
    }
    Ok(seen)
}

fn place(objects: &Objects, submission: &Submission) -> Path {
    objects.document(&submission.id, &submission.document.sha256)
}

/// The position just before the job's first event.
async fn first_revision(engine: &Engine, seen: &Seen) -> Result<Revision, Error> {
    let filter = Filter::Job(seen.known.job.id.clone());
    let first = engine.log.read(Revision::ZERO, &filter, 1).await?;
    let first = first.first().map_or(seen.known.revision, |entry| entry.revision);
    Ok(Revision(first.0.saturating_sub(1)))
}

/// A header whose every field is in its range.
struct Wish {
    owner: Owner,
    request: Option<RequestId>,
    document: DocumentId,
    batch: Option<BatchId>,
    name: Box<str>,
    lane: Option<Lane>,
    labels: BTreeMap<String, String>,
    kind: Box<str>,
    formats: Vec<Format>,
    sha256: Option<String>,
}

impl Wish {
    fn check(header: SubmitJobHeader, identity: &Identity) -> Result<Self, Error> {
        let document = id_in("document_id", &header.document_id)?.map(str::to_owned);
        Ok(Self {
            owner: owner(&header, identity)?,
            request: id_in("request_id", &header.request_id)?.map(RequestId::new),
            document: DocumentId::new(document.unwrap_or_else(|| JobId::random().to_string())),
            batch: id_in("batch_id", &header.batch_id)?.map(BatchId::new),
            name: name(&header.filename)?,
            lane: convert::lane_in(header.lane)?,
            kind: kind(&header.kind)?,
            formats: formats(&header.formats)?,
            sha256: sha256(&header.sha256)?,
            labels: labels(header.labels)?,
        })
    }

    fn submission(self, stored: &Stored, engine: &Engine) -> Submission {
        let id = match &self.request {
            Some(request) => JobId::derived(&self.owner, request),
            None => JobId::random(),
        };
        let large = stored.bytes > engine.config.large_document_bytes;
        let lane = if large { Lane::Large } else { self.lane.unwrap_or(Lane::Normal) };
        let (bytes, sha256) = (stored.bytes, stored.sha256.clone());
        Submission {
            id,
            owner: self.owner,
            document: Document { id: self.document, name: self.name, bytes, sha256 },
            batch: self.batch,
            request: self.request,
            kind: self.kind,
            lane,
            labels: self.labels,
            formats: self.formats,
            max_attempts: engine.config.max_attempts,
            pages: None,
            batch_size: None,
            cancel_unwatched_ms: None,
        }
    }
}

fn owner(header: &SubmitJobHeader, identity: &Identity) -> Result<Owner, Error> {
    if header.owner.is_empty() || header.owner == identity.subject {
        return Ok(Owner::new(identity.subject.as_str()));
    }
    require(identity, Role::Service, "service")?;
    if header.owner.len() > courant_auth::token::MAX_SUBJECT_BYTES {
        return Err(Error::field("owner", "must have at most 255 bytes"));
    }
    Ok(Owner::new(header.owner.as_str()))
}

fn name(filename: &str) -> Result<Box<str>, Error> {
    let name = filename.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    if name.len() > MAX_FILENAME {
        return Err(Error::field("filename", format!("must have at most {MAX_FILENAME} bytes")));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::field("filename", "must not have control characters"));
    }
    Ok(if name.is_empty() { "document".into() } else { name.into() })
}

fn kind(kind: &str) -> Result<Box<str>, Error> {
    let kind = if kind.is_empty() { DEFAULT_KIND } else { kind };
    if is_kind(kind) { Ok(kind.into()) } else { Err(Error::field("kind", "must be 1 to 64 of [a-z0-9-]")) }
}

/// Whether this can be the name of a kind of work.
pub fn is_kind(kind: &str) -> bool {
    (1..=MAX_KIND).contains(&kind.len())
        && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn formats(wanted: &[i32]) -> Result<Vec<Format>, Error> {
    if wanted.is_empty() {
        return Ok(Format::ALL.to_vec());
    }
    let wanted = wanted.iter().map(|format| convert::format_in("formats", *format)).collect::<Result<Vec<_>, _>>()?;
    Ok(Format::ALL.into_iter().filter(|format| wanted.contains(format)).collect())
}

fn sha256(promised: &str) -> Result<Option<String>, Error> {
    match promised {
        "" => Ok(None),
        hex if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(Some(hex.to_owned())),
        _ => Err(Error::field("sha256", "must be 64 hexadecimal digits")),
    }
}

fn labels(labels: std::collections::HashMap<String, String>) -> Result<BTreeMap<String, String>, Error> {
    if labels.len() > MAX_LABELS {
        return Err(Error::field("labels", format!("must be at most {MAX_LABELS}")));
    }
    for (key, value) in &labels {
        if key.is_empty() || key.len() > MAX_LABEL_KEY || value.len() > MAX_LABEL_VALUE {
            let problem =
                format!("must have keys of 1 to {MAX_LABEL_KEY} and values of at most {MAX_LABEL_VALUE} bytes");
            return Err(Error::field("labels", problem));
        }
    }
    Ok(labels.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cut_off_the_name() {
        assert_eq!(&*name("/etc/../a b.pdf").unwrap(), "a b.pdf");
        assert_eq!(&*name(r"C:\Users\x\Bericht.pdf").unwrap(), "Bericht.pdf");
        assert_eq!(&*name("").unwrap(), "document");
        assert!(name("a\nb").is_err() && name(&"x".repeat(256)).is_err());
    }

    #[test]
    fn formats_have_one_order_and_no_repeats() {
        assert_eq!(formats(&[]).unwrap(), Format::ALL);
        assert_eq!(formats(&[3, 1, 3]).unwrap(), [Format::Json, Format::Text]);
        assert!(formats(&[0]).is_err() && formats(&[9]).is_err());
    }

    #[test]
    fn kinds_and_checksums_are_checked() {
        assert_eq!(&*kind("").unwrap(), "pdf");
        assert!(kind("PDF").is_err() && kind(&"a".repeat(65)).is_err());
        assert!(sha256("xyz").is_err() && sha256(&"ab".repeat(32)).is_ok());
    }
}
