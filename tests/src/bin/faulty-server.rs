//! A server with one planted fault, to see that `torture` finds it. Everything but the log is the real server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use courant_auth::{Secret, Verifier};
use courant_joblog::event::Change;
use courant_joblog::ids::{JobId, Revision};
use courant_joblog::job::State;
use courant_joblog::log::{
    Append, AppendError, Blob, Changed, Entry, Filter, Key, Latest, Log, LogInfo, ReadError, Record,
};
use courant_joblog::sqlite::SqliteLog;
use courant_runtime::{Shutdown, logging};
use courant_server::{Config, Server};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Fault {
    /// Nothing.
    None,
    /// Who goes on from a cursor does not hear of some events.
    Dropped,
    /// Some events happen twice.
    Doubled,
    /// Some events of the history have changed places.
    Swapped,
    /// The newest jobs are gone after a start.
    Lost,
    /// Some attempts are given out twice.
    TwoClaims,
    /// Some pages make the percent fall.
    PercentBack,
    /// Some events are told to others as well.
    Leaked,
}

/// The server's flags and the fault
#[derive(Parser)]
struct Flags {
    #[arg(long)]
    grpc: SocketAddr,
    #[arg(long)]
    secret_file: PathBuf,
    #[arg(long, value_enum)]
    fault: Fault,
    #[command(flatten)]
    config: Config,
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    courant_runtime::run(logging::filter_from_env("RUST_LOG"), logging::Format::Text, async move |shutdown| {
        serve(flags, shutdown).await
    })
}

async fn serve(flags: Flags, shutdown: Shutdown) -> anyhow::Result<()> {
    let verifier = Verifier::hs256(&Secret::load_or_create(&flags.secret_file)?);
    let log = Faulty { inner: Server::open_log(&flags.config)?, fault: flags.fault };
    if flags.fault == Fault::Lost {
        log.lose().await?;
    }
    let server = Server::with_log(flags.config, verifier, Arc::new(log)).await?;
    let listener = TcpListener::bind(flags.grpc).await?;
    tracing::info!(address = %listener.local_addr()?, "serving gRPC");
    Ok(server.serve(listener, shutdown).await?)
}

/// A log that does not keep its laws.
struct Faulty {
    inner: SqliteLog,
    fault: Fault,
}

/// One of so many is hit.
const EVERY: u64 = 7;
/// Jobs that are lost at a start.
const LOST: usize = 3;

fn is_hit(revision: Revision) -> bool {
    revision.0.is_multiple_of(EVERY)
}

#[async_trait]
impl Log for Faulty {
    async fn append(&self, mut append: Append) -> Result<Revision, AppendError> {
        let hit = append.expect.is_some_and(is_hit);
        let page =
            append.changes.iter_mut().find(|changed| matches!(changed.event.change, Change::PageFinished { .. }));
        let page = page.filter(|_| hit);
        if let (Fault::PercentBack, Some(page)) = (self.fault, page) {
            Arc::make_mut(&mut page.job).progress.percent = 1.0;
        }
        let newest = append.changes.last().cloned();
        let revision = self.inner.append(append).await?;
        let Some(newest) = newest.filter(|_| hit) else { return Ok(revision) };
        match (self.fault, &newest.event.change) {
            (Fault::Doubled, Change::PageFinished { .. }) => {
                self.inner.append(Append::one(Some(revision), newest.event, newest.job)).await
            }
            (Fault::TwoClaims, Change::Started { .. }) => self.unclaim(revision, newest).await.map(|()| revision),
            _ => Ok(revision),
        }
    }

    async fn read(&self, after: Revision, filter: &Filter, limit: usize) -> Result<Vec<Arc<Entry>>, ReadError> {
        let mut page = self.inner.read(after, filter, limit).await?;
        if *filter == Filter::All {
            return Ok(page);
        }
        match self.fault {
            // At least one stays: an empty page means that there is no more.
            Fault::Dropped if page.len() > 1 => page.retain(|entry| !is_hit(entry.revision)),
            Fault::Swapped => swap(&mut page),
            Fault::Leaked => self.leak(after, filter, &mut page).await?,
            _ => {}
        }
        Ok(page)
    }

    fn recent(&self, after: Revision, limit: usize) -> Option<Vec<Arc<Entry>>> {
        self.inner.recent(after, limit)
    }

    fn head(&self) -> watch::Receiver<Revision> {
        self.inner.head()
    }

    async fn store_blob(&self, job: &JobId, blob: Blob) -> Result<(), AppendError> {
        self.inner.store_blob(job, blob).await
    }

    async fn blob(&self, job: &JobId, name: &str) -> Result<Option<Bytes>, ReadError> {
        self.inner.blob(job, name).await
    }

    async fn remove_blob(&self, job: &JobId, name: &str) -> Result<(), AppendError> {
        self.inner.remove_blob(job, name).await
    }

    async fn latest(&self) -> Result<Latest, ReadError> {
        self.inner.latest().await
    }

    async fn forget(&self, key: &Key, expect: Revision) -> Result<Revision, AppendError> {
        self.inner.forget(key, expect).await
    }

    async fn trimmed(&self, filter: &Filter) -> Result<Revision, ReadError> {
        self.inner.trimmed(filter).await
    }

    fn info(&self) -> &LogInfo {
        self.inner.info()
    }
}

impl Faulty {
    /// Puts a job that has just been taken back into its line, as if it never was.
    async fn unclaim(&self, revision: Revision, mut taken: Changed) -> Result<(), AppendError> {
        let job = Arc::make_mut(&mut taken.job);
        (job.state, job.worker, job.attempt) = (State::Queued, None, job.attempt.saturating_sub(1));
        // The first claimant must have heard of its luck.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        let change = Change::Requeued { by: "fault".into(), password: None };
        let event = courant_joblog::event::Event { change, ..taken.event };
        match self.inner.append(Append::one(Some(revision), event, taken.job)).await {
            Ok(_) | Err(AppendError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Forgets what was accepted last.
    async fn lose(&self) -> anyhow::Result<()> {
        let latest = self.inner.latest().await?.all().await?;
        let jobs = latest.iter().rev().filter(|entry| matches!(entry.record, Record::Changed { .. }));
        for entry in jobs.take(LOST) {
            self.inner.forget(&entry.key, entry.revision).await?;
        }
        Ok(())
    }

    /// Adds a stranger's event, made out to whoever reads.
    async fn leak(&self, after: Revision, filter: &Filter, page: &mut Vec<Arc<Entry>>) -> Result<(), ReadError> {
        let Filter::Owner(reader) = filter else { return Ok(()) };
        let all = self.inner.read(after, &Filter::All, 16).await?;
        let Some(theirs) = all.iter().find(|entry| entry.key.owner != *reader) else { return Ok(()) };
        let mut leaked = (**theirs).clone();
        if let Record::Changed { job, .. } = &mut leaked.record {
            Arc::make_mut(job).owner = reader.clone();
        }
        page.push(Arc::new(leaked));
        page.sort_by_key(|entry| entry.revision);
        Ok(())
    }
}

/// Two events of a job change places in the history.
fn swap(page: &mut [Arc<Entry>]) {
    for at in 1..page.len() {
        let (before, after) = (page[at - 1].clone(), page[at].clone());
        if before.key == after.key && is_hit(after.revision) {
            page[at - 1] = Arc::new(Entry { revision: before.revision, ..(*after).clone() });
            page[at] = Arc::new(Entry { revision: after.revision, ..(*before).clone() });
        }
    }
}
