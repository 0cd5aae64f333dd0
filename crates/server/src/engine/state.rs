//! What lies under the engine's one lock, and how an entry of the log gets into it.

use std::sync::Arc;

use courant_joblog::ids::{JobId, Revision, Timestamp};
use courant_joblog::job::{self, Job};
use courant_joblog::log::{Entry, Filter, Log, ReadError, Record};

use super::{PAGE, Placed, Seen};
use crate::admin::figures::Figures;
use crate::clock::{Clock, Moment, Replay};
use crate::estimate::Estimates;
use crate::tallies::Tallies;
use crate::view::{Known, View};
use crate::watch::hub::Hub;
use crate::watch::mailbox::Durable;

/// How far back a start looks for what estimates are made from.
const WARM_UP: u64 = 8192;
/// Milliseconds a job may have waited by the word of a log: more says that the wall clock was set.
const LONGEST_WAIT: i64 = 24 * 3600 * 1000;

/// View, watchers and all that is counted beside them.
#[derive(Default)]
pub(super) struct State {
    pub(super) view: View,
    pub(super) hub: Hub,
    pub(super) estimates: Estimates,
    pub(super) figures: Figures,
    pub(super) tallies: Tallies,
}

impl State {
    /// Takes in the newest entry of a job at the start.
    pub(super) fn found(&mut self, entry: &Entry) {
        self.apply(entry);
        if let Record::Changed { job, .. } = &entry.record {
            self.figures.found(job);
        }
    }

    /// Brings view and tallies on. Gives back the job as it was.
    fn apply(&mut self, entry: &Entry) -> Option<Known> {
        let id = &entry.key.job;
        let old = self.view.get(id).cloned();
        self.view.apply(entry);
        let new = self.view.get(id).map(|known| known.job.clone());
        self.tallies.moved(old.as_ref().map(|old| &*old.job), new.as_deref(), entry.revision);
        old
    }

    pub(super) fn take_in(&mut self, entry: &Arc<Entry>) {
        let old = self.apply(entry);
        self.figures.moved(old.as_ref().map(|old| old.job.state), self.state_of(&entry.key.job));
        let batch = old.as_ref().and_then(|old| old.job.batch.clone());
        match (&entry.record, &old) {
            (Record::Changed { job, event }, _) => {
                let now = self.view.now();
                let stayed = old.as_ref().map_or(0, |old| now.ms_since(old.since));
                self.estimates.learn(event, job, now, stayed);
                self.figures.learn(event.at, &event.change, job);
                let known = self.view.get(&job.id);
                let percent = known.map_or(job.progress.percent, |known| known.progress().percent);
                let remaining = known.and_then(|known| self.estimates.remaining(known, now));
                self.hub.tell(job, &Durable { entry: entry.clone(), percent, remaining, batch });
            }
            (Record::Forgotten, Some(old)) => {
                self.estimates.forget(&old.job.id);
                self.hub.tell(&old.job, &Durable { batch, ..Durable::of(entry.clone()) });
            }
            // Made and removed between two looks at the log: nobody ever heard of it.
            (Record::Forgotten, None) => {}
        }
    }

    fn state_of(&self, id: &JobId) -> Option<job::State> {
        self.view.get(id).map(|known| known.job.state)
    }

    pub(super) fn seen(&self, known: &Known) -> Seen {
        let now = self.view.now();
        let remaining = self.estimates.remaining(known, now);
        let elapsed = known.elapsed_ms(now);
        Seen { known: known.clone(), place: self.placed(&known.job, now), remaining, elapsed }
    }

    pub(super) fn placed(&self, job: &Job, now: Moment) -> Option<Placed> {
        let place = self.view.place(job)?;
        let wait = self.estimates.wait(&self.view, &job.kind, job.lane, place, now);
        let pages_ahead = self.estimates.pages(&job.kind, place.ahead);
        Some(Placed { position: place.position, pages_ahead, wait })
    }
}

/// Learns from the newest entries, so that estimates do not begin anew with every start. Gives the clock that goes on from
/// there.
pub(super) async fn warm_up(log: &dyn Log, head: Revision, estimates: &mut Estimates) -> Result<Clock, ReadError> {
    let mut after = Revision(head.0.saturating_sub(WARM_UP));
    let mut replay = Replay::default();
    loop {
        let page = log.read(after, &Filter::All, PAGE).await?;
        let Some(last) = page.last() else { return Ok(Clock::starting_at(replay.moment(Timestamp::now()))) };
        after = last.revision;
        for entry in &page {
            if let Record::Changed { event, job } = &entry.record {
                let waited = event.at.ms_since(job.queued).min(LONGEST_WAIT).unsigned_abs();
                estimates.learn(event, job, replay.moment(event.at), waited);
            }
        }
    }
}
