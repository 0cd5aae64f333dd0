//! What is counted beside the view, entry by entry, under the engine's lock, and rebuilt with the view at start.
//!
//! A new one is a file with a type that is a [`Projection`], a field here, and a line in [`register`].
//!
//! [`Projection`]: courant_engine::projection::Projection

use std::sync::Arc;

use courant_engine::batches::Batches;
use courant_engine::metrics::Metrics;
use courant_engine::projection::{self, Registered};
use courant_engine::quota::{QuotaLedger, QuotaRefusals};
use courant_engine::unwatched_index::UnwatchedIndex;

use crate::changed_owners::{ChangedOwners, OwnerWatch};
use crate::config::Config;
use crate::ended_attempts::EndedAttempts;
use crate::expiry::ExpiryIndex;
use crate::freed_workers::FreedWorkers;
use crate::unused_passwords::UnusedPasswords;
use crate::work_counts::{WorkCounter, WorkCounts};

pub struct Projections {
    /// What owners submitted and have waiting.
    pub quotas: Registered<QuotaLedger>,
    /// How often they refused.
    pub quota_refusals: Arc<QuotaRefusals>,
    /// Ended jobs by their end.
    pub expiry: Registered<ExpiryIndex>,
    /// Jobs that were submitted together.
    pub batches: Registered<Batches>,
    /// Unfinished jobs that somebody must follow.
    pub unwatched: Registered<UnwatchedIndex>,
    /// Passwords that are needed no more.
    pub unused_passwords: Registered<UnusedPasswords>,
    /// Workers that may have a free slot again.
    pub freed_workers: Registered<FreedWorkers>,
    /// Attempts that run no more, for the parts of their documents.
    pub ended_attempts: Registered<EndedAttempts>,
    /// Owners with webhooks of whose jobs something has happened.
    pub changed_owners: Arc<ChangedOwners>,
    /// Counts and times of the work.
    pub metrics: Registered<Metrics>,
    /// What happened since the start, for operators.
    pub work: Arc<WorkCounts>,
}

/// All of them, and what the engine is opened with.
pub fn register(config: &Config) -> (Projections, projection::Projections) {
    let mut with = projection::Projections::default();
    let (quotas, work) = (QuotaLedger::new(config.quotas()), WorkCounter::default());
    let (quota_refusals, counts) = (quotas.refusals(), work.counts());
    with.register(work);
    let owner_watch = OwnerWatch::default();
    let changed_owners = owner_watch.owners();
    with.register(owner_watch);
    let projections = Projections {
        quotas: with.register(quotas),
        quota_refusals,
        expiry: with.register(ExpiryIndex::default()),
        batches: with.register(Batches::default()),
        unwatched: with.register(UnwatchedIndex::default()),
        unused_passwords: with.register(UnusedPasswords::default()),
        freed_workers: with.register(FreedWorkers::default()),
        ended_attempts: with.register(EndedAttempts::default()),
        changed_owners,
        metrics: with.register(Metrics::default()),
        work: counts,
    };
    (projections, with)
}
