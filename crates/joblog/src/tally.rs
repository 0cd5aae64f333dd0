//! What is in a log, so that two can be compared: counts and a checksum. Revisions are left out, which each log has its own of, and so is
//! the order between jobs; that of the entries of one job counts.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use crate::codec;
use crate::ids::{JobId, Revision};
use crate::log::{AppendError, Blob, Entry, ReadError, Record};
use crate::source::Source;

/// Entries read at a time.
pub const PAGE: usize = 512;

/// Why a log was not counted.
#[derive(Debug, thiserror::Error)]
pub enum TallyError {
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A defect of this crate: what was read cannot be written.
    #[error("an entry of job {job} cannot be written again: {source}")]
    Encode { job: JobId, source: AppendError },
}

/// What a job has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobTally {
    pub events: u64,
    /// The newest of them.
    pub newest: Revision,
    sum: u128,
}

/// What the jobs of a log have. Some 150 bytes a job.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub jobs: HashMap<JobId, JobTally>,
}

/// Two logs with the same totals hold the same events of the same jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub jobs: u64,
    pub events: u64,
    sum: u128,
}

/// Two logs with the same hold the same blobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlobTotals {
    pub blobs: u64,
    pub bytes: u64,
    sum: u128,
}

impl Tally {
    /// Counts an entry of a job, which must be a change. How many of the job were counted before it.
    pub fn add(&mut self, entry: &Entry) -> Result<u64, TallyError> {
        let job = &entry.key.job;
        let record = codec::encode(&entry.record);
        let record = record.map_err(|error| TallyError::Encode { job: job.clone(), source: error.into() })?;
        let tally = self.jobs.entry(job.clone()).or_default();
        let place = tally.events;
        let sum = checksum(&[job.as_str().as_bytes(), &place.to_le_bytes(), &record]);
        *tally = JobTally { events: place + 1, newest: entry.revision, sum: tally.sum.wrapping_add(sum) };
        Ok(place)
    }

    /// How many entries of this job were counted.
    pub fn events(&self, job: &JobId) -> u64 {
        self.jobs.get(job).map_or(0, |found| found.events)
    }

    /// A job of which the other one has something else, or which it does not have.
    pub fn first_difference<'a>(&'a self, other: &Self) -> Option<&'a JobId> {
        let same = |job: &JobId, found: &JobTally| {
            other.jobs.get(job).is_some_and(|other| (other.events, other.sum) == (found.events, found.sum))
        };
        self.jobs.iter().find(|(job, found)| !same(job, found)).map(|(job, _)| job)
    }

    pub fn totals(&self) -> Totals {
        let add = |totals: Totals, job: &JobTally| Totals {
            jobs: totals.jobs + 1,
            events: totals.events + job.events,
            sum: totals.sum.wrapping_add(job.sum),
        };
        self.jobs.values().fold(Totals::default(), add)
    }
}

impl BlobTotals {
    pub fn add(&mut self, job: &JobId, blob: &Blob) {
        self.blobs += 1;
        self.bytes += blob.bytes.len() as u64;
        self.sum = self.sum.wrapping_add(checksum(&[job.as_str().as_bytes(), blob.name.as_bytes(), &blob.bytes]));
    }
}

/// The first half of a SHA-256 of parts, each with its length.
fn checksum(parts: &[&[u8]]) -> u128 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(16).fold(0, |sum, byte| (sum << 8) | u128::from(*byte))
}

/// Counts the entries of a log, those that are wanted. All are asked about, in their order.
pub async fn tally(
    source: &dyn Source,
    mut wanted: impl FnMut(&Tally, &Entry) -> bool + Send,
) -> Result<Tally, TallyError> {
    let (mut tally, mut after) = (Tally::default(), Revision::ZERO);
    loop {
        let page = source.entries(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(tally) };
        after = last.revision;
        for entry in &page {
            if entry.record == Record::Forgotten {
                tally.jobs.remove(&entry.key.job);
            } else if wanted(&tally, entry) {
                tally.add(entry)?;
            }
        }
    }
}

/// Counts the blobs of a log.
pub async fn tally_blobs(source: &dyn Source) -> Result<BlobTotals, ReadError> {
    let (mut totals, mut after) = (BlobTotals::default(), None);
    loop {
        let page = source.blobs(after.as_ref()).await?;
        page.blobs.iter().for_each(|(job, blob)| totals.add(job, blob));
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(totals),
        }
    }
}
