//! Copies a log into another one: each event in its order, with its time and attempt, and the blobs of jobs. Revisions and epochs are the
//! new log's own, so no cursor of the old one is covered there.
//!
//! The source may go on meanwhile, if it is one that others append to. The copy then ends where the source ended at the beginning, and has no
//! job that was removed before the end: what has been read of such a job may have a gap.

mod error;
mod target;

use std::collections::HashMap;
use std::sync::Arc;

use crate::ids::{JobId, Revision};
use crate::log::{Entry, Record};
use crate::source::Source;
use crate::tally::{BlobTotals, PAGE, Tally, tally};

pub use self::error::CopyError;
pub use self::target::{BuilderTarget, LogTarget, Target};

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Looked at, copied or not.
    Events(u64),
    Blobs(u64),
}

/// What is not to be copied.
#[derive(Clone, Debug, Default)]
pub struct Except {
    /// What the target has already of each job, from the job's first entry on.
    pub have: Tally,
    /// How many of the oldest entries of a job are left out.
    pub oldest: HashMap<JobId, u64>,
}

/// What the target has now.
#[derive(Clone, Debug, Default)]
pub struct Copied {
    pub tally: Tally,
    pub blobs: BlobTotals,
    /// Events that were copied now; the others were there.
    pub appended: u64,
    /// The oldest events of jobs, which were left out.
    pub left_out: u64,
    /// Tombstones of removed jobs: no cursor from before needs them in the new log.
    pub forgotten: u64,
}

/// Whether the target holds nothing but the beginnings of what the source has: then copying can go on.
pub async fn check_beginning(source: &dyn Source, except: &Except) -> Result<(), CopyError> {
    let mut oldest = except.oldest.clone();
    let found = tally(source, |tally, entry| {
        let job = &entry.key.job;
        !left_out(&mut oldest, job) && tally.events(job) < except.have.events(job)
    });
    match except.have.first_difference(&found.await?) {
        Some(job) => Err(CopyError::Differs { job: job.clone() }),
        None => Ok(()),
    }
}

/// Copies all of `source` but for this.
pub async fn copy(
    source: &dyn Source,
    target: &mut dyn Target,
    except: Except,
    report: &mut (dyn FnMut(Progress) + Send),
) -> Result<Copied, CopyError> {
    let mut copying = Copying { source, target, oldest: except.oldest, have: except.have, copied: Copied::default() };
    let end = source.newest().await?;
    copying.events(end, report).await?;
    copying.blobs(report).await?;
    copying.removals(end).await?;
    Ok(copying.copied)
}

struct Copying<'a> {
    source: &'a dyn Source,
    target: &'a mut dyn Target,
    have: Tally,
    oldest: HashMap<JobId, u64>,
    copied: Copied,
}

/// Whether the next entry of this job is one of those that are left out.
fn left_out(oldest: &mut HashMap<JobId, u64>, job: &JobId) -> bool {
    match oldest.get_mut(job) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        Some(_) | None => false,
    }
}

impl Copying<'_> {
    async fn events(&mut self, end: Revision, report: &mut (dyn FnMut(Progress) + Send)) -> Result<(), CopyError> {
        let (mut after, mut seen) = (Revision::ZERO, 0);
        while after < end {
            let page = self.source.entries(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.revision;
            let mut wanted = Vec::with_capacity(page.len());
            for entry in page.into_iter().filter(|entry| entry.revision <= end) {
                seen += 1;
                if entry.record == Record::Forgotten {
                    // Entries of it that were read before, in this very page maybe.
                    wanted.retain(|other: &Arc<Entry>| other.key.job != entry.key.job);
                    self.remove(&entry.key.job).await?;
                    self.copied.forgotten += 1;
                } else if left_out(&mut self.oldest, &entry.key.job) {
                    self.copied.left_out += 1;
                } else if self.copied.tally.add(&entry)? >= self.have.events(&entry.key.job) {
                    wanted.push(entry);
                }
            }
            self.copied.appended += wanted.len() as u64;
            self.target.append(wanted).await?;
            report(Progress::Events(seen));
        }
        Ok(())
    }

    async fn blobs(&mut self, report: &mut (dyn FnMut(Progress) + Send)) -> Result<(), CopyError> {
        let mut after = None;
        loop {
            let mut page = self.source.blobs(after.as_ref()).await?;
            // Others are of jobs that were made since, or removed.
            page.blobs.retain(|(job, _)| self.copied.tally.jobs.contains_key(job));
            page.blobs.iter().for_each(|(job, blob)| self.copied.blobs.add(job, blob));
            self.target.store_blobs(page.blobs).await?;
            report(Progress::Blobs(self.copied.blobs.blobs));
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Takes out jobs that were removed while they were copied.
    async fn removals(&mut self, mut after: Revision) -> Result<(), CopyError> {
        let end = self.source.newest().await?;
        while after < end {
            let page = self.source.entries(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.revision;
            for entry in page.iter().filter(|entry| entry.record == Record::Forgotten) {
                self.remove(&entry.key.job).await?;
            }
        }
        Ok(())
    }

    async fn remove(&mut self, job: &JobId) -> Result<(), CopyError> {
        if self.copied.tally.jobs.remove(job).is_some() {
            self.target.remove(job).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
