//! How long ended jobs are kept.

use std::str::FromStr;
use std::time::Duration;

use courant_joblog::ids::Timestamp;
use courant_joblog::job::Job;

/// How long ended jobs are kept unless told otherwise.
const DEFAULT: Duration = Duration::from_secs(7 * 24 * 3600);
/// More than anybody means.
const ABSURD: Duration = Duration::from_secs(36_500 * 24 * 3600);

/// How long an ended job is kept; `None` for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention(pub Option<Duration>);

impl Default for Retention {
    fn default() -> Self {
        Self(Some(DEFAULT))
    }
}

impl FromStr for Retention {
    type Err = humantime::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if matches!(text, "0" | "forever") {
            return Ok(Self(None));
        }
        Ok(Self(Some(humantime::parse_duration(text)?).filter(|time| !time.is_zero())))
    }
}

impl Retention {
    /// When a job is removed; `None` while it has not ended, and when everything is kept.
    pub fn expires(self, job: &Job) -> Option<Timestamp> {
        let ended = job.ended.filter(|_| job.state.is_terminal())?;
        Some(ended.plus_ms(i64::try_from(self.0?.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Whether it is longer than a program lives.
    pub fn is_too_long(self) -> bool {
        self.0.is_some_and(|time| time > ABSURD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use courant_engine::testing::queued;

    #[test]
    fn times_are_read_and_forever_has_three_names() {
        for text in ["forever", "0", "0s"] {
            assert_eq!(text.parse(), Ok(Retention(None)), "{text}");
        }
        assert_eq!("90m".parse(), Ok(Retention(Some(Duration::from_secs(5400)))));
        assert!("soon".parse::<Retention>().is_err() && "-1s".parse::<Retention>().is_err());
        assert!(Retention(Some(ABSURD * 2)).is_too_long() && !Retention::default().is_too_long());
    }

    #[test]
    fn only_an_ended_job_expires() {
        let mut job = queued("J", "alice");
        let keep = Retention(Some(Duration::from_secs(2)));
        assert_eq!(keep.expires(&job), None);
        job.state = courant_joblog::job::State::Cancelled;
        job.ended = Some(Timestamp(5));
        assert_eq!(keep.expires(&job), Some(Timestamp(2005)));
        assert_eq!(Retention(None).expires(&job), None);
    }
}
