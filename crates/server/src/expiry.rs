//! Ended jobs in the order of their ends.

use courant_engine::projection::{JobChange, Projection};
use courant_engine::view::SortedSet;
use courant_joblog::ids::{JobId, Timestamp};
use courant_joblog::job::Job;

/// The jobs that will expire, first ended first.
#[derive(Debug, Default)]
pub struct ExpiryIndex(SortedSet<(Timestamp, JobId)>);

impl Projection for ExpiryIndex {
    fn on_change(&mut self, change: &JobChange<'_>) {
        let (old, new) = change.jobs();
        self.apply(old, new);
    }
}

impl ExpiryIndex {
    fn apply(&mut self, old: Option<&Job>, new: Option<&Job>) {
        let (old, new) = (old.and_then(end), new.and_then(end));
        if old != new {
            if let Some(end) = old {
                self.0.remove(&end);
            }
            if let Some(end) = new {
                self.0.insert(end);
            }
        }
    }

    /// When the first of them ended.
    pub fn first(&self) -> Option<Timestamp> {
        self.0.first().map(|(ended, _)| *ended)
    }

    /// Those that ended by then, at most so many.
    pub fn until(&self, then: Timestamp, most: usize) -> Vec<JobId> {
        self.0.after(None).take_while(|(ended, _)| *ended <= then).take(most).map(|(_, id)| id.clone()).collect()
    }
}

fn end(job: &Job) -> Option<(Timestamp, JobId)> {
    Some((job.ended.filter(|_| job.state.is_terminal())?, job.id.clone()))
}

#[cfg(test)]
mod tests {
    use courant_joblog::job::State;

    use super::*;
    use courant_engine::testing::queued;

    #[test]
    fn a_job_is_due_from_its_end_until_it_is_tried_again_or_gone() {
        let waiting = queued("J", "alice");
        let mut ended = waiting.clone();
        ended.state = State::Failed;
        ended.ended = Some(Timestamp(7));
        let mut due = ExpiryIndex::default();
        due.apply(None, Some(&waiting));
        assert_eq!(due.first(), None);
        due.apply(Some(&waiting), Some(&ended));
        assert_eq!((due.first(), due.until(Timestamp(6), 9).len()), (Some(Timestamp(7)), 0));
        assert_eq!(due.until(Timestamp(7), 9), [ended.id.clone()]);
        due.apply(Some(&ended), Some(&waiting));
        assert_eq!(due.first(), None);
        due.apply(Some(&waiting), Some(&ended));
        due.apply(Some(&ended), None);
        assert_eq!(due.first(), None);
    }
}
