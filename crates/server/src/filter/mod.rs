//! Filters of lists (AIP-160).
//!
//! Read by hand: what there is for it is either unfinished or builds database queries. Three steps: [`lexer`] finds the
//! words, [`parse`] their order, [`field`] what they mean for a job. A filter is small and its nesting bounded, so
//! reading one costs nothing, whoever wrote it. What asking it of a job costs is counted by the [`Candidate`].

mod candidate;
mod field;
mod lexer;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt::{Display, Formatter};

pub use candidate::Candidate;
pub use field::Test;
use lexer::quote;
pub use parse::parse;

/// The longest filter in bytes.
pub const MAX_BYTES: usize = 2048;
/// How deep parentheses may be nested.
pub const MAX_DEPTH: usize = 32;

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAFilter {
    /// Where, in bytes from 1.
    pub at: usize,
    /// What is wrong there, and what would be possible.
    pub problem: String,
}

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
    Test(Test),
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
            Self::Test(test) => test.holds(job),
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
            Self::Test(test) => test.fmt(f),
        }
    }
}
