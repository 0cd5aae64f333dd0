//! A filter as it was understood.

use std::fmt::{Display, Formatter};

use super::candidate::Candidate;
use super::field::Condition;
use super::lexer::quote;

/// A filter that was understood. Shown in a form that is read as the same filter.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter<C = Condition> {
    /// All of these hold.
    All(Vec<Self>),
    /// At least one of these holds.
    Any(Vec<Self>),
    /// This does not hold.
    Not(Box<Self>),
    /// The text, in lower case, is somewhere in it, in whatever case: of a job in its ids, name or labels.
    Search(String),
    /// A field is as this says.
    Condition(C),
}

impl Filter {
    /// Whether it holds for a job.
    pub fn holds(&self, job: &Candidate) -> bool {
        self.evaluate(&|| job.spend(1), &|text| job.mentions(text), &|condition| condition.holds(job))
    }
}

impl<C> Filter<C> {
    /// Whether it holds for something: which conditions hold, and which texts are in it. `spend` is called for each part that
    /// is looked at.
    pub fn evaluate(&self, spend: &dyn Fn(), mentions: &dyn Fn(&str) -> bool, holds: &dyn Fn(&C) -> bool) -> bool {
        spend();
        match self {
            Self::All(parts) => parts.iter().all(|part| part.evaluate(spend, mentions, holds)),
            Self::Any(parts) => parts.iter().any(|part| part.evaluate(spend, mentions, holds)),
            Self::Not(part) => !part.evaluate(spend, mentions, holds),
            Self::Search(text) => mentions(text),
            Self::Condition(condition) => holds(condition),
        }
    }
}

impl<C: Display> Display for Filter<C> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let joined = |f: &mut Formatter<'_>, parts: &[Self], word: &str| {
            for (index, part) in parts.iter().enumerate() {
                f.write_str(if index == 0 { "(" } else { word })?;
                part.fmt(f)?;
            }
            f.write_str(")")
        };
        match self {
            Self::All(parts) => joined(f, parts, " AND "),
            Self::Any(parts) => joined(f, parts, " OR "),
            Self::Not(part) => write!(f, "NOT ({part})"),
            Self::Search(text) => f.write_str(&quote(text)),
            Self::Condition(test) => test.fmt(f),
        }
    }
}
