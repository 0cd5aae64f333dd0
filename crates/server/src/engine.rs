//! The engine: the one way to change a job, and the one place where the log becomes the view and the watchers' mail.
//!
//! View and hub lie under one lock, so what a watcher sees first and what it is told afterwards fit together without a
//! gap. Nothing waits while holding it.

use std::sync::Arc;

use courant_joblog::apply::apply;
use courant_joblog::event::{Change, Event};
use courant_joblog::ids::{JobId, Owner, Revision, Timestamp};
use courant_joblog::job::{self, Job};
use courant_joblog::log::{Append, AppendError, Entry, Key, Log, ReadError, Record};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::admin::figures::Figures;
use crate::config::Config;
use crate::cursor::Cursor;
use crate::error::Error;
use crate::estimate::Estimates;
use crate::objects::Objects;
use crate::retention::holds::Holds;
use crate::tallies::Tallies;
use crate::view::{Known, ListKey, Live, Place, View};
use crate::watch::hub::{Hub, Scope, Topic, WatcherId};
use crate::watch::mailbox::{Durable, Mailbox, News, Transient};

/// How often a change is tried again after losing a race.
const RACES: usize = 32;
/// Entries read from the log at a time.
pub const PAGE: usize = 512;
/// Jobs looked at under one lock: everybody waits for that long.
pub const CHUNK: usize = 512;
/// Finished jobs among the first snapshots of a watch over many jobs.
pub const RECENT_FINISHED: usize = 50;

/// Everything the services share.
pub struct Engine {
    /// The limits.
    pub config: Config,
    /// The truth.
    pub log: Arc<dyn Log>,
    /// Documents and results.
    pub objects: Objects,
    /// Who is putting or removing a job's files.
    pub holds: Holds,
    /// Told when a job may be waiting for a worker.
    pub wake: Notify,
    /// Told to every stream when the server stops.
    pub stopping: CancellationToken,
    state: Mutex<State>,
    applied: watch::Sender<Revision>,
}

#[derive(Default)]
struct State {
    view: View,
    hub: Hub,
    estimates: Estimates,
    figures: Figures,
    tallies: Tallies,
}

/// A job as a reader sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The job and its news.
    pub known: Known,
    /// Its place while it waits.
    pub place: Option<Place>,
    /// How long it may wait, in milliseconds.
    pub wait_ms: Option<u64>,
}

/// Jobs that were looked for.
#[derive(Debug)]
pub struct Found {
    /// Newest first, each with its place in the list.
    pub jobs: Vec<(ListKey, Seen)>,
    /// A watch from here misses nothing that came after.
    pub revision: Revision,
}

impl Engine {
    /// Reads the newest entry of every job and is ready to follow from there.
    pub async fn open(config: Config, log: Arc<dyn Log>, objects: Objects) -> Result<Arc<Self>, ReadError> {
        let latest = log.latest().await?;
        let mut state = State::default();
        latest.entries.iter().for_each(|entry| state.found(entry));
        state.view.advance(latest.revision);
        Ok(Arc::new(Self {
            config,
            log,
            objects,
            holds: Holds::default(),
            wake: Notify::new(),
            stopping: CancellationToken::new(),
            applied: watch::Sender::new(latest.revision),
            state: Mutex::new(state),
        }))
    }

    /// Follows the log until it stops. Whoever runs this must not go on serving when it ends.
    pub async fn follow(&self) -> Result<(), ReadError> {
        let mut head = self.log.head();
        loop {
            let after = *self.applied.borrow();
            if *head.borrow_and_update() <= after {
                if head.changed().await.is_err() {
                    return Err(ReadError::Storage { reason: "the log has stopped".into() });
                }
                continue;
            }
            let page = self.log.read(after, &courant_joblog::log::Filter::All, PAGE).await?;
            self.take_in(&page);
        }
    }

    /// One job, if there is such a one.
    pub fn get(&self, id: &JobId) -> Option<Seen> {
        let state = self.state.lock();
        state.view.get(id).map(|known| state.seen(known))
    }

    /// Reads the view. Keep it short: everybody waits.
    pub fn read<T>(&self, read: impl FnOnce(&View) -> T) -> T {
        read(&self.state.lock().view)
    }

    /// Reads or writes what is counted beside the view. Keep it short: everybody waits.
    pub fn tallies<T>(&self, look: impl FnOnce(&mut Tallies, &View) -> T) -> T {
        let state = &mut *self.state.lock();
        look(&mut state.tallies, &state.view)
    }

    /// Whether anybody follows this job in particular, or its owner's jobs.
    pub fn is_followed(&self, job: &Job) -> bool {
        self.state.lock().hub.is_followed(job)
    }

    /// The job as readers see it.
    pub fn seen(&self, known: &Known) -> Seen {
        self.state.lock().seen(known)
    }

    /// The newest jobs of an owner, or of all, before a key, that are wanted: at most `limit`. They are looked for in
    /// pieces, so that nobody waits long for the lock, however many there are.
    pub async fn find(
        &self,
        owner: Option<&Owner>,
        before: Option<ListKey>,
        limit: usize,
        wanted: impl Fn(&Known) -> bool,
    ) -> Found {
        let mut found = Found { jobs: Vec::new(), revision: self.read(View::revision) };
        let mut before = before;
        while found.jobs.len() < limit {
            before = self.state.lock().find_some(owner, before.as_ref(), limit, &wanted, &mut found.jobs);
            if before.is_none() {
                break;
            }
            tokio::task::yield_now().await;
        }
        found
    }

    /// A cursor for a position in the log.
    pub fn cursor(&self, revision: Revision) -> Cursor {
        Cursor::now(self.log.info(), revision)
    }

    /// Brings a job into being. `false` if it was there already.
    pub async fn create(&self, change: Change, id: JobId) -> Result<(Seen, bool), Error> {
        let event = Event { at: Timestamp::now(), change };
        let job = Arc::new(apply(None, &event)?);
        let append = Append { key: Key::of(&job), expect: None, event, job };
        for _ in 0..RACES {
            let new = match self.log.append(append.clone()).await {
                Ok(revision) => {
                    self.caught_up(revision).await;
                    true
                }
                Err(AppendError::Conflict { actual }) => {
                    self.lost_to(actual).await;
                    false
                }
                Err(error) => return Err(Error::Append(error)),
            };
            match self.get(&id) {
                Some(seen) => return Ok((seen, new)),
                // Made, ended and removed again by others in the meantime.
                None if new => return Err(Error::JobNotFound(id)),
                None => {}
            }
        }
        Err(Error::Busy(id))
    }

    /// Removes a job and its history from the log, if `may` says so of its newest state. `false` when it does not, or
    /// there is no such job. Its files are the caller's.
    pub async fn remove(&self, id: &JobId, may: impl Fn(&Job) -> Result<bool, Error>) -> Result<bool, Error> {
        for _ in 0..RACES {
            let Some(known) = self.read(|view| view.get(id).cloned()) else { return Ok(false) };
            if !may(&known.job)? {
                return Ok(false);
            }
            match self.log.forget(&Key::of(&known.job), known.revision).await {
                Ok(revision) => {
                    self.caught_up(revision).await;
                    return Ok(true);
                }
                Err(AppendError::Conflict { actual }) => self.lost_to(actual).await,
                Err(error) => return Err(Error::Append(error)),
            }
        }
        Err(Error::Busy(id.clone()))
    }

    /// Changes a job: `decide` sees the newest job and says what should happen (`None`: nothing). It is asked again when
    /// somebody else was quicker. The caller reads its own write: the view has it when this returns.
    pub async fn change(
        &self,
        id: &JobId,
        decide: impl Fn(&Job) -> Result<Option<Change>, Error>,
    ) -> Result<Seen, Error> {
        for _ in 0..RACES {
            let known = self.read(|view| view.get(id).cloned()).ok_or_else(|| Error::JobNotFound(id.clone()))?;
            let Some(change) = decide(&known.job)? else { return Ok(self.seen(&known)) };
            let event = Event { at: Timestamp::now(), change };
            let job = Arc::new(apply(Some(&known.job), &event)?);
            let append = Append { key: Key::of(&job), expect: Some(known.revision), event, job };
            match self.log.append(append).await {
                Ok(revision) => {
                    self.caught_up(revision).await;
                    return self.get(id).ok_or_else(|| Error::JobNotFound(id.clone()));
                }
                Err(AppendError::Conflict { actual }) => self.lost_to(actual).await,
                Err(error) => return Err(Error::Append(error)),
            }
        }
        Err(Error::Busy(id.clone()))
    }

    /// Takes in news of a running attempt that is not for the log. `false` if it is not the job's attempt.
    pub fn report(&self, id: &JobId, live: Live, news: News) -> bool {
        let mut state = self.state.lock();
        let Some(known) = state.view.set_live(id, live) else { return false };
        let news = Transient { at: Timestamp::now(), known, place: None, news };
        state.hub.tell_news(&Arc::new(news));
        true
    }

    /// Takes the next waiting job of these kinds out of its line for a claim.
    pub fn take_next(&self, kinds: &[Box<str>]) -> Option<Known> {
        self.state.lock().view.take_next(kinds, Timestamp::now())
    }

    /// Gives a job back whose claim failed.
    pub fn give_back(&self, id: &JobId) {
        self.state.lock().view.give_back(id);
    }

    /// Joins the watchers; from the returned revision on everything comes into the mailbox.
    pub fn join(&self, scope: Scope, mailbox: &Arc<Mailbox>) -> (WatcherId, Revision) {
        let mut state = self.state.lock();
        let id = state.hub.join(scope, mailbox.clone());
        (id, state.view.revision())
    }

    /// Leaves the watchers.
    pub fn leave(&self, id: &WatcherId) {
        self.state.lock().hub.leave(id);
    }

    /// Empties a mailbox; from the returned revision on everything comes into it again.
    pub fn rejoin(&self, mailbox: &Mailbox) -> Revision {
        let state = self.state.lock();
        mailbox.clear();
        state.view.revision()
    }

    /// The revision up to which nothing is missing from a watcher whose mailbox is empty; `None` when it is not empty.
    pub fn quiet_since(&self, mailbox: &Mailbox) -> Option<Revision> {
        let state = self.state.lock();
        mailbox.is_empty().then(|| state.view.revision())
    }

    /// The jobs of a scope as they are now, oldest first: all unfinished and the newest finished. Empties the mailbox,
    /// which continues from the returned revision.
    pub fn snapshots(&self, scope: &Scope, mailbox: &Mailbox) -> (Vec<Seen>, Revision) {
        let state = self.state.lock();
        mailbox.clear();
        (state.snapshots(scope), state.view.revision())
    }

    /// Tells waiting jobs' places to those who watch them, where `changed` says they are new.
    pub fn tell_places(&self, mut changed: impl FnMut(&JobId, Place) -> bool) {
        let state = self.state.lock();
        for (place, known) in state.view.places() {
            if state.hub.is_watched(&known.job) && changed(&known.job.id, place) {
                let (at, known, news) = (Timestamp::now(), known.clone(), News::Place);
                state.hub.tell_news(&Arc::new(Transient { at, known, place: Some(place), news }));
            }
        }
    }

    /// How many jobs can run at once, for estimates.
    pub fn set_slots(&self, slots: u32) {
        self.state.lock().estimates.slots = slots;
    }

    /// Reads the figures of the work. Keep it short: everybody waits.
    pub fn figures<T>(&self, read: impl FnOnce(&Figures) -> T) -> T {
        read(&self.state.lock().figures)
    }

    /// How many watches are open.
    pub fn watchers(&self) -> usize {
        self.state.lock().hub.len()
    }

    /// A signal that grows as the view does.
    pub fn applied(&self) -> watch::Receiver<Revision> {
        self.applied.subscribe()
    }

    /// Waits until the view has what won the race. A key that has no entry any more was removed by one up to the head.
    async fn lost_to(&self, actual: Option<Revision>) {
        let head = *self.log.head().borrow();
        self.caught_up(actual.unwrap_or(head)).await;
    }

    async fn caught_up(&self, revision: Revision) {
        // An error means that the engine is going down; the caller finds out by itself.
        let _ = self.applied.subscribe().wait_for(|applied| *applied >= revision).await;
    }

    fn take_in(&self, page: &[Arc<Entry>]) {
        let Some(last) = page.last() else { return };
        let mut state = self.state.lock();
        page.iter().for_each(|entry| state.take_in(entry));
        drop(state);
        self.applied.send_replace(last.revision);
        self.wake.notify_one();
    }
}

impl State {
    /// Takes in the newest entry of a job at the start.
    fn found(&mut self, entry: &Entry) {
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

    fn take_in(&mut self, entry: &Arc<Entry>) {
        let old = self.apply(entry);
        self.figures.moved(old.as_ref().map(|job| job.state), self.state_of(&entry.key.job));
        let batch = old.as_ref().and_then(|job| job.batch.clone());
        match (&entry.record, &old) {
            (Record::Changed { job, event }, _) => {
                self.estimates.learn(job);
                self.figures.learn(event.at, &event.change, job);
                let live = self.view.get(&job.id).and_then(|known| known.live.as_ref());
                let percent = live.map_or(job.progress.percent, |live| live.progress.percent);
                self.hub.tell(job, &Durable { entry: entry.clone(), percent, batch });
            }
            (Record::Forgotten, Some(job)) => {
                self.hub.tell(job, &Durable { entry: entry.clone(), percent: 0.0, batch });
            }
            // Made and removed between two looks at the log: nobody ever heard of it.
            (Record::Forgotten, None) => {}
        }
    }

    /// Looks at one piece of a list; says where the next begins, if there is one.
    fn find_some(
        &self,
        owner: Option<&Owner>,
        before: Option<&ListKey>,
        limit: usize,
        wanted: &impl Fn(&Known) -> bool,
        found: &mut Vec<(ListKey, Seen)>,
    ) -> Option<ListKey> {
        let mut last = None;
        for (looked_at, (key, known)) in self.view.list(owner, before).enumerate() {
            if looked_at == CHUNK || found.len() == limit {
                return last;
            }
            if wanted(known) {
                found.push((key.clone(), self.seen(known)));
            }
            last = Some(key.clone());
        }
        None
    }

    fn state_of(&self, id: &JobId) -> Option<job::State> {
        self.view.get(id).map(|known| known.job.state)
    }

    fn seen(&self, known: &Known) -> Seen {
        let place = self.view.place(&known.job);
        let wait_ms = place.and_then(|place| self.estimates.wait_ms(place));
        Seen { known: known.clone(), place, wait_ms }
    }

    fn snapshots(&self, scope: &Scope) -> Vec<Seen> {
        let owner = match &scope.topic {
            Topic::Job(id) => return self.view.get(id).map(|known| self.seen(known)).into_iter().collect(),
            Topic::Owner(owner) => Some(owner),
            Topic::All => None,
        };
        let mut finished = 0;
        let jobs = self.view.list(owner, None).map(|(_, known)| known).filter(|known| scope.holds(&known.job));
        let mut seen: Vec<Seen> = jobs
            .filter(|known| {
                finished += usize::from(known.job.state.is_terminal());
                !known.job.state.is_terminal() || finished <= RECENT_FINISHED
            })
            .map(|known| self.seen(known))
            .collect();
        seen.reverse();
        seen
    }
}
