//! What is asked of the stream, beside publishing.
//!
//! `leader_*` is answered by the stream's leader, which knows all that was acknowledged. It need not know all that was delivered: once a
//! message is committed each node stores it in its own time, and a follower may be quicker. Who was told of something by a
//! consumer asks [`Server::leader_has`] first. [`Server::page`] is answered by any node, which may lag behind; its callers see to that.

use std::time::Duration;

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{ClusterInfo, Info, LastRawMessageErrorKind, RawMessageError, Stream};
use async_nats::jetstream::{Context, ErrorCode, message::StreamMessage};
use async_nats::{Client, HeaderMap, Message, StatusCode};
use futures::StreamExt as _;
use serde::Serialize;
use tokio::time::Instant;

use crate::message::Stored;
use crate::subjects::Subjects;
use crate::view::Incoming;

/// Bytes of a page, at most; a single larger message is a page of its own.
const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// Before the leader is asked again whether it has something.
const LEADER_PAUSE: Duration = Duration::from_millis(2);

/// How long ago a leader must have heard from a majority for its word to count. Servers wait at least 4 s for a leader before they
/// elect another, so with [`Server::timeout`] for the question there is no other yet.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// NATS did not answer, or not as expected.
#[derive(Debug, thiserror::Error)]
#[error("NATS: {0}")]
pub(crate) struct Unavailable(pub(crate) String);

impl Unavailable {
    fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// The stream, seen from this client.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) context: Context,
    pub(crate) stream: Stream<()>,
    pub(crate) name: Box<str>,
    pub(crate) subjects: Subjects,
    pub(crate) timeout: Duration,
}

/// Asks for several messages at once.
#[derive(Serialize)]
struct PageRequest<'a> {
    seq: u64,
    next_by_subj: &'a str,
    batch: usize,
    max_bytes: usize,
}

impl Server {
    /// The newest message of a subject, which may have wildcards.
    pub(crate) async fn leader_last(&self, subject: &str) -> Result<Option<StreamMessage>, Unavailable> {
        found(self.stream.get_last_raw_message_by_subject(subject).await)
    }

    /// The same, only if that leader is still followed by a majority: one that is cut off answers as before for some seconds, while
    /// the others may have elected another that knows more.
    pub(crate) async fn confirmed_last(&self, subject: &str) -> Result<Option<StreamMessage>, Unavailable> {
        match self.info().await? {
            Some(info) if is_confirmed(&info) => self.leader_last(subject).await,
            Some(_) => Err(Unavailable("the stream's leader has not heard from a majority of its replicas".into())),
            None => Err(Unavailable("the stream is not there".into())),
        }
    }

    /// The first message of a subject, which may have wildcards, at `from` or after it.
    pub(crate) async fn leader_next(&self, subject: &str, from: u64) -> Result<Option<StreamMessage>, Unavailable> {
        found(self.stream.get_first_raw_message_by_subject(subject, from).await)
    }

    /// The message at this revision, which was delivered once, from any node; from the leader if that one does not have it.
    pub(crate) async fn get(&self, revision: u64) -> Result<Option<StreamMessage>, Unavailable> {
        if let Ok(message) = self.stream.direct_get(revision).await {
            return Ok(Some(message));
        }
        self.leader_has(revision).await?;
        found(self.stream.get_raw_message(revision).await)
    }

    /// Waits until the leader has stored what another node has delivered.
    pub(crate) async fn leader_has(&self, revision: u64) -> Result<(), Unavailable> {
        let deadline = Instant::now() + self.timeout;
        while self.info().await?.is_none_or(|info| info.state.last_sequence < revision) {
            if Instant::now() >= deadline {
                return Err(Unavailable(format!("the stream's leader does not have the entry at {revision}")));
            }
            tokio::time::sleep(LEADER_PAUSE).await;
        }
        Ok(())
    }

    /// Entries of a subject, which may have wildcards, after `after` and in order, as far as the node that answers has them.
    /// Fewer than `limit` are there, or a page is full.
    pub(crate) async fn page(&self, subject: &str, after: u64, limit: usize) -> Result<Vec<Stored>, Unavailable> {
        let page = self.messages(subject, after, limit).await?;
        Ok(page.into_iter().filter_map(|message| self.entry_of(message)).collect())
    }

    /// The same for messages of any kind.
    pub(crate) async fn messages(
        &self,
        subject: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StreamMessage>, Unavailable> {
        let inbox = self.client.new_inbox();
        let mut answers = self.client.subscribe(inbox.clone()).await.map_err(Unavailable::of)?;
        let request = PageRequest { seq: after + 1, next_by_subj: subject, batch: limit, max_bytes: PAGE_BYTES };
        let request = serde_json::to_vec(&request).map_err(Unavailable::of)?;
        let subject = format!("$JS.API.DIRECT.GET.{}", self.name);
        self.client.publish_with_reply(subject, inbox, request.into()).await.map_err(Unavailable::of)?;
        let mut page = Vec::new();
        loop {
            let answer = tokio::time::timeout(self.timeout, answers.next()).await;
            let Ok(Some(message)) = answer else { return Err(Unavailable("no page came".into())) };
            match message.status {
                None => page.extend(StreamMessage::try_from(message).ok()),
                // The end of the page; nothing there.
                Some(status) if status.as_u16() == 204 || status == StatusCode::NOT_FOUND => return Ok(page),
                Some(StatusCode::NO_RESPONDERS) => return Err(Unavailable("the stream is not there".into())),
                Some(status) => return Err(Unavailable(format!("a page was refused: {status}"))),
            }
        }
    }

    /// An entry out of a message that was asked for.
    pub(crate) fn entry_of(&self, message: StreamMessage) -> Option<Stored> {
        self.stored(&message.subject, message.sequence, &message.headers, message.payload)
    }

    fn stored(&self, subject: &str, revision: u64, headers: &HeaderMap, payload: bytes::Bytes) -> Option<Stored> {
        Stored::parse(self.subjects.parse(subject)?, revision, Some(headers), payload)
    }

    /// What a consumer delivered.
    pub(crate) fn incoming(&self, revision: u64, message: Message) -> Incoming {
        if let Some(of) = self.subjects.parse(&message.subject) {
            return match Stored::parse(of, revision, message.headers.as_ref(), message.payload) {
                Some(stored) => Incoming::Entry(stored),
                None => Incoming::Other,
            };
        }
        if self.subjects.is_note(&message.subject) {
            return Incoming::Note;
        }
        let dropped = (*message.subject == *self.subjects.dropped()).then(|| up_to(&message.payload)).flatten();
        dropped.map_or(Incoming::Other, Incoming::Dropped)
    }

    /// Up to where tombstones are gone.
    pub(crate) async fn leader_dropped(&self) -> Result<u64, Unavailable> {
        let message = self.leader_last(&self.subjects.dropped()).await?;
        Ok(message.and_then(|message| up_to(&message.payload)).unwrap_or(0))
    }

    /// Removes messages of a subject, which may have wildcards: those older than a revision, or all.
    pub(crate) async fn purge(&self, subject: &str, before: Option<u64>) -> Result<(), Unavailable> {
        let purge = self.stream.purge().filter(subject);
        let purged = match before {
            Some(before) => purge.sequence(before).await,
            None => purge.await,
        };
        match purged {
            Ok(purged) if purged.success => Ok(()),
            Ok(_) => Err(Unavailable("a purge was refused".into())),
            Err(error) => Err(Unavailable::of(error)),
        }
    }

    /// Settings and state of the stream; `None` when it is not there.
    pub(crate) async fn info(&self) -> Result<Option<Info>, Unavailable> {
        match self.context.get_stream(&*self.name).await {
            Ok(stream) => Ok(Some(stream.cached_info().clone())),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
                _ => Err(Unavailable::of(error)),
            },
        }
    }
}

/// Whether what the stream's leader says of its end can be believed: a majority follows it.
pub(crate) fn is_confirmed(info: &Info) -> bool {
    info.cluster.as_ref().is_none_or(is_followed)
}

fn is_followed(cluster: &ClusterInfo) -> bool {
    let followers = cluster.replicas.iter().filter(|peer| !peer.offline && peer.active <= HEARD_WITHIN).count();
    let all = cluster.replicas.len() + 1;
    2 * (followers + 1) > all
}

fn found(answer: Result<StreamMessage, RawMessageError>) -> Result<Option<StreamMessage>, Unavailable> {
    match answer {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(Unavailable::of(error)),
    }
}

fn up_to(payload: &[u8]) -> Option<u64> {
    std::str::from_utf8(payload).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::stream::PeerInfo;

    use super::*;

    #[test]
    fn a_leader_counts_while_it_hears_from_a_majority() {
        let peer = |millis, offline| PeerInfo {
            name: "n".into(),
            current: true,
            active: Duration::from_millis(millis),
            offline,
            lag: None,
        };
        let cluster = |replicas| ClusterInfo { replicas, ..ClusterInfo::default() };
        assert!(is_followed(&cluster(vec![])), "of one replica");
        assert!(is_followed(&cluster(vec![peer(900, false), peer(60_000, true)])));
        assert!(!is_followed(&cluster(vec![peer(2_500, false), peer(2_500, false)])), "cut off");
        assert!(!is_followed(&cluster(vec![peer(10, true), peer(3_000, false)])));
    }
}
