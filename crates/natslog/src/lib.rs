//! The log on NATS JetStream, for several servers on one log: one stream of messages, one message an entry.
//!
//! Each server that has the log open follows the stream and keeps the newest revision of each job in memory, like the other engines. An
//! append is decided by that, and once more by NATS, which compares the newest revision of the job's subject: so it does not
//! matter how far a server is behind. What NATS cannot do alone, or says in its own way, is done here:
//!
//! - an append whose acknowledgement does not come is looked for by its id, never repeated blindly;
//! - a job is forgotten by a tombstone that takes the place of all its messages, so that followers see it;
//! - several entries and blobs of one append are an atomic batch;
//! - a stream that was deleted, replaced or put back stops the log: its positions mean something else.
//!
//! Revisions are the sequence numbers of the stream. They have gaps: blobs have numbers, too.

mod append;
mod blobs;
mod connect;
mod durability;
mod follow;
mod load;
mod message;
mod notes;
mod options;
mod peers;
mod publish;
mod reached;
mod read;
mod server;
mod settings;
mod source;
mod subjects;
mod tail;
#[cfg(feature = "testing")]
pub mod testing;
mod view;
mod watchdog;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use async_nats::jetstream::stream::Info;
use async_nats::jetstream::{Context, ContextBuilder};
use async_trait::async_trait;
use bytes::Bytes;
use courant_joblog::codec;
use courant_joblog::ids::{JobId, Revision};
use courant_joblog::log::{
    Append, AppendError, Blob, Entry, Filter, Key, Latest, Log, LogDescription, LogInfo, ReadError, Record, token,
};
use courant_joblog::notes::Notes;
use courant_joblog::peers::Peers;
use courant_joblog::source::{BlobPage, BlobPosition, Source};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::append::{Appender, Task};
use self::connect::{Connection, connect};
use self::notes::NatsNotes;
pub use self::options::{Login, OpenError, Options, Tls};
use self::peers::NatsPeers;
use self::publish::{Outgoing, OutgoingBlob, Publisher};
use self::reached::Reached;
use self::server::{Server, Unavailable, is_confirmed};
use self::source::StreamSource;
use self::subjects::Subjects;
use self::view::View;
use self::watchdog::{SHORT_CERTAIN, Watchdog};

/// Publishes whose answer is waited for, at most; further ones wait.
const IN_FLIGHT: usize = 8_192;

/// A stream before it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// NATS has no stream of this name.
    Missing,
    /// A log, which a server can open.
    Log,
    /// Empty, so that a log can be copied into it.
    Empty,
    /// It has the beginning of the log that is to be copied.
    Begun { messages: u64 },
}

/// A log in a stream. Dropping it stops following; what was sent may still be stored.
#[derive(Debug)]
pub struct NatsLog {
    info: LogInfo,
    appender: Arc<Appender>,
    peers: Arc<NatsPeers>,
    following: watch::Receiver<bool>,
    patience: Duration,
    reserve_bytes: u64,
    /// Ended when this is dropped.
    _tasks: JoinSet<()>,
}

impl NatsLog {
    /// Opens the log in this stream, and makes the stream if it is not there.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let (Connection { client, made }, context) = reach(&options).await?;
        let found = settings::open(&context, &options).await?;
        let found = complete(&context, found, &options).await?;
        durability::check_sync(&options, found.config.num_replicas).await?;
        let stream = context.get_stream_no_info(&options.stream).await;
        let stream = stream.map_err(|error| OpenError::JetStream { reason: error.to_string() })?;
        let server = Server {
            client,
            context,
            stream,
            name: options.stream.as_str().into(),
            subjects: Subjects::new(&options.stream),
            timeout: options.request_timeout,
        };
        Self::start(server, found, made, &options).await
    }

    /// Begins an epoch where the stream ends. For a stream that was put back from a backup, before it is opened: positions that were
    /// handed out beyond its end mean something else from now on, and are not covered any more. Whoever has it open stops.
    pub async fn begin_epoch(options: &Options) -> Result<(), OpenError> {
        let (_connection, context) = reach(options).await?;
        settings::begin_epoch(&context, options).await
    }

    /// What there is, and how many bytes a record may have. Nothing is made or changed.
    pub async fn look(options: &Options) -> Result<(StreamState, usize), OpenError> {
        let (Connection { client, .. }, context) = reach(options).await?;
        let found = settings::find(&context, &options.stream).await?;
        let replicas = found.as_ref().map_or(options.replicas, |info| info.config.num_replicas);
        durability::check_sync(options, replicas).await?;
        let found = found.map(|info| settings::look(&info, options).map(|found| (found, info.state.messages)));
        let state = match found.transpose()? {
            None => StreamState::Missing,
            Some((settings::Found::Ready, _)) => StreamState::Log,
            Some((settings::Found::Empty, _)) => StreamState::Empty,
            Some((settings::Found::Begun, messages)) => StreamState::Begun { messages },
        };
        Ok((state, publish::max_bytes(&client.server_info())))
    }

    /// Ends a copy: from here on servers can open the stream.
    pub async fn finish_copy(options: &Options) -> Result<(), OpenError> {
        let (_connection, context) = reach(options).await?;
        settings::finish_copy(&context, options).await
    }

    async fn start(
        server: Server,
        found: Info,
        made: watch::Receiver<u64>,
        options: &Options,
    ) -> Result<Self, OpenError> {
        let failed = |error: Unavailable| OpenError::Load { stream: options.stream.clone(), reason: error.to_string() };
        let foreign = || OpenError::Foreign { stream: options.stream.clone() };
        let epochs = settings::epochs(&found.config).ok_or_else(foreign)?;
        let history = u64::try_from(found.config.max_messages_per_subject).unwrap_or(u64::MAX);
        let (heads, applied) = load::heads(&server, history).await.map_err(failed)?;
        let note = server.leader_last(&server.subjects.notes()).await.map_err(failed)?;
        let note = note.map_or(0, |note| note.sequence);
        let view = Arc::new(View::new(heads, applied, note, options.recent_entries, options.recent_bytes));
        let behind = Arc::new(Notify::new());
        let mut tasks = JoinSet::new();
        let (report, following) = watch::channel(false);
        tasks.spawn(follow::follow(server.clone(), view.clone(), made, behind.clone(), report));
        let publisher = Publisher::new(server.clone());
        let (full, space) = (watch::Sender::new(false), AtomicI64::new(i64::MAX));
        let appender = Arc::new(Appender { server, view, publisher, full, space, patience: options.patience });
        watchdog::note_space(&appender, &found, options.reserve_bytes);
        let watchdog = Watchdog {
            appender: appender.clone(),
            epochs: epochs.clone(),
            created: found.created.to_string(),
            reserve_bytes: options.reserve_bytes,
            forgotten_kept: options.forgotten_kept,
            behind,
            reached: options.reached.clone().map(Reached::new),
            wrong: 0,
            short_end: 0,
            seen: applied,
        };
        tasks.spawn(watchdog.run());
        // The node that answered may lag behind.
        appender.sync(Instant::now() + options.patience).await.map_err(failed)?;
        let info = LogInfo { epochs };
        let (patience, reserve_bytes) = (options.patience, options.reserve_bytes);
        let peers = Arc::new(NatsPeers::new(appender.server.client.clone(), &options.stream));
        Ok(Self { info, appender, peers, following, patience, reserve_bytes, _tasks: tasks })
    }

    fn task(&self, append: Append) -> Result<Task, AppendError> {
        let Append { key, expect, changes, blobs } = append;
        blobs.iter().try_for_each(Blob::check)?;
        let ends = changes.iter().all(|changed| changed.event.change.is_end());
        let encoded = changes.into_iter().map(|changed| codec::encode(&Record::from(changed)).map(Bytes::from));
        let entries = encoded.collect::<Result<_, _>>()?;
        let owner = Key::encode_owner(&key.owner);
        let mut named: Vec<OutgoingBlob> = Vec::with_capacity(blobs.len());
        for blob in blobs {
            let blob = blobs::outgoing(&self.appender.server.subjects, &owner, &key.job, &blob)?;
            // Of two with one name the later one counts.
            named.retain(|known| known.subject != blob.subject);
            named.push(blob);
        }
        let outgoing = self.outgoing(&key, entries, named, false);
        self.appender.publisher.check(&outgoing)?;
        Ok(Task { owner, job: token(key.job.as_str()), expect, ends, outgoing })
    }

    fn outgoing(&self, key: &Key, entries: Vec<Bytes>, blobs: Vec<OutgoingBlob>, forget: bool) -> Outgoing {
        let subject = self.appender.server.subjects.of_key(key);
        Outgoing { subject, id: fastrand::u64(..), entries, blobs, forget }
    }
}

/// Connects to servers that will do.
async fn reach(options: &Options) -> Result<(Connection, Context), OpenError> {
    options.check()?;
    let connection = connect(options, &options.login).await?;
    durability::check_server(&connection.client.server_info())?;
    let context = ContextBuilder::new()
        .timeout(options.request_timeout)
        .max_ack_inflight(IN_FLIGHT)
        .backpressure_on_inflight(true)
        .build(connection.client.clone());
    Ok((connection, context))
}

/// The stream, which reaches as far as it once did, or has a new epoch.
async fn complete(context: &Context, mut found: Info, options: &Options) -> Result<Info, OpenError> {
    let Some(path) = &options.reached else { return Ok(found) };
    let Some((epoch, expected)) = reached::read(path)? else { return Ok(found) };
    let (mut short, mut unconfirmed, mut end) = (0, 0, None);
    loop {
        let is_current = settings::epochs(&found.config).and_then(|all| all.last().copied());
        let have = Revision(found.state.last_sequence);
        if is_current.is_none_or(|current| current.id != epoch) || have >= expected {
            return Ok(found);
        }
        if !is_confirmed(&found) {
            unconfirmed += 1;
        } else if end.replace(have) == Some(have) {
            short += 1;
        } else {
            short = 0;
        }
        if unconfirmed >= SHORT_CERTAIN {
            let reason = "the stream's leader has not heard from a majority of its replicas".into();
            return Err(OpenError::JetStream { reason });
        } else if short + 1 < SHORT_CERTAIN {
            // A leader that was just elected does not show at once all that it has.
            tokio::time::sleep(watchdog::INTERVAL).await;
        } else if options.accept_loss {
            tracing::warn!(%have, %expected, "entries are missing from the stream; going on without them (--accept-log-loss)");
            settings::begin_epoch(context, options).await?;
        } else {
            return Err(OpenError::Truncated { stream: options.stream.clone(), have, expected });
        }
        found = settings::open(context, options).await?;
    }
}

#[async_trait]
impl Log for NatsLog {
    async fn append(&self, append: Append) -> Result<Revision, AppendError> {
        self.appender.append(self.task(append)?).await
    }

    async fn append_all(&self, appends: Vec<Append>) -> Vec<Result<Revision, AppendError>> {
        self.appender.append_all(appends.into_iter().map(|append| self.task(append)).collect()).await
    }

    async fn read(&self, after: Revision, filter: &Filter, limit: usize) -> Result<Vec<Arc<Entry>>, ReadError> {
        self.appender.view.check()?;
        read::read(&self.appender, after, filter, limit.max(1)).await
    }

    fn recent(&self, after: Revision, limit: usize) -> Option<Vec<Arc<Entry>>> {
        self.appender.view.recent(after, &Filter::All, limit.max(1))
    }

    fn head(&self) -> watch::Receiver<Revision> {
        self.appender.view.head()
    }

    async fn newest(&self) -> Result<Revision, ReadError> {
        let Appender { server, view, .. } = &*self.appender;
        view.check()?;
        let failed = |error: Unavailable| ReadError::Storage { reason: error.to_string() };
        let newest = server.confirmed_last(&server.subjects.jobs()).await.map_err(failed)?;
        Ok(newest.map_or(Revision::ZERO, |message| Revision(message.sequence)))
    }

    async fn latest(&self) -> Result<Latest, ReadError> {
        self.appender.view.check()?;
        Ok(read::latest(&self.appender))
    }

    async fn store_blob(&self, job: &JobId, blob: Blob) -> Result<(), AppendError> {
        blobs::store(&self.appender, job, blob).await
    }

    async fn blob(&self, job: &JobId, name: &str) -> Result<Option<Bytes>, ReadError> {
        self.appender.view.check()?;
        blobs::load(&self.appender, job, name).await
    }

    async fn remove_blob(&self, job: &JobId, name: &str) -> Result<(), AppendError> {
        blobs::remove(&self.appender, job, name).await
    }

    async fn forget(&self, key: &Key, expect: Revision) -> Result<Revision, AppendError> {
        let payload =
            message::tombstone(key).map_err(|error| AppendError::Unencodable { reason: error.to_string() })?;
        let outgoing = self.outgoing(key, vec![payload], Vec::new(), true);
        let (owner, job) = (Key::encode_owner(&key.owner), token(key.job.as_str()));
        let task = Task { owner: owner.clone(), job: job.clone(), expect: Some(expect), ends: true, outgoing };
        let revision = self.appender.append(task).await?;
        blobs::remove_all(&self.appender, &owner, &job, revision.0).await;
        Ok(revision)
    }

    async fn trimmed(&self, filter: &Filter) -> Result<Revision, ReadError> {
        self.appender.view.check()?;
        read::trimmed(&self.appender, filter, self.patience).await
    }

    fn info(&self) -> &LogInfo {
        &self.info
    }

    /// While it is false, appends are compared by NATS all the same. A consumer or connection that is gone is noticed after
    /// some seconds. The sender is gone when the log has stopped.
    fn following(&self) -> Option<watch::Receiver<bool>> {
        Some(self.following.clone())
    }

    fn peers(&self) -> Option<Arc<dyn Peers>> {
        Some(self.peers.clone())
    }

    fn notes(&self) -> Option<Arc<dyn Notes>> {
        Some(Arc::new(NatsNotes(self.appender.clone())))
    }

    fn full(&self) -> Option<watch::Receiver<bool>> {
        Some(self.appender.full.subscribe())
    }

    async fn describe(&self) -> Result<LogDescription, ReadError> {
        let server = &self.appender.server;
        let failed = |error: Unavailable| ReadError::Storage { reason: error.to_string() };
        let info = server.info().await.map_err(failed)?;
        let info = info.ok_or_else(|| ReadError::Storage { reason: "the stream is not there".into() })?;
        Ok(LogDescription {
            engine: "nats",
            location: format!("stream {}", server.name),
            bytes: Some(info.state.bytes),
            max_bytes: u64::try_from(info.config.max_bytes).ok().filter(|bytes| *bytes > 0),
            replicas: info.config.num_replicas,
        })
    }

    async fn probe(&self) -> Result<(), AppendError> {
        watchdog::probe(&self.appender, self.reserve_bytes).await
    }
}

#[async_trait]
impl Source for NatsLog {
    async fn newest(&self) -> Result<Revision, ReadError> {
        StreamSource(&self.appender).newest().await
    }

    async fn entries(&self, after: Revision, limit: usize) -> Result<Vec<Arc<Entry>>, ReadError> {
        StreamSource(&self.appender).entries(after, limit).await
    }

    async fn blobs(&self, after: Option<&BlobPosition>) -> Result<BlobPage, ReadError> {
        StreamSource(&self.appender).blobs(after).await
    }
}
