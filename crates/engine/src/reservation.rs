//! What a submit sets aside of an owner's quotas before the job is made.

use std::sync::Arc;

use courant_joblog::ids::{JobId, Owner};

use crate::engine::Engine;
use crate::projection::Registered;
use crate::quota::{QuotaExceeded, QuotaLedger};

/// What a submit has set aside. Given back when dropped, unless the job is there by then.
pub struct Reservation {
    engine: Arc<Engine>,
    quotas: Registered<QuotaLedger>,
    ticket: u64,
}

impl Reservation {
    /// Sets aside a job of so many bytes.
    pub fn make(
        engine: &Arc<Engine>,
        quotas: &Registered<QuotaLedger>,
        owner: &Owner,
        job: &JobId,
        bytes: u64,
    ) -> Result<Self, QuotaExceeded> {
        let ticket = engine.projection(quotas, |quotas, _| quotas.reserve(owner, job, bytes))?;
        Ok(Self { engine: engine.clone(), quotas: quotas.clone(), ticket })
    }

    /// Sets aside more bytes, up to so many in all.
    pub fn grow(&self, to: u64) -> Result<(), QuotaExceeded> {
        self.engine.projection(&self.quotas, |quotas, _| quotas.grow(self.ticket, to))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.engine.projection(&self.quotas, |quotas, _| quotas.give_back(self.ticket));
    }
}
