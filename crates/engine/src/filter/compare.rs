//! How a field of a filter is compared with a value, whatever has the field.

use std::cmp::Ordering;
use std::fmt::{Display, Formatter};

use super::lexer::{Comparator, Text, quote};
use crate::rfc3339::Instant;

/// A text, perhaps with anything before or after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// What it has in it.
    pub text: String,
    /// Anything may stand before.
    pub open_start: bool,
    /// Anything may stand after.
    pub open_end: bool,
}

/// How a text is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextTest {
    /// It is like this, or is not.
    Like(Pattern, Polarity),
    /// It comes before or after another.
    Sorted(Comparator, String),
}

/// Whether something is to be so, or not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    Is,
    IsNot,
}

/// Which word a problem is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemAt {
    Comparator,
    /// What is compared with.
    Value,
}

/// Why a comparison is none, and which word of it that is about.
pub type Refused = (ProblemAt, String);

impl TextTest {
    /// What a comparison with a value means for a text.
    pub fn of(comparator: Comparator, value: Text) -> Result<Self, Refused> {
        let sense = match comparator {
            Comparator::Equal | Comparator::Has => Polarity::Is,
            Comparator::NotEqual => Polarity::IsNot,
            Comparator::Less | Comparator::AtMost | Comparator::Greater | Comparator::AtLeast => {
                return match value.stars.is_empty() {
                    true => Ok(Self::Sorted(comparator, value.text)),
                    false => {
                        Err((ProblemAt::Value, "`*` goes with =, != and : only; a real one is written \\*".to_owned()))
                    }
                };
            }
        };
        let mut pattern = Pattern::of(value)?;
        if comparator == Comparator::Has && !pattern.open_start && !pattern.open_end {
            (pattern.open_start, pattern.open_end) = (true, true);
        }
        Ok(Self::Like(pattern, sense))
    }

    /// Whether it holds for a text. One that is not set is neither before nor after anything, and not like it.
    pub fn holds(&self, text: Option<&str>) -> bool {
        match self {
            Self::Like(pattern, polarity) => polarity.is(text.is_some_and(|text| pattern.fits(text))),
            Self::Sorted(comparator, than) => text.is_some_and(|text| comparator.holds(text.cmp(than))),
        }
    }
}

impl Pattern {
    fn of(value: Text) -> Result<Self, Refused> {
        let Text { text, stars, .. } = value;
        let open_start = stars.first() == Some(&0);
        let open_end = !text.is_empty() && stars.last() == Some(&(text.len() - 1));
        if text.len() == 1 && open_start {
            return Ok(Self { text: String::new(), open_start: true, open_end: true });
        }
        if stars.len() > usize::from(open_start) + usize::from(open_end) {
            let problem = "`*` is allowed at an end of a text only; a real one is written \\*";
            return Err((ProblemAt::Value, problem.to_owned()));
        }
        let inner = &text[usize::from(open_start)..text.len() - usize::from(open_end)];
        Ok(Self { text: inner.to_owned(), open_start, open_end }.normalized())
    }

    /// Open at one end without a text is open at both.
    pub fn normalized(mut self) -> Self {
        if self.text.is_empty() && (self.open_start || self.open_end) {
            (self.open_start, self.open_end) = (true, true);
        }
        self
    }

    pub fn fits(&self, text: &str) -> bool {
        match (self.open_start, self.open_end) {
            (true, true) => text.contains(&self.text),
            (true, false) => text.ends_with(&self.text),
            (false, true) => text.starts_with(&self.text),
            (false, false) => text == self.text,
        }
    }
}

impl Display for Pattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let quoted = quote(&self.text);
        let star = |open: bool| if open { "*" } else { "" };
        if self.text.is_empty() && self.open_start {
            return f.write_str("\"*\"");
        }
        write!(f, "\"{}{}{}\"", star(self.open_start), &quoted[1..quoted.len() - 1], star(self.open_end))
    }
}

impl Polarity {
    pub fn is(self, so: bool) -> bool {
        match self {
            Self::Is => so,
            Self::IsNot => !so,
        }
    }

    pub fn sign(self) -> &'static str {
        match self {
            Self::Is => "=",
            Self::IsNot => "!=",
        }
    }
}

impl Comparator {
    /// Whether two values in this order compare so.
    pub fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal | Self::Has => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        }
    }
}

/// For a single value, to have it is to be equal to it.
pub fn plain(comparator: Comparator) -> Comparator {
    if comparator == Comparator::Has { Comparator::Equal } else { comparator }
}

/// For a choice there is no order.
pub fn sense(comparator: Comparator) -> Result<Polarity, Refused> {
    match comparator {
        Comparator::Equal | Comparator::Has => Ok(Polarity::Is),
        Comparator::NotEqual => Ok(Polarity::IsNot),
        Comparator::Less | Comparator::AtMost | Comparator::Greater | Comparator::AtLeast => {
            Err((ProblemAt::Comparator, "this field goes with = and != only".to_owned()))
        }
    }
}

/// A moment, by RFC 3339.
pub fn instant(text: &str) -> Result<Instant, Refused> {
    Instant::parse(text).ok_or_else(|| (ProblemAt::Value, "expected a time like \"2026-01-31T12:00:00Z\"".to_owned()))
}
