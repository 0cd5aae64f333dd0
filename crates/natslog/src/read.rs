//! Reading what is not in memory.

use std::sync::Arc;
use std::time::Duration;

use courant_joblog::ids::{JobId, Owner, Revision};
use courant_joblog::latest::LATEST_PAGE;
use courant_joblog::log::{Entry, Filter, Key, Latest, ReadError, token};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::append::Appender;
use crate::server::{Server, Unavailable};

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
    let applied = view.applied().0;
    let (mut from, mut bytes, mut entries) = (after.0, 0, Vec::new());
    while from < applied && entries.len() < limit && bytes < READ_BYTES {
        let mut page = server.page(&subject, from, PAGE.min(limit - entries.len())).await?;
        if page.is_empty() {
            // The node that answered may lag behind; the leader does not.
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
        for part in heads.chunks(LATEST_PAGE) {
            let page = page_of(&server, part).await?;
            if !page.is_empty() && send.send(page).await.is_err() {
                break;
            }
        }
        Ok(())
    });
    Latest::read(revision, pages, reading)
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
