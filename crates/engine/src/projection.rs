//! Projections: what is counted or collected beside the view, entry by entry.
//!
//! Each is registered before the engine opens, and lies under the engine's lock together with view and hub, so that all of
//! them agree. The engine knows them by this trait alone; whoever registered one reaches it by what [`Projections::register`]
//! gave back. Nothing in them may wait or walk through all jobs: everything else waits meanwhile.

use std::sync::Arc;

use courant_joblog::event::Event;
use courant_joblog::job::Job;
use courant_joblog::log::Entry;
use parking_lot::{Mutex, MutexGuard};

use crate::clock::Moment;
use crate::view::CurrentJob;

/// One entry of the log, and what it changed.
#[derive(Clone, Copy, Debug)]
pub struct JobChange<'a> {
    pub entry: &'a Entry,
    /// The job as it was; `None` if it is new.
    pub before: Option<&'a CurrentJob>,
    /// The job as it is; `None` if it was removed.
    pub after: Option<&'a CurrentJob>,
    pub now: Moment,
}

impl JobChange<'_> {
    /// The job before and after.
    pub fn jobs(&self) -> (Option<&Job>, Option<&Job>) {
        (self.before.map(|current| &*current.job), self.after.map(|current| &*current.job))
    }
}

/// An event from before the engine was opened.
#[derive(Clone, Copy, Debug)]
pub struct PastEvent<'a> {
    pub event: &'a Event,
    /// The job after it.
    pub job: &'a Job,
    pub at: Moment,
}

/// Something that is computed from the log's entries.
pub trait Projection: Send {
    /// Applies the newest entries from before the start, oldest first and before anything else. They are a part of the log,
    /// and what they are about may be gone.
    fn replay(&mut self, _past: &PastEvent<'_>) {}

    /// Applies a job that was there at the start, by its newest entry.
    fn restore(&mut self, change: &JobChange<'_>) {
        self.on_change(change);
    }

    /// Applies an entry as it is followed.
    fn on_change(&mut self, change: &JobChange<'_>);
}

/// Reaches one projection, through the engine that it is registered with.
#[derive(Debug)]
pub struct Registered<P>(Arc<Mutex<P>>);

// Not derived: that would ask it of the projection as well.
impl<P> Clone for Registered<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P> Registered<P> {
    /// For who holds the engine's lock. This one is then always free.
    pub(crate) fn lock(&self) -> MutexGuard<'_, P> {
        self.0.lock()
    }
}

/// What an engine is opened with.
#[derive(Default)]
pub struct Projections(Vec<Arc<Mutex<dyn Projection>>>);

impl Projections {
    pub fn register<P: Projection + 'static>(&mut self, projection: P) -> Registered<P> {
        let projection = Arc::new(Mutex::new(projection));
        self.0.push(projection.clone());
        Registered(projection)
    }

    /// Calls each, in the order in which they were registered.
    pub(crate) fn each(&self, mut call: impl FnMut(&mut dyn Projection)) {
        self.0.iter().for_each(|projection| call(&mut *projection.lock()));
    }
}
