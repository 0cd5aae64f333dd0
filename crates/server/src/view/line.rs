//! The lines waiting jobs stand in, and who is next.
//!
//! One line for each kind of work and lane, first come first served. Between lanes the choice is weighted fair (stride
//! scheduling): premium is served most, yet every lane that has someone waiting moves.

use std::collections::{BTreeSet, HashMap};

use courant_joblog::ids::{JobId, Timestamp};
use courant_joblog::job::{Job, Lane};

/// How far a lane's clock moves with each job served: the inverse of its weight (6, 3 and 1).
const fn stride(lane: Lane) -> u64 {
    match lane {
        Lane::Premium => 5,
        Lane::Normal => 10,
        Lane::Large => 30,
    }
}

/// Jobs by the time they were queued; the id decides between equals.
type Line = BTreeSet<(Timestamp, JobId)>;

/// All waiting jobs.
#[derive(Debug, Default)]
pub struct Lines {
    lines: HashMap<(Box<str>, Lane), Line>,
    delayed: Line,
    clocks: HashMap<Lane, u64>,
    now: u64,
}

/// The place of a waiting job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// 1 for the next.
    pub position: u32,
}

impl Lines {
    /// Puts a queued job into its line, or aside until it is due.
    pub fn insert(&mut self, job: &Job, now: Timestamp) {
        match job.not_before.filter(|due| *due > now) {
            Some(due) => {
                self.delayed.insert((due, job.id.clone()));
            }
            None => {
                self.line(job).insert((job.queued, job.id.clone()));
            }
        }
    }

    /// Takes a job out, wherever it stands.
    pub fn remove(&mut self, job: &Job) {
        if let Some(due) = job.not_before {
            self.delayed.remove(&(due, job.id.clone()));
        }
        self.line(job).remove(&(job.queued, job.id.clone()));
    }

    /// When the next delayed job is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.delayed.first().map(|(due, _)| *due)
    }

    /// Takes out the delayed jobs that are due; they belong into their lines.
    pub fn take_due(&mut self, now: Timestamp) -> Vec<JobId> {
        let mut due = Vec::new();
        while self.delayed.first().is_some_and(|(at, _)| *at <= now) {
            due.extend(self.delayed.pop_first().map(|(_, job)| job));
        }
        due
    }

    /// Takes out the next job of one of these kinds.
    pub fn take_next(&mut self, kinds: &[Box<str>]) -> Option<JobId> {
        let lane = Lane::ALL
            .into_iter()
            .filter(|lane| kinds.iter().any(|kind| self.waits(kind, *lane)))
            .min_by_key(|lane| self.clock(*lane))?;
        let line = kinds
            .iter()
            .map(|kind| (kind.clone(), lane))
            .filter(|key| self.waits(&key.0, lane))
            .min_by_key(|key| self.lines.get(key).and_then(|line| line.first().cloned()))?;
        // A lane that was idle starts from now: it has no claim on the past.
        self.now = self.clock(lane);
        self.clocks.insert(lane, self.now + stride(lane));
        self.lines.get_mut(&line)?.pop_first().map(|(_, job)| job)
    }

    /// The place of a waiting job; `None` when it is not in a line.
    pub fn place(&self, job: &Job) -> Option<Place> {
        let line = self.lines.get(&(job.kind.clone(), job.lane))?;
        let at = (job.queued, job.id.clone());
        line.contains(&at).then(|| Place { position: line.range(..&at).count() as u32 + 1 })
    }

    /// Every line's jobs in order.
    pub fn iter(&self) -> impl Iterator<Item = (Place, &JobId)> {
        self.lines
            .values()
            .flat_map(|line| line.iter().zip(1u32..).map(|((_, job), position)| (Place { position }, job)))
    }

    fn line(&mut self, job: &Job) -> &mut Line {
        self.lines.entry((job.kind.clone(), job.lane)).or_default()
    }

    /// Whether jobs of this kind wait in this lane.
    pub fn waits(&self, kind: &str, lane: Lane) -> bool {
        self.lines.get(&(Box::from(kind), lane)).is_some_and(|line| !line.is_empty())
    }

    fn clock(&self, lane: Lane) -> u64 {
        self.clocks.get(&lane).copied().unwrap_or(0).max(self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::tests::queued;

    fn filled(lanes: &[(Lane, usize)]) -> Lines {
        let mut lines = Lines::default();
        for (lane, count) in lanes {
            for n in 0..*count {
                let mut job = queued(&format!("{lane:?}{n:03}"), "alice");
                job.lane = *lane;
                job.queued = Timestamp(n as i64);
                lines.insert(&job, Timestamp(0));
            }
        }
        lines
    }

    fn take(lines: &mut Lines) -> String {
        lines.take_next(&["pdf".into()]).unwrap().to_string()
    }

    #[test]
    fn each_lane_gets_its_share_and_none_starves() {
        let mut lines = filled(&[(Lane::Premium, 100), (Lane::Normal, 100), (Lane::Large, 100)]);
        let served: Vec<String> = (0..50).map(|_| take(&mut lines)).collect();
        let count = |lane: &str| served.iter().filter(|job| job.starts_with(lane)).count();
        assert_eq!((count("Premium"), count("Normal"), count("Large")), (30, 15, 5));
    }

    #[test]
    fn a_lane_that_was_idle_does_not_catch_up() {
        let mut lines = filled(&[(Lane::Normal, 100)]);
        (0..50).for_each(|_| drop(take(&mut lines)));
        let mut late = queued("late", "alice");
        late.lane = Lane::Large;
        for n in 0..10 {
            late.id = JobId::new(format!("late{n}"));
            lines.insert(&late, Timestamp(0));
        }
        let served: Vec<String> = (0..8).map(|_| take(&mut lines)).collect();
        assert!(served.iter().filter(|job| job.starts_with("late")).count() <= 3, "{served:?}");
    }

    #[test]
    fn places_are_counted_from_one_and_close_up() {
        let mut lines = filled(&[(Lane::Normal, 3)]);
        let mut last = queued("Normal002", "alice");
        last.queued = Timestamp(2);
        assert_eq!(lines.place(&last), Some(Place { position: 3 }));
        take(&mut lines);
        assert_eq!(lines.place(&last), Some(Place { position: 2 }));
        lines.remove(&last);
        assert_eq!(lines.place(&last), None);
    }

    #[test]
    fn a_delayed_job_waits_aside_until_it_is_due() {
        let mut lines = Lines::default();
        let mut job = queued("J", "alice");
        job.not_before = Some(Timestamp(100));
        lines.insert(&job, Timestamp(0));
        assert_eq!(lines.take_next(&["pdf".into()]), None);
        assert_eq!(lines.next_due(), Some(Timestamp(100)));
        assert_eq!(lines.take_due(Timestamp(99)), vec![]);
        assert_eq!(lines.take_due(Timestamp(100)), vec![job.id]);
    }
}
