//! Progress for other servers: what workers report here and the log does not have. The newest of each kind waits a moment, so that a
//! message carries many jobs.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};

use courant_engine::hub::watch_queue::TransientChange;
use courant_engine::view::LiveProgress;
use courant_joblog::ids::{JobId, Owner, Revision};
use courant_joblog::log::partition;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Jobs whose progress waits; that of further ones is not passed on until these are sent.
const MAX_JOBS: usize = 16_384;

/// What waits to be sent.
#[derive(Debug, Default)]
pub struct ProgressOutbox {
    /// Whether there is anybody to send it to.
    wanted: AtomicBool,
    jobs: Mutex<HashMap<JobId, Pending>>,
    filled: Notify,
}

#[derive(Debug)]
struct Pending {
    partition: u8,
    updates: Vec<Update>,
}

/// Something a worker reported.
#[derive(Clone, Debug)]
pub struct Update {
    pub job: JobId,
    /// That of the job's last entry when it was reported. Shown before that entry, percent would go back when it comes.
    pub revision: Revision,
    pub live: LiveProgress,
    pub change: TransientChange,
}

impl ProgressOutbox {
    /// Whether other servers are there to hear it.
    pub fn set_wanted(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// Whether there is anybody to send it to.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Takes a report, in place of an older one of the same kind.
    pub fn push(&self, owner: &Owner, update: Update) {
        if !self.is_wanted() {
            return;
        }
        let mut jobs = self.jobs.lock();
        if jobs.len() >= MAX_JOBS && !jobs.contains_key(&update.job) {
            return;
        }
        let new = || Pending { partition: partition(owner), updates: Vec::new() };
        let updates = &mut jobs.entry(update.job.clone()).or_insert_with(new).updates;
        updates.retain(|known| mem::discriminant(&known.change) != mem::discriminant(&update.change));
        updates.push(update);
        drop(jobs);
        self.filled.notify_one();
    }

    /// Waits until there is something.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// What waits, by partition.
    pub fn take(&self) -> HashMap<u8, Vec<Update>> {
        let mut taken: HashMap<u8, Vec<Update>> = HashMap::new();
        for (_, pending) in mem::take(&mut *self.jobs.lock()) {
            taken.entry(pending.partition).or_default().extend(pending.updates);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use courant_engine::testing::queued;
    use courant_joblog::job::{Format, Progress};

    use super::*;

    fn update(job: &str, percent: f64, change: TransientChange) -> Update {
        let progress = Progress { percent, ..queued("J", "alice").progress };
        let live = LiveProgress { attempt: 1, progress, zone: None };
        Update { job: JobId::new(job), revision: Revision(1), live, change }
    }

    #[test]
    fn the_newest_of_each_kind_is_sent_and_nothing_while_nobody_is_there() {
        let (outbox, owner) = (ProgressOutbox::default(), Owner::new("alice"));
        let push = |job: &str, percent, change| outbox.push(&owner, update(job, percent, change));
        push("J", 1.0, TransientChange::Progress);
        assert!(outbox.take().is_empty());
        outbox.set_wanted(true);
        push("J", 2.0, TransientChange::Progress);
        push("J", 3.0, TransientChange::Export { format: Format::Json, percent: 1.0 });
        push("J", 4.0, TransientChange::Progress);
        push("K", 5.0, TransientChange::Progress);
        let taken = outbox.take();
        let mut percents: Vec<f64> =
            taken[&partition(&owner)].iter().map(|update| update.live.progress.percent).collect();
        percents.sort_by(f64::total_cmp);
        assert_eq!((taken.len(), percents), (1, vec![3.0, 4.0, 5.0]));
        assert!(outbox.take().is_empty());
    }

    #[test]
    fn what_waits_is_bounded() {
        let (outbox, owner) = (ProgressOutbox::default(), Owner::new("alice"));
        outbox.set_wanted(true);
        for number in 0..MAX_JOBS + 10 {
            outbox.push(&owner, update(&format!("J{number}"), 1.0, TransientChange::Progress));
        }
        assert_eq!(outbox.take()[&partition(&owner)].len(), MAX_JOBS);
    }
}
