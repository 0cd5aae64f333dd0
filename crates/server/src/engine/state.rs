//! What lies under the engine's one lock, and how an entry of the log gets into it.

use std::sync::Arc;

use courant_joblog::ids::{JobId, Revision, Timestamp};
use courant_joblog::job::{self, Job};
use courant_joblog::log::{Entry, Filter, Log, ReadError, Record};

use super::{PAGE, Placed, Seen};
use crate::admin::figures::Figures;
use crate::estimate::Estimates;
use crate::tallies::Tallies;
use crate::view::{Known, View};
use crate::watch::hub::Hub;
use crate::watch::mailbox::Durable;

/// How far back a start looks for what estimates are made from.
const WARM_UP: u64 = 8192;

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
    fn apply(&mut self, entry: &Entry) -> Option<Arc<Job>> {
        let id = &entry.key.job;
        let old = self.view.get(id).map(|known| known.job.clone());
        self.view.apply(entry);
        let new = self.view.get(id).map(|known| known.job.clone());
        self.tallies.moved(old.as_deref(), new.as_deref(), entry.revision);
        old
    }

    pub(super) fn take_in(&mut self, entry: &Arc<Entry>) {
        let old = self.apply(entry);
        self.figures.moved(old.as_ref().map(|job| job.state), self.state_of(&entry.key.job));
        let batch = old.as_ref().and_then(|job| job.batch.clone());
        match (&entry.record, &old) {
            (Record::Changed { job, event }, _) => {
                self.estimates.learn(event, job);
                self.figures.learn(event.at, &event.change, job);
                let known = self.view.get(&job.id);
                let percent = known.map_or(job.progress.percent, |known| known.progress().percent);
                let remaining = known.and_then(|known| self.estimates.remaining(known, event.at));
                self.hub.tell(job, &Durable { entry: entry.clone(), percent, remaining, batch });
            }
            (Record::Forgotten, Some(job)) => {
                self.estimates.forget(&job.id);
                self.hub.tell(job, &Durable { batch, ..Durable::of(entry.clone()) });
            }
            // Made and removed between two looks at the log: nobody ever heard of it.
            (Record::Forgotten, None) => {}
        }
    }

    fn state_of(&self, id: &JobId) -> Option<job::State> {
        self.view.get(id).map(|known| known.job.state)
    }

    pub(super) fn seen(&self, known: &Known) -> Seen {
        let now = Timestamp::now();
        let remaining = self.estimates.remaining(known, now);
        Seen { known: known.clone(), place: self.placed(&known.job, now), remaining }
    }

    pub(super) fn placed(&self, job: &Job, now: Timestamp) -> Option<Placed> {
        let place = self.view.place(job)?;
        let wait = self.estimates.wait(&self.view, &job.kind, job.lane, place, now);
        let pages_ahead = self.estimates.pages(&job.kind, place.ahead);
        Some(Placed { position: place.position, pages_ahead, wait })
    }
}

/// Learns from the newest entries, so that estimates do not begin anew with every start.
pub(super) async fn warm_up(log: &dyn Log, head: Revision, estimates: &mut Estimates) -> Result<(), ReadError> {
    let mut after = Revision(head.0.saturating_sub(WARM_UP));
    loop {
        let page = log.read(after, &Filter::All, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.revision;
        for entry in &page {
            if let Record::Changed { event, job } = &entry.record {
                estimates.learn(event, job);
            }
        }
    }
}
