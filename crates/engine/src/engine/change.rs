//! Changing jobs: an append with compare-and-set, tried again while others are quicker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use courant_joblog::apply::apply;
use courant_joblog::event::{Change, Event};
use courant_joblog::ids::{JobId, Revision, Timestamp, WorkerId};
use courant_joblog::job::Job;
use courant_joblog::log::{Append, AppendError, Blob, Changed, Key};

use super::core::Engine;
use crate::clock::Moment;
use crate::error::Error;
use crate::snapshot::JobSnapshot;
use crate::spans;
use crate::view::{CurrentJob, StoredJob, View};

/// How often a change is tried again after losing a race.
const RACES: usize = 32;

/// What happens to a job at once.
#[derive(Debug, Default)]
pub struct Changes {
    pub changes: Vec<Change>,
    /// What the changes speak of.
    pub blobs: Vec<Blob>,
}

impl From<Option<Change>> for Changes {
    fn from(change: Option<Change>) -> Self {
        Self { changes: change.into_iter().collect(), blobs: Vec::new() }
    }
}

impl From<Vec<Change>> for Changes {
    fn from(changes: Vec<Change>) -> Self {
        Self { changes, blobs: Vec::new() }
    }
}

/// The newest change that was written, and what it made of the job; `None` if nothing was to be changed.
pub type Written = Result<Option<(Revision, Arc<Job>)>, Error>;

impl Engine {
    /// Brings a job into being, together with blobs of it; with a worker, its first attempt starts there at once. Gives the
    /// revision of its first event; `None` if it was there already.
    pub async fn create(
        &self,
        change: Change,
        id: JobId,
        blobs: Vec<Blob>,
        worker: Option<WorkerId>,
    ) -> Result<(JobSnapshot, Option<Revision>), Error> {
        let event = Event::new(Timestamp::now(), change);
        let job = Arc::new(apply(None, &event)?);
        let mut append = Append { blobs, ..Append::one(None, event, job.clone()) };
        let start = worker.map(|worker| Change::Started { attempt: 1, worker });
        append.changes.extend(in_turn(&job, start, None)?);
        let entries = append.changes.len() as u64;
        let newest = append.changes.last().map(|last| last.job.clone());
        let (appended, took) = self.timed(self.log.append(append)).await;
        let new = match appended {
            Ok(revision) => {
                self.caught_up(revision).await;
                if let Some(newest) = newest {
                    spans::on_change(None, &newest, took);
                }
                // The entries of one append have consecutive revisions.
                Some(Revision(revision.0 + 1 - entries))
            }
            Err(AppendError::Conflict { actual }) => {
                self.lost_to(actual).await;
                None
            }
            Err(error) => return Err(Error::Append(error)),
        };
        match self.get(&id) {
            Some(snapshot) => Ok((snapshot, new)),
            // Made, ended and removed again by others in the meantime; or they had made it first, and removed it.
            None if new.is_some() => Err(Error::JobNotFound(id)),
            None => Err(Error::Busy(id)),
        }
    }

    /// Removes a job and its history from the log, if `may` allows it for its newest state, and gives it back. `None` when it
    /// does not, or there is no such job. Its files are the caller's.
    pub async fn remove(
        &self,
        id: &JobId,
        may: impl Fn(&Job) -> Result<bool, Error>,
    ) -> Result<Option<Arc<Job>>, Error> {
        for _ in 0..RACES {
            let Some(current) = self.current(id) else { return Ok(None) };
            if !may(&current.job)? {
                return Ok(None);
            }
            match self.timed(self.log.forget(&Key::of(&current.job), current.revision)).await.0 {
                Ok(revision) => {
                    self.caught_up(revision).await;
                    return Ok(Some(current.job));
                }
                Err(AppendError::Conflict { actual }) => self.lost_to(actual).await,
                Err(error) => return Err(Error::Append(error)),
            }
        }
        Err(Error::Busy(id.clone()))
    }

    /// Changes a job: `decide` gets the newest job and returns the change (`None`: nothing). It is called again when
    /// somebody else was quicker. The caller reads its own write: the view has it when this returns.
    pub async fn change(
        &self,
        id: &JobId,
        decide: impl Fn(&Job) -> Result<Option<Change>, Error>,
    ) -> Result<JobSnapshot, Error> {
        self.change_all(id, |job| Ok(decide(job)?.into())).await
    }

    /// Changes a job several times in one append: all of the changes happen, in order, or none. Blobs are stored with them.
    pub async fn change_all(
        &self,
        id: &JobId,
        decide: impl Fn(&Job) -> Result<Changes, Error>,
    ) -> Result<JobSnapshot, Error> {
        let snapshot = match self.write(id, decide).await? {
            Some((revision, newest)) => self.get_changed(id, revision, newest),
            None => self.get(id),
        };
        snapshot.ok_or_else(|| Error::JobNotFound(id.clone()))
    }

    /// The same for who does not need all that readers see of the job: gives the newest change and what it made of the job.
    /// `None` if nothing was to be changed.
    pub async fn write(&self, id: &JobId, decide: impl Fn(&Job) -> Result<Changes, Error>) -> Written {
        for _ in 0..RACES {
            let current = self.current(id).ok_or_else(|| Error::JobNotFound(id.clone()))?;
            let now = self.read(View::now);
            let Some((append, newest)) = prepare(&current, now, &decide)? else { return Ok(None) };
            let (appended, took) = self.timed(self.log.append(append)).await;
            match appended {
                Ok(revision) => {
                    self.caught_up(revision).await;
                    spans::on_change(Some(&current.job), &newest, took);
                    return Ok(Some((revision, newest)));
                }
                Err(AppendError::Conflict { actual }) => self.lost_to(actual).await,
                Err(error) => return Err(Error::Append(error)),
            }
        }
        Err(Error::Busy(id.clone()))
    }

    /// Writes to several jobs, which are read, appended and applied together. Each is as [`Engine::write`] would be: what becomes of
    /// one changes nothing for the others. The outcomes are in the order of the jobs.
    pub async fn write_each<F>(&self, wanted: &[(JobId, F)]) -> Vec<Written>
    where
        F: Fn(&Job) -> Result<Changes, Error>,
    {
        let (now, stored) = self.read(|view| {
            let stored: Vec<_> = wanted.iter().map(|(id, _)| view.stored(id).cloned()).collect();
            (view.now(), stored)
        });
        let prepared = wanted.iter().zip(stored).map(|((id, decide), stored)| {
            let current = stored.and_then(StoredJob::into_current).ok_or_else(|| Error::JobNotFound(id.clone()))?;
            let prepared = prepare(&current, now, decide)?;
            Ok(prepared.map(|(append, newest)| (current.job, append, newest)))
        });
        let (mut appends, mut outcomes) = (Vec::with_capacity(wanted.len()), Vec::with_capacity(wanted.len()));
        let mut befores = Vec::with_capacity(wanted.len());
        for prepared in prepared {
            outcomes.push(prepared.map(|prepared| {
                prepared.map(|(before, append, newest)| {
                    befores.push(before);
                    appends.push(append);
                    // The revision is known when it is appended.
                    (Revision::ZERO, newest)
                })
            }));
        }
        let (appended, took) = self.timed(self.log.append_all(appends)).await;
        let mut appended = appended.into_iter().zip(befores);
        let mut again = Vec::new();
        for (place, outcome) in outcomes.iter_mut().enumerate() {
            let Ok(Some((revision, newest))) = outcome else { continue };
            match appended.next() {
                Some((Ok(at), before)) => {
                    *revision = at;
                    spans::on_change(Some(&before), newest, took);
                }
                Some((Err(AppendError::Conflict { .. }), _)) => again.push(place),
                Some((Err(error), _)) => *outcome = Err(Error::Append(error)),
                None => *outcome = Err(Error::Busy(wanted[place].0.clone())),
            }
        }
        let newest = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()?.as_ref()).map(|(at, _)| *at).max();
        self.caught_up(newest.unwrap_or_default()).await;
        for place in again {
            let (id, decide) = &wanted[place];
            self.lost_to(None).await;
            outcomes[place] = self.write(id, decide).await;
        }
        outcomes
    }

    /// Appends, and counts how long that takes.
    async fn timed<T>(&self, append: impl Future<Output = T>) -> (T, Duration) {
        let begun = Instant::now();
        let outcome = append.await;
        let took = begun.elapsed();
        self.stats.appends.observe(took);
        (outcome, took)
    }

    /// Waits until the view has what won the race. A key that has no entry any more was removed by one up to the head.
    async fn lost_to(&self, actual: Option<Revision>) {
        let head = *self.log.head().borrow();
        self.caught_up(actual.unwrap_or(head)).await;
    }
}

/// What is to be appended to a job, and what that makes of it; `None` if nothing is.
fn prepare(
    current: &CurrentJob,
    now: Moment,
    decide: impl Fn(&Job) -> Result<Changes, Error>,
) -> Result<Option<(Append, Arc<Job>)>, Error> {
    let Changes { changes: wanted, blobs } = decide(&current.job)?;
    if wanted.is_empty() {
        return Ok(None);
    }
    let changes = in_turn(&current.with_live_percent(), wanted, current.held_for_ms(now))?;
    let newest = changes.last().map_or(&current.job, |last| &last.job).clone();
    let (key, expect) = (Key::of(&current.job), Some(current.revision));
    Ok(Some((Append { key, expect, changes, blobs }, newest)))
}

/// Changes one after another, each of what the one before made of the job.
fn in_turn(
    job: &Arc<Job>,
    wanted: impl IntoIterator<Item = Change>,
    ran_ms: Option<u64>,
) -> Result<Vec<Changed>, Error> {
    let (mut newest, at) = (job.clone(), Timestamp::now());
    let changes = wanted.into_iter().map(|change| {
        let event = Event { at, change, ran_ms };
        newest = Arc::new(apply(Some(&newest), &event)?);
        Ok(Changed { event, job: newest.clone() })
    });
    changes.collect()
}

#[cfg(test)]
mod tests;
