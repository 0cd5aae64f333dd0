//! The clock that durations are measured by: it only goes forward, whatever happens to the wall clock.
//!
//! Timestamps in the log are wall time, for people. What measures (how long an attempt runs, what a page takes, since when a
//! job waits) reads this clock when it sees an event. It begins again with each process; times from before are taken from
//! the log and clamped.

use std::time::{Duration, SystemTime};

use courant_joblog::ids::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

/// A moment of this process, in milliseconds. Compare it only with others of the same clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl Moment {
    /// Milliseconds from `earlier` to this moment; 0 if it is later.
    pub fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0).max(0).unsigned_abs()
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    begin: Instant,
    base: Moment,
}

impl Default for Clock {
    fn default() -> Self {
        Self::starting_at(Moment::default())
    }
}

impl Clock {
    /// One on which it is this moment now.
    pub fn starting_at(base: Moment) -> Self {
        Self { begin: Instant::now(), base }
    }

    pub fn now(&self) -> Moment {
        let ms = i64::try_from(self.begin.elapsed().as_millis()).unwrap_or(i64::MAX);
        Moment(self.base.0.saturating_add(ms))
    }

    /// The moment of something that the log says happened at a time, when it is `wall` by the same wall clock now: never
    /// later than now.
    pub fn moment_of(&self, at: Timestamp, wall: Timestamp) -> Moment {
        Moment(self.now().0.saturating_sub(wall.ms_since(at)))
    }
}

/// The wall clock for what cannot be undone: it follows a wall clock that goes forward, but at most twice as fast as the
/// time that passes. Of a clock that was set a year ahead nothing is believed for a year but what really passed; a machine
/// that slept for a night has caught up the next night.
#[derive(Clone, Copy, Debug)]
pub struct CautiousClock {
    believed: Timestamp,
    at: Instant,
}

impl CautiousClock {
    /// Believes this, the wall clock at the start.
    pub fn starting_at(wall: Timestamp) -> Self {
        Self { believed: wall, at: Instant::now() }
    }

    /// The time that may be relied on when the wall clock says this. One that was set back is believed.
    pub fn read(&mut self, wall: Timestamp) -> Timestamp {
        let now = Instant::now();
        let passed = i64::try_from(now.duration_since(self.at).as_millis()).unwrap_or(i64::MAX);
        self.believed = wall.min(self.believed.plus_ms(passed.saturating_mul(2)));
        self.at = now;
        self.believed
    }
}

/// The [`CautiousClock`] that the parts of a server share which let things go when they are old.
#[derive(Debug)]
pub struct Wall {
    clock: Mutex<CautiousClock>,
    /// How far the wall clock of a test was set, in milliseconds.
    #[cfg(any(test, feature = "testing"))]
    pub set_by: std::sync::atomic::AtomicI64,
}

impl Default for Wall {
    fn default() -> Self {
        Self {
            clock: Mutex::new(CautiousClock::starting_at(Timestamp::now())),
            #[cfg(any(test, feature = "testing"))]
            set_by: std::sync::atomic::AtomicI64::default(),
        }
    }
}

impl Wall {
    /// The time that may be relied on.
    pub fn now(&self) -> Timestamp {
        let wall = Timestamp::now();
        #[cfg(any(test, feature = "testing"))]
        let wall = wall.plus_ms(self.set_by.load(std::sync::atomic::Ordering::Relaxed));
        self.clock.lock().read(wall)
    }

    /// The same, to compare with times of files.
    pub fn file_time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.now().0.max(0).unsigned_abs())
    }
}

/// Reads times of the log as moments: in their order, and no two events further apart than [`LONGEST_PAUSE`], so that a
/// wall clock that was set is not taken for work.
#[derive(Debug, Default)]
pub struct Replay {
    last: Option<Timestamp>,
    at: Moment,
}

/// Milliseconds between two events of the log that are believed.
const LONGEST_PAUSE: i64 = 600_000;

impl Replay {
    /// The moment of the next event.
    pub fn moment(&mut self, at: Timestamp) -> Moment {
        let pause = self.last.map_or(0, |last| at.ms_since(last).min(LONGEST_PAUSE));
        (self.last, self.at) = (Some(at), Moment(self.at.0.saturating_add(pause)));
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600 * 1000;

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_from_its_base_and_never_gives_a_moment_to_come() {
        let clock = Clock::starting_at(Moment(500));
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!(clock.now(), Moment(750));
        assert_eq!(clock.moment_of(Timestamp(1_000), Timestamp(1_100)), Moment(650));
        assert_eq!(clock.moment_of(Timestamp(1_000 + DAY), Timestamp(1_100)), Moment(750), "the wall clock went back");
        assert_eq!(Moment(5).ms_since(Moment(9)), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_jump_of_the_wall_clock_is_believed_as_slowly_as_time_passes() {
        let begin = Timestamp(1_800_000_000_000);
        let mut clock = CautiousClock::starting_at(begin);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(clock.read(begin.plus_ms(10_000)), begin.plus_ms(10_000), "a right clock is right");
        assert_eq!(clock.read(begin.plus_ms(400 * DAY)), begin.plus_ms(10_000));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(clock.read(begin.plus_ms(400 * DAY)), begin.plus_ms(130_000));
        assert_eq!(clock.read(begin.plus_ms(-DAY)), begin.plus_ms(-DAY), "back");
    }

    #[test]
    fn a_log_whose_clock_was_set_is_read_in_order_and_without_days() {
        let mut replay = Replay::default();
        let moments = [0, 100, DAY, DAY + 50, 10, 40].map(|at| replay.moment(Timestamp(at)).0);
        assert_eq!(moments, [0, 100, 600_100, 600_150, 600_150, 600_180]);
    }
}
