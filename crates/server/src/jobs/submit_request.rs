//! What a submit asks for: every field of its header, checked.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use courant_auth::{Identity, Role};
use courant_joblog::event::Submission;
use courant_joblog::ids::{BatchId, DocumentId, JobId, Owner, RequestId};
use courant_joblog::job::{Document, Format, Lane, LaterFields};
use courant_proto::v1::{Password, SubmitJobHeader};
use courant_runtime::request;
use courant_runtime::traces::TraceContext;

use crate::auth::require;
use crate::config::Config;
use crate::convert;
use crate::convert::id_in;
use crate::delivery::AddressRules;
use crate::error::Error;
use crate::objects::Stored;
use crate::parameters::{self, PDF_KIND};
use crate::seal::MAX_PASSWORD;
use crate::text::{self, is_kind};

/// The longest file name in bytes.
pub const MAX_FILENAME: usize = 255;
/// How many labels a job may have.
pub const MAX_LABELS: usize = 32;
/// The longest key of a label in bytes.
pub const MAX_LABEL_KEY: usize = 63;
/// The longest value of a label in bytes.
pub const MAX_LABEL_VALUE: usize = 255;
/// The most pages a document may be said to have.
pub const MAX_PAGES: u32 = 100_000;
/// The most jobs a batch may be said to have.
pub const MAX_BATCH_SIZE: u32 = 100_000;
/// How long a job may be without a watcher, if it is cancelled for that.
pub const UNWATCHED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));

/// A header whose every field is in its range.
#[derive(Clone)]
pub struct SubmitRequest {
    /// The job's id: of a repeated request the same again.
    pub id: JobId,
    /// Whose it will be.
    pub owner: Owner,
    /// The request, if it may be repeated.
    pub request: Option<RequestId>,
    /// The size of the document, if the caller gave it.
    pub bytes: Option<u64>,
    /// The checksum of the document, if the caller gave it.
    pub sha256: Option<String>,
    /// The password of the document.
    pub password: Option<Password>,
    document: DocumentId,
    batch: Option<BatchId>,
    name: Box<str>,
    lane: Option<Lane>,
    labels: BTreeMap<String, String>,
    kind: Box<str>,
    formats: Vec<Format>,
    pages: Option<u32>,
    batch_size: Option<u32>,
    cancel_unwatched: Option<Duration>,
    /// A JSON object as text.
    pub parameters: Option<Bytes>,
    /// A URL that may be sent to.
    pub callback: Option<Box<str>>,
}

impl SubmitRequest {
    /// Checks a header. A document that is said to be too large is refused before it is sent.
    pub fn check(header: SubmitJobHeader, identity: &Identity, config: &Config) -> Result<Self, Error> {
        let document = id_in("document_id", &header.document_id)?.map(str::to_owned);
        let (owner, request) =
            (owner(&header, identity)?, id_in("request_id", &header.request_id)?.map(RequestId::new));
        let batch = id_in("batch_id", &header.batch_id)?.map(BatchId::new);
        let batch_size = number("batch_size", header.batch_size, MAX_BATCH_SIZE)?;
        if batch_size.is_some() && batch.is_none() {
            return Err(Error::field("batch_size", "needs a batch_id"));
        }
        let (kind, parameters) = (kind(&header.kind)?, parameters::check(header.parameters)?);
        let of_parameters = parameters::check_for_kind(&kind, parameters.as_ref())?;
        Ok(Self {
            id: request.as_ref().map_or_else(JobId::random, |request| JobId::derived(&owner, request)),
            owner,
            request,
            document: DocumentId::new(document.unwrap_or_else(|| JobId::random().to_string())),
            batch,
            name: name(&header.filename)?,
            lane: convert::lane_in(header.lane)?,
            kind,
            formats: of_parameters.map_or_else(|| formats(&header.formats), |named| Ok(in_order(&named)))?,
            bytes: bytes(header.document_bytes, config.max_document_bytes)?,
            sha256: sha256(&header.sha256)?,
            labels: labels(header.labels)?,
            pages: number("pages", header.pages, MAX_PAGES)?,
            batch_size,
            cancel_unwatched: unwatched(header.cancel_when_unwatched)?,
            password: password(header.password)?,
            parameters,
            callback: callback(&header.callback, config)?,
        })
    }

    /// What goes into the log; the password by its name only.
    pub fn submission(
        self,
        stored: &Stored,
        password: Option<Box<str>>,
        folder: Option<Box<str>>,
        config: &Config,
    ) -> Submission {
        let many = self.pages.is_some_and(|pages| pages > config.large_document_pages);
        let large = many || stored.bytes > config.large_document_bytes;
        let lane = if large { Lane::Large } else { self.lane.unwrap_or(Lane::Normal) };
        let (bytes, sha256) = (stored.bytes, stored.sha256.clone());
        Submission {
            id: self.id,
            owner: self.owner,
            document: Document { id: self.document, name: self.name, bytes, sha256 },
            batch: self.batch,
            request: self.request,
            kind: self.kind,
            lane,
            labels: self.labels,
            formats: self.formats,
            max_attempts: config.max_attempts,
            pages: self.pages,
            batch_size: self.batch_size,
            cancel_unwatched_ms: self.cancel_unwatched.map(|time| time.as_millis() as u64),
            password,
            later: LaterFields {
                folder,
                traceparent: traceparent(),
                parameters: self.parameters.as_ref().map(parameters::for_log),
                outputs: Vec::new(),
                callback: self.callback,
            },
        }
    }
}

/// The span that this call is, if its trace is recorded: the job's spans are parts of it.
fn traceparent() -> Option<Box<str>> {
    let trace = request::with_current(|context| context.trace)?.filter(TraceContext::is_sampled)?;
    Some(trace.to_string().into())
}

fn owner(header: &SubmitJobHeader, identity: &Identity) -> Result<Owner, Error> {
    if header.owner.is_empty() || header.owner == identity.subject {
        return Ok(Owner::new(identity.subject.as_str()));
    }
    require(identity, Role::Service, "service")?;
    if header.owner.len() > courant_auth::token::MAX_SUBJECT_BYTES {
        return Err(Error::field("owner", "must have at most 255 bytes"));
    }
    if header.owner.chars().any(char::is_control) {
        return Err(Error::field("owner", "must not have control characters"));
    }
    Ok(Owner::new(header.owner.as_str()))
}

fn name(filename: &str) -> Result<Box<str>, Error> {
    let name = filename.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    if name.len() > MAX_FILENAME {
        return Err(Error::field("filename", format!("must have at most {MAX_FILENAME} bytes")));
    }
    if name.chars().any(text::is_control_or_bidi) {
        return Err(Error::field("filename", "must not have control characters or marks that turn the text round"));
    }
    Ok(if name.is_empty() { "document".into() } else { name.into() })
}

fn kind(kind: &str) -> Result<Box<str>, Error> {
    let kind = if kind.is_empty() { PDF_KIND } else { kind };
    if is_kind(kind) { Ok(kind.into()) } else { Err(Error::field("kind", "must be 1 to 64 of [a-z0-9-]")) }
}

fn formats(wanted: &[i32]) -> Result<Vec<Format>, Error> {
    if wanted.is_empty() {
        return Ok(Format::ALL.to_vec());
    }
    let wanted = wanted.iter().map(|format| convert::format_in("formats", *format)).collect::<Result<Vec<_>, _>>()?;
    Ok(in_order(&wanted))
}

/// Each once, in the order in which results are written.
fn in_order(wanted: &[Format]) -> Vec<Format> {
    Format::ALL.into_iter().filter(|format| wanted.contains(format)).collect()
}

/// A number that may be left out.
fn number(field: &'static str, number: i32, most: u32) -> Result<Option<u32>, Error> {
    match u32::try_from(number) {
        Ok(0) => Ok(None),
        Ok(number) if number <= most => Ok(Some(number)),
        Ok(_) | Err(_) => Err(Error::field(field, format!("must be 0 to {most}"))),
    }
}

fn bytes(promised: i64, limit: u64) -> Result<Option<u64>, Error> {
    match u64::try_from(promised) {
        Ok(0) => Ok(None),
        Ok(bytes) if bytes <= limit => Ok(Some(bytes)),
        Ok(_) => Err(Error::DocumentTooLarge { limit }),
        Err(_) => Err(Error::field("document_bytes", "must not be negative")),
    }
}

fn unwatched(time: Option<prost_types::Duration>) -> Result<Option<Duration>, Error> {
    let Some(time) = time else { return Ok(None) };
    let (least, most) = UNWATCHED;
    let time = Duration::try_from(time).ok().filter(|time| (least..=most).contains(time));
    time.map(Some).ok_or_else(|| Error::field("cancel_when_unwatched", "must be 1 second to 1 day"))
}

fn callback(url: &str, config: &Config) -> Result<Option<Box<str>>, Error> {
    if url.is_empty() {
        return Ok(None);
    }
    let checked = AddressRules::new(&config.webhooks).check_url(url);
    checked.map(|url| Some(url.as_str().into())).map_err(|problem| Error::field("callback", problem.to_string()))
}

/// A password within its bounds.
pub fn password(password: Option<Password>) -> Result<Option<Password>, Error> {
    match password {
        Some(password) if !(1..=MAX_PASSWORD).contains(&password.text.len()) => {
            Err(Error::field("password", format!("must have 1 to {MAX_PASSWORD} bytes; leave it out for none")))
        }
        checked => Ok(checked),
    }
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
        let in_value = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
        if key.chars().any(text::is_invisible) || value.chars().any(in_value) {
            return Err(Error::field("labels", "must not have control characters"));
        }
    }
    Ok(labels.into_iter().collect())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn nobody() -> Identity {
        Identity { subject: "nobody".into(), roles: Default::default(), expires: std::time::SystemTime::UNIX_EPOCH }
    }

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
