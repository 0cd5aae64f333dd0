//! Sends appends to the stream, and says what the server made of them.

use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::{self, message::PublishMessage};
use async_nats::{HeaderMap, ServerInfo};
use bytes::Bytes;
use courant_joblog::ids::Revision;
use courant_joblog::log::AppendError;
use courant_joblog::notes::Put;

use crate::message::{About, EXPECT, ROLLUP, blob_headers};
use crate::server::Server;

/// Entries and blobs of one append, at most: what the server takes in an atomic batch.
pub(crate) const MAX_BATCH: usize = 1_000;
/// The server compares the newest revision of this subject instead of the message's own.
const EXPECT_OF: &str = "Nats-Expected-Last-Subject-Sequence-Subject";
const BATCH_ID: &str = "Nats-Batch-Id";
const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
const BATCH_COMMIT: &str = "Nats-Batch-Commit";
/// Bytes of a message's headers, at most; what is left of the server's limit is for the payload.
const HEADER_BYTES: usize = 1_024;

/// What a message takes in the store beside its payload, about.
pub(crate) const STORED_BYTES: usize = 512;

/// Codes of the server's errors (`errors.json` of its source).
mod code {
    /// Somebody else was first; the text names the newest revision.
    pub(super) const WRONG_LAST_SEQUENCE: u64 = 10_071;
    /// A batch whose beginning another node had, which is gone.
    pub(super) const INCOMPLETE_BATCH: u64 = 10_176;
    /// Another write to the subject is under way in the leader: nothing is decided yet.
    pub(super) const WRONG_LAST_SEQUENCE_CONSTANT: u64 = 10_164;
    /// The account's or server's limit of bytes.
    pub(super) const NO_RESOURCES: [u64; 3] = [10_047, 10_023, 10_002];
    /// The store did not take it; the text says why.
    pub(super) const STORE_FAILED: u64 = 10_077;
    /// The stream has no leader at the moment.
    pub(super) const OFFLINE: [u64; 2] = [10_118, 10_194];
    pub(super) const MESSAGE_TOO_LARGE: u64 = 10_054;
}

/// Entries of one append as they are sent; blobs go first.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) subject: String,
    /// Random; the same each time it is sent.
    pub(crate) id: u64,
    /// Payloads of the entries.
    pub(crate) entries: Vec<Bytes>,
    pub(crate) blobs: Vec<OutgoingBlob>,
    /// Whether its one entry is a tombstone.
    pub(crate) forget: bool,
}

/// A blob as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct OutgoingBlob {
    pub(crate) subject: String,
    /// As [`blob_title`](crate::message::blob_title) makes it.
    pub(crate) title: String,
    pub(crate) bytes: Bytes,
}

impl Outgoing {
    /// About so many it has as stored.
    pub(crate) fn bytes(&self) -> usize {
        let payloads = self.entries.iter().chain(self.blobs.iter().map(|blob| &blob.bytes));
        payloads.map(|bytes| bytes.len() + STORED_BYTES).sum()
    }
}

/// What the server made of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Stored; its last entry is at this revision.
    Stored(Revision),
    /// Not stored: the subject is at this revision.
    Elsewhere(u64),
    /// Not stored, and may be if it is tried again.
    Busy(String),
    /// Not stored, and will not be.
    Refused(AppendError),
    /// It may be stored or not; the leader knows.
    Unclear(String),
}

/// Bytes that a record or a blob may have on this server.
pub(crate) fn max_bytes(server: &ServerInfo) -> usize {
    server.max_payload.saturating_sub(HEADER_BYTES)
}

/// Subject, headers and payload.
type OneMessage = (String, HeaderMap, Bytes);

/// Sends one append after another, so that those of a batch are together.
#[derive(Debug)]
pub(crate) struct Publisher {
    server: Server,
    sending: tokio::sync::Mutex<()>,
}

/// The server's answer, to be waited for.
#[derive(Debug)]
pub(crate) struct Sent(Result<PublishAckFuture, PublishError>);

impl Publisher {
    pub(crate) fn new(server: Server) -> Self {
        Self { server, sending: tokio::sync::Mutex::default() }
    }

    /// Says so if a part of it is more than the server takes.
    pub(crate) fn check(&self, outgoing: &Outgoing) -> Result<(), AppendError> {
        let limit = max_bytes(&self.server.client.server_info());
        let sizes = outgoing.entries.iter().chain(outgoing.blobs.iter().map(|blob| &blob.bytes)).map(Bytes::len);
        if let Some(bytes) = sizes.max().filter(|bytes| *bytes > limit) {
            return Err(AppendError::TooLarge { bytes, limit });
        }
        let messages = outgoing.entries.len() + outgoing.blobs.len();
        if messages > MAX_BATCH || outgoing.entries.is_empty() {
            let reason = format!("{messages} entries and blobs in one append; this log takes 1 to {MAX_BATCH}");
            return Err(AppendError::Unencodable { reason });
        }
        Ok(())
    }

    /// Sends it: after this, whatever is sent later is stored later.
    pub(crate) async fn send(&self, outgoing: &Outgoing, expect: u64, number: u64, floor: u64) -> Sent {
        let messages = self.messages(outgoing, expect, number, floor);
        // While NATS is away only so much is kept for it; then this waits.
        let sent = tokio::time::timeout(self.server.timeout, self.send_together(messages)).await;
        Sent(sent.unwrap_or_else(|_| Err(PublishError::new(PublishErrorKind::TimedOut))))
    }

    async fn send_together(&self, mut messages: Vec<OneMessage>) -> Result<PublishAckFuture, PublishError> {
        let last = messages.pop();
        let (subject, headers, payload) = last.ok_or_else(|| PublishError::new(PublishErrorKind::Other))?;
        let _alone = self.sending.lock().await;
        for (subject, headers, payload) in messages {
            // If it does not get there the batch is incomplete, which the answer to the last one says.
            let sent = self.server.client.publish_with_headers(subject, headers, payload).await;
            sent.map_err(|error| PublishError::with_source(PublishErrorKind::BrokenPipe, error))?;
        }
        let last = PublishMessage::build().headers(headers).payload(payload);
        self.server.context.send_publish(subject, last).await
    }

    /// In their order; if there are several, as an atomic batch.
    fn messages(&self, outgoing: &Outgoing, expect: u64, number: u64, floor: u64) -> Vec<OneMessage> {
        let Outgoing { subject, id, entries, blobs, forget } = outgoing;
        let mut messages = Vec::with_capacity(entries.len() + blobs.len());
        for blob in blobs {
            messages.push((blob.subject.clone(), blob_headers(&blob.title), blob.bytes.clone()));
        }
        for (place, payload) in entries.iter().enumerate() {
            let left = u32::try_from(entries.len() - 1 - place).unwrap_or(0);
            let number = number + place as u64;
            let about =
                About { id: *id, number, left, floor: if *forget { expect } else { floor }, forgotten: *forget };
            let mut headers = about.headers((place == 0).then_some(expect));
            if *forget {
                headers.insert(ROLLUP, "sub");
            }
            messages.push((subject.clone(), headers, payload.clone()));
        }
        if messages.len() > 1 {
            // Each try is a batch of its own: the server may still hold half of an earlier one.
            let (batch, last) = (format!("{:032x}", fastrand::u128(..)), messages.len() - 1);
            for (place, (_, headers, _)) in messages.iter_mut().enumerate() {
                headers.insert(BATCH_ID, batch.as_str());
                headers.insert(BATCH_SEQUENCE, (place + 1).to_string().as_str());
                if place == last {
                    headers.insert(BATCH_COMMIT, "1");
                }
            }
        }
        messages
    }

    /// Stores a blob if the job is at this revision.
    pub(crate) async fn send_blob(&self, blob: OutgoingBlob, job: &str, expect: u64) -> Sent {
        let OutgoingBlob { subject, title, bytes } = blob;
        let mut headers = blob_headers(&title);
        headers.insert(EXPECT, expect.to_string().as_str());
        headers.insert(EXPECT_OF, job);
        let _alone = self.sending.lock().await;
        let message = PublishMessage::build().headers(headers).payload(bytes);
        Sent(self.server.context.send_publish(subject, message).await)
    }

    pub(crate) async fn send_note(&self, subject: String, bytes: Bytes, put: Put) -> Sent {
        let message = PublishMessage::build().payload(bytes);
        let message = match put {
            Put::Replace => message.header(ROLLUP, "sub"),
            Put::IfAbsent => message.header(EXPECT, "0"),
        };
        Sent(self.server.context.send_publish(subject, message).await)
    }

    /// Announces that tombstones up to this revision are about to go.
    pub(crate) async fn send_dropped(&self, up_to: u64) -> Sent {
        let message = PublishMessage::build().header(ROLLUP, "sub").payload(up_to.to_string().into());
        Sent(self.server.context.send_publish(self.server.subjects.dropped(), message).await)
    }
}

impl Sent {
    pub(crate) async fn outcome(self) -> Outcome {
        let answer = match self.0 {
            Ok(answer) => answer.await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(ack) => Outcome::Stored(Revision(ack.sequence)),
            Err(error) => refused(&error),
        }
    }
}

fn refused(error: &PublishError) -> Outcome {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<jetstream::Error>());
    if let Some(api) = source {
        return by_code(api);
    }
    match error.kind() {
        // Nobody heard it.
        PublishErrorKind::StreamNotFound | PublishErrorKind::MaxAckPending => Outcome::Busy(error.to_string()),
        // Another server was reached since, which takes less.
        PublishErrorKind::MaxPayloadExceeded => {
            Outcome::Refused(AppendError::Unencodable { reason: error.to_string() })
        }
        _ => Outcome::Unclear(error.to_string()),
    }
}

fn by_code(api: &jetstream::Error) -> Outcome {
    let text = api.to_string();
    match api.error_code().0 {
        code::WRONG_LAST_SEQUENCE => match named(&text) {
            Some(at) => Outcome::Elsewhere(at),
            None => Outcome::Busy(text),
        },
        code::WRONG_LAST_SEQUENCE_CONSTANT | code::INCOMPLETE_BATCH => Outcome::Busy(text),
        code::MESSAGE_TOO_LARGE => Outcome::Refused(AppendError::Unencodable { reason: text }),
        full if code::NO_RESOURCES.contains(&full) => Outcome::Refused(AppendError::Full),
        code::STORE_FAILED if text.contains("maximum bytes") || text.contains("no space") => {
            Outcome::Refused(AppendError::Full)
        }
        code::STORE_FAILED => Outcome::Busy(text),
        offline if code::OFFLINE.contains(&offline) => Outcome::Busy(text),
        // Too many, or not now.
        _ if [429, 503].contains(&api.code()) => Outcome::Busy(text),
        _ => Outcome::Unclear(text),
    }
}

/// The revision in `wrong last sequence: 7 (code …`.
fn named(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("sequence: ")?;
    rest.split(|other: char| !other.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(code: usize, err_code: u64, description: &str) -> Outcome {
        let json = format!(r#"{{"code":{code},"err_code":{err_code},"description":"{description}"}}"#);
        let error = serde_json::from_str::<jetstream::Error>(&json).unwrap();
        refused(&PublishError::with_source(PublishErrorKind::Other, error))
    }

    #[test]
    fn both_codes_of_a_conflict_are_told_apart() {
        assert!(matches!(outcome(400, 10_071, "wrong last sequence: 12"), Outcome::Elsewhere(12)));
        assert!(matches!(outcome(400, 10_164, "wrong last sequence"), Outcome::Busy(_)));
    }

    #[test]
    fn what_did_not_happen_is_not_taken_for_unknown() {
        assert!(matches!(outcome(503, 10_077, "maximum bytes exceeded"), Outcome::Refused(AppendError::Full)));
        for (code, err_code) in [(503, 10_008), (429, 10_211), (400, 10_176), (503, 10_163), (500, 10_118)] {
            assert!(matches!(outcome(code, err_code, "later"), Outcome::Busy(_)), "{err_code}");
        }
        let error = |kind| refused(&PublishError::new(kind));
        assert!(matches!(error(PublishErrorKind::TimedOut), Outcome::Unclear(_)));
        assert!(matches!(error(PublishErrorKind::BrokenPipe), Outcome::Unclear(_)));
        assert!(matches!(error(PublishErrorKind::StreamNotFound), Outcome::Busy(_)));
    }
}
