//! The engine's parts, and reading them.

use std::collections::BTreeMap;
use std::sync::Arc;

use courant_joblog::ids::{JobId, Revision, Timestamp};
use courant_joblog::log::{Entry, Filter, Log, ReadError};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::state::{PAGE, State, warm_up};
use crate::clock::Wall;
use crate::config::Config;
use crate::credential::Credentials;
use crate::cursor::Cursor;
use crate::error::Error;
use crate::estimate::Estimates;
use crate::holds::Holds;
use crate::hub::watch_queue::{TransientChange, TransientUpdate};
use crate::indexes::Indexes;
use crate::metrics::Metrics;
use crate::objects::Objects;
use crate::seal::{self, Passwords};
use crate::shares::Shares;
use crate::snapshot::JobSnapshot;
use crate::view::{Known, Live, View};

/// Everything the services share.
pub struct Engine {
    pub config: Config,
    pub log: Arc<dyn Log>,
    pub objects: Objects,
    /// Seals and opens passwords of documents.
    pub passwords: Passwords,
    /// Shows which worker holds an attempt.
    pub credentials: Credentials,
    /// Who is putting or removing a job's files.
    pub holds: Holds,
    /// What all users use together.
    pub shares: Shares,
    /// By what is too old is told.
    pub wall: Wall,
    /// Told when a job may be waiting for a worker.
    pub wake: Notify,
    /// Told to every stream when the server stops.
    pub stopping: CancellationToken,
    /// What is done to its end though its caller went away. The server waits for it before it ends.
    pub detached: TaskTracker,
    /// Tasks that serve streams. They end when the server stops.
    pub streams: TaskTracker,
    pub(super) state: Mutex<State>,
    pub(super) applied: watch::Sender<Revision>,
}

/// Why an engine cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The key that seals passwords cannot be used.
    #[error("--password-key-file: {0}")]
    PasswordKey(#[from] courant_auth::secret::SecretError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Engine {
    /// Reads the newest entry of every job and is ready to follow from there.
    pub async fn open(config: Config, log: Arc<dyn Log>, objects: Objects) -> Result<Arc<Self>, OpenError> {
        let secret = seal::shared_secret(&config)?;
        let latest = log.latest().await?;
        let mut estimates = Estimates::default();
        let clock = warm_up(&*log, latest.revision, &mut estimates).await?;
        let mut state = State { view: View::new(config.weights(), clock), estimates, ..State::default() };
        latest.entries.iter().for_each(|entry| state.found(entry));
        state.view.advance(latest.revision);
        Ok(Arc::new(Self {
            shares: Shares::new(&config),
            config,
            log,
            objects,
            passwords: Passwords::new(&secret),
            credentials: Credentials::new(&secret),
            holds: Holds::default(),
            wall: Wall::default(),
            wake: Notify::new(),
            stopping: CancellationToken::new(),
            detached: TaskTracker::new(),
            streams: TaskTracker::new(),
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
            let page = self.log.read(after, &Filter::All, PAGE).await?;
            self.apply_page(&page);
        }
    }

    /// One job, if there is such a one.
    pub fn get(&self, id: &JobId) -> Option<JobSnapshot> {
        let state = self.state.lock();
        state.view.get(id).map(|known| state.seen(known))
    }

    /// Reads the view. Keep it short: everybody waits.
    pub fn read<T>(&self, read: impl FnOnce(&View) -> T) -> T {
        read(&self.state.lock().view)
    }

    /// Reads or writes what is counted beside the view. Keep it short: everybody waits.
    pub fn indexes<T>(&self, look: impl FnOnce(&mut Indexes, &View) -> T) -> T {
        let state = &mut *self.state.lock();
        look(&mut state.indexes, &state.view)
    }

    /// Reads the view and what is estimated from it. Keep it short: everybody waits.
    pub fn survey<T>(&self, read: impl FnOnce(&View, &Estimates) -> T) -> T {
        let state = self.state.lock();
        read(&state.view, &state.estimates)
    }

    /// The job as readers see it.
    pub fn seen(&self, known: &Known) -> JobSnapshot {
        self.state.lock().seen(known)
    }

    /// A cursor for a position in the log.
    pub fn cursor(&self, revision: Revision) -> Cursor {
        Cursor::now(self.log.info(), revision)
    }

    /// Takes in news of a running attempt that is not for the log. `false` if it is not the job's attempt.
    pub fn report(&self, id: &JobId, live: Live, news: TransientChange) -> bool {
        let mut state = self.state.lock();
        let Some(known) = state.view.set_live(id, live) else { return false };
        let (at, now) = (Timestamp::now(), state.view.now());
        let (remaining, elapsed) = (state.estimates.remaining(&known, now), known.elapsed_ms(now));
        let news = TransientUpdate { at, known, place: None, remaining, elapsed, news };
        state.hub.notify_transient(&Arc::new(news));
        true
    }

    /// Takes the next waiting job of these kinds out of its line for a claim, given how many slots workers have for each
    /// kind.
    pub fn take_next(&self, kinds: &[Box<str>], slots: &BTreeMap<Box<str>, u32>) -> Option<Known> {
        let limits = self.config.owner_limits(slots);
        self.state.lock().view.take_next(kinds, &limits, Instant::now())
    }

    /// Puts the delayed jobs that are due into their lines. Gives back when the next one is.
    pub fn release_due(&self) -> Option<Instant> {
        let mut state = self.state.lock();
        state.view.release_due(Instant::now());
        state.view.next_due()
    }

    /// Puts a job that was taken for a claim back into its line, if it still waits.
    pub fn give_back(&self, id: &JobId) {
        self.state.lock().view.give_back(id);
    }

    /// Reads the figures of the work. Keep it short: everybody waits.
    pub fn metrics<T>(&self, read: impl FnOnce(&Metrics) -> T) -> T {
        read(&self.state.lock().metrics)
    }

    /// Does something to its end, also when the caller goes away.
    pub async fn run_detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        match self.detached.spawn(work).await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(Error::Draining),
        }
    }

    /// A signal that grows as the view does.
    pub fn applied(&self) -> watch::Receiver<Revision> {
        self.applied.subscribe()
    }

    fn apply_page(&self, page: &[Arc<Entry>]) {
        let Some(last) = page.last() else { return };
        let mut state = self.state.lock();
        page.iter().for_each(|entry| state.apply(entry));
        drop(state);
        self.applied.send_replace(last.revision);
        self.wake.notify_one();
    }
}
