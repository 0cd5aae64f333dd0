//! Filters of lists (AIP-160).
//!
//! Read by hand: what there is for it is either unfinished or builds database queries. Three steps: [`lexer`] finds the
//! words, [`parse`] their order, [`field`] what they mean for a job. A filter is small and its nesting bounded, so
//! reading one costs nothing, whoever wrote it. What asking it of a job costs is counted by the [`Candidate`].

mod candidate;
mod compare;
mod dialect;
mod expression;
mod field;
mod lexer;
mod parse;
#[cfg(test)]
mod tests;

pub use candidate::Candidate;
pub use compare::{Polarity, ProblemAt, Refused, TextTest, instant, plain};
pub use dialect::Dialect;
pub use expression::Filter;
pub use field::Condition;
pub use lexer::{Comparator, InvalidFilter, Text};
pub use parse::{MAX_BYTES, MAX_DEPTH, parse, parse_as};
