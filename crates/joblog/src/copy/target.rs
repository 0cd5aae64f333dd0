//! Where a log is copied to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::task::{JoinSet, spawn_blocking};

use super::error::CopyError;
use crate::ids::{JobId, Revision};
use crate::log::{Append, AppendError, Blob, Changed, Entry, Log, Record};
use crate::sqlite::{BuildError, Builder};
use crate::tally::Tally;

/// Entries of one append. Engines take more, but their memory and their messages are bounded.
const RUN: usize = 128;
/// Blobs that are stored at once; together some megabytes.
const BLOBS_AT_ONCE: usize = 16;

/// Takes in what is copied.
#[async_trait]
pub trait Target: Send {
    /// Entries that are changes of jobs, newer than all before.
    async fn append(&mut self, entries: Vec<Arc<Entry>>) -> Result<(), CopyError>;

    async fn store_blobs(&mut self, blobs: Vec<(JobId, Blob)>) -> Result<(), CopyError>;

    /// Takes out a job.
    async fn remove(&mut self, job: &JobId) -> Result<(), CopyError>;
}

/// A log that nobody else appends to.
pub struct LogTarget {
    log: Arc<dyn Log>,
    /// The newest entry of each job.
    heads: HashMap<JobId, Revision>,
    /// Whether blobs may be there already.
    resumed: bool,
}

impl LogTarget {
    /// `have`: what is in the log.
    pub fn new(log: Arc<dyn Log>, have: &Tally) -> Self {
        let heads: HashMap<_, _> = have.jobs.iter().map(|(job, found)| (job.clone(), found.newest)).collect();
        Self { log, resumed: !heads.is_empty(), heads }
    }

    async fn send(&mut self, batch: &mut Vec<Append>) -> Result<(), CopyError> {
        let appends = std::mem::take(batch);
        let jobs: Vec<JobId> = appends.iter().map(|append| append.key.job.clone()).collect();
        for (job, outcome) in jobs.into_iter().zip(self.log.append_all(appends).await) {
            let revision = outcome.map_err(|source| refused(&job, source))?;
            self.heads.insert(job, revision);
        }
        Ok(())
    }
}

fn refused(job: &JobId, source: AppendError) -> CopyError {
    let job = job.clone();
    match source {
        AppendError::Conflict { .. } => CopyError::Contended { job },
        source => CopyError::Append { job, source },
    }
}

#[async_trait]
impl Target for LogTarget {
    /// What is appended at once is of different jobs: so the order between jobs stays as it is.
    async fn append(&mut self, entries: Vec<Arc<Entry>>) -> Result<(), CopyError> {
        let (mut batch, mut jobs) = (Vec::<Append>::new(), HashSet::new());
        for entry in entries {
            let Record::Changed { event, job } = &entry.record else { continue };
            let changed = Changed { event: event.clone(), job: job.clone() };
            if let Some(last) = batch.last_mut()
                && last.key == entry.key
                && last.changes.len() < RUN
            {
                last.changes.push(changed);
                continue;
            }
            if !jobs.insert(entry.key.job.clone()) {
                self.send(&mut batch).await?;
                jobs = HashSet::from([entry.key.job.clone()]);
            }
            let (key, expect) = (entry.key.clone(), self.heads.get(&entry.key.job).copied());
            batch.push(Append { key, expect, changes: vec![changed], blobs: Vec::new() });
        }
        if batch.is_empty() { Ok(()) } else { self.send(&mut batch).await }
    }

    async fn store_blobs(&mut self, blobs: Vec<(JobId, Blob)>) -> Result<(), CopyError> {
        let (mut storing, mut blobs) = (JoinSet::new(), blobs.into_iter());
        loop {
            while storing.len() < BLOBS_AT_ONCE
                && let Some((job, blob)) = blobs.next()
            {
                let (log, resumed) = (self.log.clone(), self.resumed);
                storing.spawn(async move { store_blob(&*log, &job, blob, resumed).await });
            }
            match storing.join_next().await {
                Some(stored) => stored.map_err(|error| CopyError::Interrupted(error.to_string()))??,
                None => return Ok(()),
            }
        }
    }

    async fn remove(&mut self, job: &JobId) -> Result<(), CopyError> {
        Err(CopyError::Interrupted(format!("job {job} was removed from the log to copy; stop its server")))
    }
}

async fn store_blob(log: &dyn Log, job: &JobId, blob: Blob, may_be_there: bool) -> Result<(), CopyError> {
    if may_be_there && log.blob(job, &blob.name).await?.as_ref() == Some(&blob.bytes) {
        return Ok(());
    }
    log.store_blob(job, blob).await.map_err(|source| refused(job, source))
}

/// A log in a folder, with the revisions of the source.
pub struct BuilderTarget(Option<Builder>);

impl BuilderTarget {
    pub fn new(builder: Builder) -> Self {
        Self(Some(builder))
    }

    /// Ends it; from here on it is a log.
    pub async fn finish(mut self) -> Result<(), CopyError> {
        let builder = self.take()?;
        let finished = spawn_blocking(move || builder.finish()).await;
        finished.map_err(|error| CopyError::Interrupted(error.to_string()))?.map_err(CopyError::Open)
    }

    fn take(&mut self) -> Result<Builder, CopyError> {
        self.0.take().ok_or_else(|| CopyError::Interrupted("the copy failed before".into()))
    }

    /// On a thread that may block.
    async fn write(
        &mut self,
        write: impl FnOnce(&mut Builder) -> Result<(), BuildError> + Send + 'static,
    ) -> Result<(), CopyError> {
        let mut builder = self.take()?;
        let written = spawn_blocking(move || write(&mut builder).map(|()| builder)).await;
        self.0 = Some(written.map_err(|error| CopyError::Interrupted(error.to_string()))??);
        Ok(())
    }
}

#[async_trait]
impl Target for BuilderTarget {
    async fn append(&mut self, entries: Vec<Arc<Entry>>) -> Result<(), CopyError> {
        self.write(move |builder| builder.append(&entries)).await
    }

    async fn store_blobs(&mut self, blobs: Vec<(JobId, Blob)>) -> Result<(), CopyError> {
        self.write(move |builder| builder.store_blobs(&blobs)).await
    }

    async fn remove(&mut self, job: &JobId) -> Result<(), CopyError> {
        let job = job.clone();
        self.write(move |builder| builder.remove(&job)).await
    }
}
