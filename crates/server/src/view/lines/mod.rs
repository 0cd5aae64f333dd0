//! The lines waiting jobs stand in, and who is next.
//!
//! One line for each kind of work and lane, in the order of [`Job::queued`]. A job that is tried again keeps its place in
//! the line (the log says when it loses it), but stands aside until it is due.

mod aside;
mod turns;

use std::collections::HashMap;

use courant_joblog::ids::{JobId, Timestamp};
use courant_joblog::job::{Job, Lane};

use tokio::time::Instant;

use self::aside::Aside;
pub use self::aside::Now;
use self::turns::Turns;
pub use self::turns::Weights;
use super::load::{Load, pages_left};
use super::ranked::Ranked;

/// Where a job stands in its line; the id decides between equals.
type Stand = (Timestamp, JobId);

/// All waiting jobs, and how many of each line are held.
#[derive(Debug, Default)]
pub struct Lines {
    kinds: HashMap<Box<str>, [Line; Lane::ALL.len()]>,
    aside: Aside,
    turns: Turns,
}

#[derive(Debug, Default)]
struct Line {
    waiting: Ranked<Stand>,
    delayed: u32,
    held: u32,
}

/// The place of a waiting job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// 1 for the next.
    pub position: u32,
    /// What stands before it.
    pub ahead: Load,
}

/// How a line stands.
#[derive(Clone, Copy, Debug)]
pub struct LineState<'a> {
    /// The kind of work.
    pub kind: &'a str,
    /// The lane.
    pub lane: Lane,
    /// Jobs that wait and are due.
    pub waiting: Load,
    /// Jobs that wait for their time.
    pub delayed: u32,
    /// Jobs that workers hold.
    pub held: u32,
    /// Who is next.
    pub next: Option<&'a JobId>,
}

impl LineState<'_> {
    /// The place of a job that came now.
    pub fn end(&self) -> Place {
        Place::behind(self.waiting)
    }
}

impl Place {
    fn behind(ahead: Load) -> Self {
        Self { position: u32::try_from(ahead.jobs + 1).unwrap_or(u32::MAX), ahead }
    }
}

impl Lines {
    /// Empty, with these weights of the lanes.
    pub fn new(weights: Weights) -> Self {
        Self { turns: Turns::new(weights), ..Self::default() }
    }

    /// The weights of the lanes.
    pub fn weights(&self) -> Weights {
        self.turns.weights()
    }

    /// Puts a queued job into its line, or aside until it is due.
    pub fn insert(&mut self, job: &Job, now: Now) {
        self.take_out(job);
        if self.aside.put(job, now) {
            self.line(job).delayed += 1;
        } else {
            self.stand_in(job);
        }
    }

    /// Puts a delayed job that is due into its line.
    pub fn release(&mut self, job: &Job) {
        self.take_out(job);
        self.stand_in(job);
    }

    /// Takes a job out, wherever it stands.
    pub fn remove(&mut self, job: &Job) {
        self.take_out(job);
        self.forget_unused(&job.kind);
    }

    /// A worker took it.
    pub fn hold(&mut self, job: &Job) {
        self.line(job).held += 1;
    }

    /// No worker has it any more.
    pub fn let_go(&mut self, job: &Job) {
        let line = self.line(job);
        line.held = line.held.saturating_sub(1);
        self.forget_unused(&job.kind);
    }

    /// When the next delayed job is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.aside.next_due()
    }

    /// The next delayed job that is due; it belongs into its line.
    pub fn first_due(&self, now: Instant) -> Option<&JobId> {
        self.aside.first_due(now)
    }

    /// Takes out the next job for a worker of these kinds.
    pub fn take_next(&mut self, kinds: &[Box<str>]) -> Option<JobId> {
        let Self { kinds: lines, turns, .. } = self;
        let (kind, lane) = turns.next(kinds, |kind, lane| lines.get(kind)?[lane as usize].waiting.first())?;
        lines.get_mut(kind)?[lane as usize].waiting.pop_first().map(|(_, job)| job)
    }

    /// The place of a waiting job; `None` when it is not in a line.
    pub fn place(&self, job: &Job) -> Option<Place> {
        self.kinds.get(&job.kind)?[job.lane as usize].waiting.before(&stand(job)).map(Place::behind)
    }

    /// How a line stands.
    pub fn state<'a>(&'a self, kind: &'a str, lane: Lane) -> LineState<'a> {
        let Some(line) = self.kinds.get(kind).map(|lines| &lines[lane as usize]) else {
            return LineState { kind, lane, waiting: Load::default(), delayed: 0, held: 0, next: None };
        };
        let next = line.waiting.first().map(|(_, job)| job);
        LineState { kind, lane, waiting: line.waiting.load(), delayed: line.delayed, held: line.held, next }
    }

    /// Kinds that jobs wait for or are held of.
    pub fn kinds(&self) -> impl ExactSizeIterator<Item = &str> {
        self.kinds.keys().map(|kind| &**kind)
    }

    /// How the lines of a kind stand; none when nothing of it waits or is held.
    pub fn states<'a>(&'a self, kind: &'a str) -> Vec<LineState<'a>> {
        if !self.kinds.contains_key(kind) {
            return Vec::new();
        }
        Lane::ALL.into_iter().map(|lane| self.state(kind, lane)).collect()
    }

    /// The jobs of a line in order.
    pub fn iter(&self, kind: &str, lane: Lane) -> impl Iterator<Item = &JobId> {
        let line = self.kinds.get(kind).map(|lines| &lines[lane as usize]);
        line.into_iter().flat_map(|line| line.waiting.iter()).map(|(_, job)| job)
    }

    fn take_out(&mut self, job: &Job) {
        let aside = self.aside.take(&job.id);
        let line = self.line(job);
        if aside {
            line.delayed -= 1;
        } else {
            line.waiting.remove(&stand(job));
        }
    }

    fn stand_in(&mut self, job: &Job) {
        self.line(job).waiting.insert(stand(job), pages_left(job));
    }

    fn line(&mut self, job: &Job) -> &mut Line {
        &mut self.kinds.entry(job.kind.clone()).or_default()[job.lane as usize]
    }

    /// Kinds are named by callers: those of which nothing is left must not stay.
    fn forget_unused(&mut self, kind: &str) {
        let unused = |line: &Line| line.waiting.is_empty() && line.delayed == 0 && line.held == 0;
        if self.kinds.get(kind).is_some_and(|lines| lines.iter().all(unused)) {
            self.kinds.remove(kind);
        }
    }
}

fn stand(job: &Job) -> Stand {
    (job.queued, job.id.clone())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::view::tests::{queued, tried};

    fn filled(lanes: &[(Lane, usize)]) -> Lines {
        let mut lines = Lines::default();
        for (lane, count) in lanes {
            for n in 0..*count {
                let mut job = queued(&format!("{lane:?}{n:03}"), "alice");
                job.lane = *lane;
                job.queued = Timestamp(n as i64);
                job.pages.expected = Some(n as u32);
                lines.insert(&job, Now::read());
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
    fn places_are_counted_from_one_in_jobs_and_pages_and_close_up() {
        let mut lines = filled(&[(Lane::Normal, 4)]);
        let mut last = queued("Normal003", "alice");
        last.queued = Timestamp(3);
        last.pages.expected = Some(3);
        let place = lines.place(&last).unwrap();
        assert_eq!((place.position, place.ahead.pages), (4, 3));
        take(&mut lines);
        take(&mut lines);
        let place = lines.place(&last).unwrap();
        assert_eq!((place.position, place.ahead.pages), (2, 2));
        lines.remove(&last);
        assert_eq!(lines.place(&last), None);
    }

    #[test]
    fn a_delayed_job_waits_aside_until_it_is_due() {
        let mut lines = Lines::default();
        let job = tried("J", 1_000, 1_100);
        let now = Now { wall: Timestamp(1_000), steady: Instant::now() };
        let due = now.steady + Duration::from_millis(100);
        lines.insert(&job, now);
        assert_eq!(lines.take_next(&["pdf".into()]), None);
        assert_eq!((lines.next_due(), lines.state("pdf", job.lane).delayed), (Some(due), 1));
        assert_eq!(lines.first_due(due - Duration::from_millis(1)), None);
        assert_eq!(lines.first_due(due), Some(&job.id));
        lines.release(&job);
        assert_eq!((lines.next_due(), lines.state("pdf", job.lane).delayed), (None, 0));
        assert_eq!(lines.take_next(&["pdf".into()]), Some(job.id));
    }

    #[test]
    fn a_kind_that_is_not_used_any_more_leaves_nothing_behind() {
        let mut lines = Lines::default();
        let job = queued("J", "alice");
        lines.insert(&job, Now::read());
        lines.remove(&job);
        lines.hold(&job);
        lines.let_go(&job);
        assert_eq!(lines.kinds().count(), 0);
    }
}
