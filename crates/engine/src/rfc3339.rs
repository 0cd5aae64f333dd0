//! Times as texts, by RFC 3339. Reads what the wire's own type (`google.protobuf.Timestamp`) reads, which is a little more than
//! the standard: a date alone, a space in place of the `T`, no offset at all, and years of more than four digits with a
//! sign before them.

use std::fmt::{Display, Formatter};

/// Seconds since 1970 and the nanoseconds (0 to 999999999) after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    pub seconds: i64,
    pub nanos: i32,
}

/// The first and the last local time whose seconds fit into an `i64`.
const RANGE: std::ops::RangeInclusive<Local> = Local { year: -292_277_022_657, rest: [1, 27, 8, 29, 52], nanos: 0 }
    ..=Local { year: 292_277_026_596, rest: [12, 4, 15, 30, 7], nanos: 999_999_999 };
const DAY: i64 = 86_400;
const DAYS_PER_400_YEARS: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const TO_1970: i64 = 719_468;

/// A date and time of day, without an offset. Compares by what comes first.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Local {
    year: i64,
    /// Month and day from 1, then hour, minute, second.
    rest: [u8; 5],
    nanos: i32,
}

impl Local {
    /// As seconds, as if the offset were 0. `None` if there is no such date or time.
    fn seconds(&self) -> Option<i64> {
        let [month, day, hour, minute, second] = self.rest;
        let date = (1..=12).contains(&month) && (1..=days_in_month(self.year, month)).contains(&day);
        if !date || hour > 23 || minute > 59 || second > 59 || !RANGE.contains(self) {
            return None;
        }
        // Years begin with March here, so that a leap day is their last.
        let (month, day) = (i64::from(month), i64::from(day));
        let year = if month > 2 { self.year } else { self.year - 1 };
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let days = era * DAYS_PER_400_YEARS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - TO_1970;
        let of_day = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        // In `i128`: the first day of the range begins before what an `i64` holds.
        i64::try_from(i128::from(days) * i128::from(DAY) + i128::from(of_day)).ok()
    }
}

fn days_in_month(year: i64, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Instant {
    /// `None` if it is not a time.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = Rest(text.as_bytes());
        let (year, month, day) = rest.date()?;
        if rest.0.is_empty() {
            let date = Local { year, rest: [month, day, 0, 0, 0], nanos: 0 };
            return Some(Self { seconds: date.seconds()?, nanos: 0 });
        }
        if !rest.skip(b'T') && !rest.skip(b't') && !rest.skip(b' ') {
            return None;
        }
        let (hour, minute, second, nanos) = rest.time()?;
        let offset = rest.offset()?;
        // A leap second counts as the one before it.
        let second = if second == 60 { 59 } else { second };
        let local = Local { year, rest: [month, day, hour, minute, second], nanos };
        let seconds = local.seconds()?.checked_sub(offset)?;
        rest.0.is_empty().then_some(Self { seconds, nanos })
    }
}

/// What of a text is still to be read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn date(&mut self) -> Option<(i64, u8, u8)> {
        if self.0.len() < "YYYY-MM-DD".len() {
            return None;
        }
        let year = if self.skip(b'+') {
            self.year(5)?
        } else if self.skip(b'-') {
            -self.year(4)?
        } else {
            i64::from(self.two()?) * 100 + i64::from(self.two()?)
        };
        let month = self.after(b'-')?;
        Some((year, month, self.after(b'-')?))
    }

    fn time(&mut self) -> Option<(u8, u8, u8, i32)> {
        let (hour, minute, second) = (self.two()?, self.after(b':')?, self.after(b':')?);
        if !self.skip(b'.') {
            return Some((hour, minute, second, 0));
        }
        let digits = self.digits();
        if digits.is_empty() {
            return None;
        }
        let digit = |at: usize| digits.get(at).map_or(0, |digit| i32::from(digit - b'0'));
        Some((hour, minute, second, (0..9).fold(0, |nanos, at| nanos * 10 + digit(at))))
    }

    /// The offset in seconds, positive east of Greenwich; none is 0.
    fn offset(&mut self) -> Option<i64> {
        if self.0.is_empty() {
            return Some(0);
        }
        self.skip(b' ');
        if self.skip(b'Z') || self.skip(b'z') {
            return Some(0);
        }
        let sign = if self.skip(b'+') {
            1
        } else if self.skip(b'-') {
            -1
        } else {
            return None;
        };
        let hour = self.two()?;
        let minute = if self.0.is_empty() {
            0
        } else {
            self.skip(b':');
            self.two()?
        };
        (hour < 24 && minute < 60).then(|| sign * (i64::from(hour) * 3600 + i64::from(minute) * 60))
    }

    /// A year of at least so many digits.
    fn year(&mut self, least: usize) -> Option<i64> {
        let digits = self.digits();
        if digits.len() < least {
            return None;
        }
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// Two digits after a character.
    fn after(&mut self, before: u8) -> Option<u8> {
        if self.skip(before) { self.two() } else { None }
    }

    fn two(&mut self) -> Option<u8> {
        let (digits, rest) = self.0.split_at_checked(2)?;
        let [tens, ones] = [digits.first()?, digits.get(1)?];
        if !tens.is_ascii_digit() || !ones.is_ascii_digit() {
            return None;
        }
        self.0 = rest;
        Some((tens - b'0') * 10 + (ones - b'0'))
    }

    fn digits(&mut self) -> &[u8] {
        let end = self.0.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        digits
    }

    /// Whether the next character is this; it is read then.
    fn skip(&mut self, byte: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }
}

impl Display for Instant {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let (days, second) = (self.seconds.div_euclid(DAY) + TO_1970, self.seconds.rem_euclid(DAY));
        let (era, of_era) = (days.div_euclid(DAYS_PER_400_YEARS), days.rem_euclid(DAYS_PER_400_YEARS));
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Counted from March.
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        match era * 400 + year_of_era + i64::from(month <= 2) {
            year if year > 9999 => write!(f, "+{year}")?,
            year if year < 0 => write!(f, "{year:05}")?,
            year => write!(f, "{year:04}")?,
        }
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match self.nanos {
            0 => write!(f, "Z"),
            nanos if nanos % 1_000_000 == 0 => write!(f, ".{:03}Z", nanos / 1_000_000),
            nanos if nanos % 1_000 == 0 => write!(f, ".{:06}Z", nanos / 1_000),
            nanos => write!(f, ".{nanos:09}Z"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, nanos: i32) -> Option<Instant> {
        Some(Instant { seconds, nanos })
    }

    #[test]
    fn the_usual_forms_are_read() {
        assert_eq!(Instant::parse("1970-01-01"), at(0, 0));
        assert_eq!(Instant::parse("2026-01-01T12:00:00.5Z"), at(1_767_268_800, 500_000_000));
        assert_eq!(Instant::parse("2026-01-01 14:00:00+02:00"), at(1_767_268_800, 0));
        assert_eq!(Instant::parse("2026-01-01t10:00:00 -0200"), at(1_767_268_800, 0));
        assert_eq!(Instant::parse("1999-12-31T23:59:60z"), Instant::parse("1999-12-31T23:59:59"));
        assert_eq!(Instant::parse("1969-12-31T23:59:59.0000000019"), at(-1, 1));
        for wrong in
            ["", "2026", "2026-02-29", "2026-13-01", "2026-01-01T", "2026-01-01T24:00:00", "2026-01-01T1:00:00"]
        {
            assert_eq!(Instant::parse(wrong), None, "{wrong}");
        }
        for wrong in
            ["2026-01-01T00:00:00.", "2026-01-01T00:00:00+24", "2026-01-01T00:00:00Zz", "２026-01-01", "+2026-01-01"]
        {
            assert_eq!(Instant::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for text in [
            "0000-02-29T00:00:00Z",
            "2000-02-29T23:59:59.999999999Z",
            "1900-03-01T00:00:00.001Z",
            "-0001-12-31T00:00:00.000001Z",
            "+10000-01-01T00:00:00Z",
            "-292277022657-01-27T08:29:52Z",
            "+292277026596-12-04T15:30:07.999999999Z",
        ] {
            assert_eq!(Instant::parse(text).map(|at| at.to_string()).as_deref(), Some(text));
        }
    }
}
