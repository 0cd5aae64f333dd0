//! Reading what is not in memory.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use courant_joblog::ids::{JobId, Owner, Revision};
use courant_joblog::latest::LATEST_PAGE;
use courant_joblog::log::{Entry, Filter, Key, Latest, ReadError, token};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::append::Appender;
use crate::server::{Server, Unavailable};
use crate::tail::Tail;
use crate::view::Incoming;

/// Messages asked for at a time.
const PAGE: usize = 1_024;
/// Bytes of entries after which a read ends early.
const READ_BYTES: usize = 8 * 1024 * 1024;
/// Messages asked for one by one at the same time.
const ABREAST: usize = 64;
/// Pages of `latest` that are read ahead.
const PAGES_AHEAD: usize = 2;

impl From<Unavailable> for ReadError {
    fn from(error: Unavailable) -> Self {
        Self::Storage { reason: error.to_string() }
    }
}

/// Entries after `after`, up to what has been announced.
pub(crate) async fn read(
    appender: &Appender,
    after: Revision,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<Arc<Entry>>, ReadError> {
    let (server, view) = (&appender.server, &appender.view);
    if let Some(entries) = view.recent(after, filter, limit) {
        return Ok(entries);
    }
    let Some(subject) = subject(appender, filter) else { return Ok(Vec::new()) };
    let (applied, end) = (view.applied().0, end(appender, filter));
    let (mut from, mut bytes, mut entries) = (after.0, 0, Vec::new());
    while from < end && entries.len() < limit && bytes < READ_BYTES {
        let mut page = server.page(&subject, from, PAGE.min(limit - entries.len())).await?;
        if page.is_empty() {
            // The node that answered may be behind.
            server.leader_has(end).await?;
            let next = server.leader_next(&subject, from + 1).await?;
            page.extend(next.and_then(|message| server.entry_of(message)));
        }
        let Some(last) = page.last() else { break };
        from = last.revision;
        for stored in page.into_iter().filter(|stored| stored.revision <= applied) {
            let entry = stored.entry()?;
            bytes += stored.payload.len();
            // Two owners may have one token, if theirs are very long.
            if filter.matches(&entry.key) {
                entries.push(Arc::new(entry));
            }
        }
    }
    Ok(entries)
}

/// Up to where there may be something of it, of what has been announced.
fn end(appender: &Appender, filter: &Filter) -> u64 {
    let announced = appender.view.applied().0;
    match filter {
        Filter::All | Filter::Owner(_) => announced,
        Filter::Job(job) => {
            appender.view.newest(&token(job.as_str())).map_or(announced, |head| head.revision.min(announced))
        }
    }
}

/// `None` if there is nothing of it.
fn subject(appender: &Appender, filter: &Filter) -> Option<String> {
    let subjects = &appender.server.subjects;
    Some(match filter {
        Filter::All => subjects.jobs(),
        Filter::Owner(owner) => subjects.of_owner(owner),
        Filter::Job(job) => {
            let job = token(job.as_str());
            subjects.of_job(&appender.view.newest(&job)?.owner, &job)
        }
    })
}

/// The newest revision removed from this scope.
pub(crate) async fn trimmed(appender: &Appender, filter: &Filter, patience: Duration) -> Result<Revision, ReadError> {
    // What has been removed by an entry that is not here yet would not be reported.
    appender.sync(Instant::now() + patience).await?;
    match filter {
        Filter::All => of_many(appender, None).await,
        Filter::Owner(owner) => of_many(appender, Some(owner)).await,
        Filter::Job(job) => of_job(appender, job).await,
    }
}

async fn of_job(appender: &Appender, job: &JobId) -> Result<Revision, ReadError> {
    let job = token(job.as_str());
    let (head, long, dropped) =
        appender.view.with_heads(|heads| (heads.get(&job).cloned(), heads.is_long(&job), heads.dropped()));
    let Some(head) = head else { return Ok(Revision(dropped)) };
    let cut = if long { cut(&appender.server, &head.owner, &job).await? } else { 0 };
    Ok(Revision(cut.max(head.floor)))
}

async fn of_many(appender: &Appender, owner: Option<&Owner>) -> Result<Revision, ReadError> {
    let owner = owner.map(Key::encode_owner);
    let (removed, long) =
        appender.view.with_heads(|heads| (heads.removed(owner.as_deref()), heads.long(owner.as_deref())));
    let cuts = stream::iter(long).map(async |(owner, job)| cut(&appender.server, &owner, &job).await);
    let cuts: Vec<u64> = cuts.buffer_unordered(ABREAST).try_collect().await?;
    Ok(Revision(cuts.into_iter().fold(removed, u64::max)))
}

/// The newest revision that the server removed of a job with too many entries: the one before the first that is left.
async fn cut(server: &Server, owner: &str, job: &str) -> Result<u64, Unavailable> {
    let first = server.leader_next(&server.subjects.of_job(owner, job), 1).await?;
    Ok(first.and_then(|message| server.entry_of(message)).map_or(0, |first| first.before))
}

/// The newest entry of each job that is not forgotten, as of what has been announced.
pub(crate) fn latest(appender: &Appender) -> Latest {
    let (revision, heads) = appender.view.alive();
    let (send, pages) = mpsc::channel(PAGES_AHEAD);
    let server = appender.server.clone();
    let reading = tokio::spawn(async move {
        let mut pages = Pages { send, page: Vec::new() };
        let read = read_heads(&server, &heads, &mut pages).await;
        match read.and(pages.flush().await) {
            Err(Ended::Failed(error)) => Err(error),
            Ok(()) | Err(Ended::Unread) => Ok(()),
        }
    });
    Latest::read(revision, pages, reading)
}

/// Entries on their way to who reads them.
struct Pages {
    send: mpsc::Sender<Vec<Arc<Entry>>>,
    page: Vec<Arc<Entry>>,
}

/// Why not all was read.
enum Ended {
    /// Nobody takes the pages any more.
    Unread,
    Failed(ReadError),
}

impl From<ReadError> for Ended {
    fn from(error: ReadError) -> Self {
        Self::Failed(error)
    }
}

impl Pages {
    async fn push(&mut self, entry: Arc<Entry>) -> Result<(), Ended> {
        self.page.push(entry);
        if self.page.len() >= LATEST_PAGE { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        let page = std::mem::take(&mut self.page);
        if page.is_empty() {
            return Ok(());
        }
        self.send.send(page).await.map_err(|_| Ended::Unread)
    }
}

/// Reads the messages at these revisions, which ascend. A consumer delivers them many times faster than they can be asked for one
/// by one, but it delivers what is newest when it is made: what has been replaced by then is asked for.
async fn read_heads(server: &Server, mut heads: &[u64], pages: &mut Pages) -> Result<(), Ended> {
    if heads.len() > LATEST_PAGE
        && let Ok(mut tail) =
            Tail::open(server, vec![server.subjects.jobs()], DeliverPolicy::LastPerSubject, false).await
    {
        // An error, or nothing for a while: what is left is asked for, too.
        while !heads.is_empty()
            && let Ok(messages) = tail.next().await
            && !messages.is_empty()
        {
            for (revision, message) in messages {
                let (passed, rest) = heads.split_at(heads.partition_point(|head| *head < revision));
                ask_for(server, passed, pages).await?;
                heads = rest;
                if heads.first() == Some(&revision) {
                    heads = &heads[1..];
                    if let Incoming::Entry(stored) = server.incoming(revision, message) {
                        pages.push(Arc::new(stored.entry()?)).await?;
                    }
                }
            }
        }
    }
    ask_for(server, heads, pages).await
}

/// Asks for the messages at these revisions one by one.
async fn ask_for(server: &Server, revisions: &[u64], pages: &mut Pages) -> Result<(), Ended> {
    for part in revisions.chunks(LATEST_PAGE) {
        for entry in page_of(server, part).await? {
            pages.push(entry).await?;
        }
    }
    Ok(())
}

async fn page_of(server: &Server, revisions: &[u64]) -> Result<Vec<Arc<Entry>>, ReadError> {
    let get = async |revision| {
        // It may have been removed since: what follows says so.
        let stored = server.get(revision).await?.and_then(|message| server.entry_of(message));
        stored.map(|stored| stored.entry().map(Arc::new)).transpose()
    };
    let found = stream::iter(revisions.iter().copied()).map(get).buffered(ABREAST);
    found.try_filter_map(async |entry| Ok(entry)).try_collect().await
}
