//! Room in an owner's quotas, taken before the job is made.

use std::sync::Arc;

use courant_joblog::ids::{JobId, Owner};

use crate::engine::Engine;
use crate::error::Error;

/// What a submit has set aside. Given back when dropped, unless the job is there by then.
pub struct Reservation {
    engine: Arc<Engine>,
    ticket: u64,
}

impl Reservation {
    /// Sets aside a job of so many bytes.
    pub fn make(engine: &Arc<Engine>, owner: &Owner, job: &JobId, bytes: u64) -> Result<Self, Error> {
        let ticket = engine.indexes(|indexes, _| indexes.quotas.reserve(&engine.config, owner, job, bytes))?;
        Ok(Self { engine: engine.clone(), ticket })
    }

    /// Sets aside more bytes, up to so many in all.
    pub fn grow(&self, to: u64) -> Result<(), Error> {
        Ok(self.engine.indexes(|indexes, _| indexes.quotas.grow(&self.engine.config, self.ticket, to))?)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.engine.indexes(|indexes, _| indexes.quotas.give_back(self.ticket));
    }
}
