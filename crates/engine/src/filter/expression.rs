//! A filter as it was understood.

use std::fmt::{Display, Formatter};

use super::candidate::Candidate;
use super::field::Condition;
use super::lexer::quote;

/// A filter that was understood. Shown in a form that is read as the same filter.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All of these hold.
    All(Vec<Filter>),
    /// At least one of these holds.
    Any(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
    /// The text, in lower case, is somewhere in the job's ids, name or labels, in whatever case.
    Search(String),
    /// A field is as this says.
    Condition(Condition),
}

impl Filter {
    /// Whether it holds for a job.
    pub fn holds(&self, job: &Candidate) -> bool {
        job.spend(1);
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(job)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(job)),
            Self::Not(part) => !part.holds(job),
            Self::Search(text) => job.mentions(text),
            Self::Condition(test) => test.holds(job),
        }
    }
}

impl Display for Filter {
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
